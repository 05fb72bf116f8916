"""What docs/scale.md says: how long workers take beside what a model says, and what large studies and checkpoints cost. Linux only.

    MPICC=mpicc.openmpi cargo build --release --workspace --features osn-mpi/mpi,osn-cli/mpi --bin osn --example scale
    python3 peers/scale.py sums         # sums and steps on 1 to 4 workers; as root also over hosts (network namespaces)
    python3 peers/scale.py train        # osn train gan on 1 and 2 workers, one thread each, taking turns
    python3 peers/scale.py predict      # what the model says of 8 to 1024 workers, on networks that were not measured
    python3 peers/scale.py runs 10000   # a study of so many runs: opening it, its page
    python3 peers/scale.py checkpoint 20 [--filled] [--width 1024]   # osn inspect on so many GB in one go and in four parts

Let nothing else run during the first two.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUILT = Path("target/release")
HOSTS = Path("crates/osn-mpi/tests/hosts")
SHARDS = 12
WIDTHS = [50, 158, 500, 1100, 2500]
CORES = os.cpu_count()
ONE_THREAD = {"RAYON_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
# Seconds before the first byte, and bytes a second: usual values of such networks, not measured.
NETWORKS = {
    "10 GbE": (30e-6, 1.1e9),
    "25 GbE": (20e-6, 2.8e9),
    "100 Gb RoCE": (4e-6, 11e9),
    "HDR InfiniBand": (2e-6, 22e9),
}


# The model.


def reduced(workers, size, alpha, beta):
    """Seconds of a sum of `size` bytes: the best of recursive doubling, halving and doubling, and a ring."""
    if workers == 1:
        return 0.0
    rounds = math.ceil(math.log2(workers))
    moved = 2 * (workers - 1) / workers * size / beta
    return min(rounds * (alpha + size / beta), 2 * rounds * alpha + moved, 2 * (workers - 1) * alpha + moved)


def fitted(sums):
    """Alpha and beta of `[(bytes, seconds)]` between two workers: least squares of the relative error."""
    # t = a + b n; each equation divided by its t.
    rows = [(1 / t, n / t) for n, t in sums]
    aa, ab, bb = (sum(x[i] * x[j] for x in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a, b = (sum(x[i] for x in rows) for i in (0, 1))
    det = aa * bb - ab * ab
    return (a * bb - b * ab) / det, det / (b * aa - a * ab)


def parts_of_step(twelve, six):
    """Seconds of a shard, and of what every worker does whatever its shards, from steps of one worker."""
    shard = (twelve[1] - six[1]) / (SHARDS - SHARDS // 2) + twelve[0] / SHARDS
    mean = twelve[1] - (twelve[1] - six[1]) * 2
    return shard, mean + twelve[2]


def step(workers, shard, every, parameters, alpha, beta, cores=CORES):
    """Seconds of a step: workers beyond the cores take turns."""
    turns = max(1, workers / cores)
    sent = 2 * reduced(workers, 64, alpha, beta) + reduced(workers, 8 * parameters, alpha, beta)
    return turns * (SHARDS / workers * shard + every + sent)


# Sums and steps.


def lines(words, environment=ONE_THREAD):
    ended = subprocess.run(words, env={**os.environ, **environment}, capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stderr
    return [line.split("\t") for line in ended.stdout.splitlines() if "\t" in line]


def here(workers, arguments):
    shared = ["--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"]
    return lines(["mpirun.openmpi", "-n", str(workers), *shared, *arguments])


def on_hosts(workers, arguments):
    """One worker on each host, which send by TCP."""
    net, agent = "10.77.0.0/24", (HOSTS / "on_host.sh").resolve()
    where = ",".join(f"h{i + 1}:1" for i in range(workers))
    words = f"mpirun.openmpi --mca plm_rsh_agent {agent} --host {where} -n {workers} --mca btl tcp,self "
    words += f"--mca btl_tcp_if_include {net} --mca oob_tcp_if_include {net} --mca mpi_yield_when_idle 1 --bind-to none "
    words += "-x RAYON_NUM_THREADS " + " ".join(arguments)
    return lines([str(agent), "h1", words])


def measured(found):
    """Of the example's lines: seconds by bytes, and the three parts of a step by parameters."""
    sums = [(int(it[2]), float(it[3])) for it in found if it[0] == "sum"]
    steps = {int(it[3]): [float(part) for part in it[4:]] for it in found if it[0] == "step"}
    return sums, steps


def sums(_):
    program = str((BUILT / "examples/scale").resolve())
    widths = [str(width) for width in WIDTHS]
    alone = measured(here(1, [program, str(SHARDS), *widths]))[1]
    half = measured(here(1, [program, str(SHARDS // 2), *widths]))[1]
    shard_of = {parameters: parts_of_step(alone[parameters], half[parameters]) for parameters in alone}
    told("one machine", here, [program, str(SHARDS), *widths], alone, shard_of)
    if subprocess.run([HOSTS / "hosts.sh", "up", "4"], capture_output=True).returncode != 0:
        return print("no hosts can be made: not tried")
    try:
        told("hosts", on_hosts, [program, str(SHARDS), *widths], alone, shard_of)
    finally:
        subprocess.run([HOSTS / "hosts.sh", "down", "4"], capture_output=True)


def told(place, start, arguments, alone, shard_of):
    found = {workers: measured(start(workers, arguments)) for workers in (2, 3, 4)}
    alpha, beta = fitted(found[2][0])
    print(f"\n{place}: alpha {alpha * 1e6:.1f} us, beta {beta / 1e9:.2f} GB/s, between two workers\n")
    print("| bytes | " + " | ".join(f"{n} workers: us | predicted" for n in found) + " |\n|" + "---|" * 7)
    for index, (size, _) in enumerate(found[2][0]):
        row = [(found[n][0][index][1], max(1, n / CORES) * reduced(n, size, alpha, beta)) for n in found]
        print(f"| {size} | " + " | ".join(f"{t * 1e6:.1f} | {p * 1e6:.1f}" for t, p in row) + " |")
    print("\n| parameters | workers | ms | predicted | measured / predicted | speed-up | predicted |\n|" + "---|" * 7)
    for parameters, (shard, every) in shard_of.items():
        one = sum(alone[parameters])
        for workers in found:
            time_of, predicted = sum(found[workers][1][parameters]), step(workers, shard, every, parameters, alpha, beta)
            print(
                f"| {parameters} | {workers} | {time_of * 1e3:.2f} | {predicted * 1e3:.2f} | {time_of / predicted:.2f} "
                f"| {one / time_of:.2f} | {one / predicted:.2f} |"
            )
        shares = " ".join(f"{part * 1e3:.2f}" for part in alone[parameters])
        print(f"| {parameters} | 1 | {one * 1e3:.2f} | parts: {shares} | | | |", flush=True)


# A recipe's run.

GAN = "train gan --preset standard --set shards=8 --set steps=100 --set eval_every=1000000 --set log_every=10"
GAN += " --set eval_images=100 --set final_images=100"


def seconds_a_step(words, out):
    subprocess.run([*words, "--out", out], env={**os.environ, **ONE_THREAD}, capture_output=True, check=True)
    record = next(Path(out).glob("*/record.jsonl")).read_text().splitlines()
    steps = [json.loads(line) for line in record]
    at = {it["step"]: it["wall_secs"] for it in steps if it["event"] == "step"}
    first, last = 40, max(at)
    return (at[last] - at[first]) / (last - first)


def train(arguments):
    osn = str((BUILT / "osn").resolve())
    shared = "--oversubscribe --bind-to none --mca mpi_yield_when_idle 1".split()
    mpi = lambda n: ["mpirun.openmpi", "-n", str(n), *shared, osn, *GAN.split(), "--workers", "mpi"]
    ways = {
        "one worker": [osn, *GAN.split()],
        "threads=2": [osn, *GAN.split(), "--workers", "threads=2"],
        "MPI, 1": mpi(1),
        "MPI, 2": mpi(2),
    }
    found = {way: [] for way in ways}
    for _ in range(arguments.rounds):
        for way, words in ways.items():
            with tempfile.TemporaryDirectory() as out:
                found[way].append(seconds_a_step(words, out))
    for way, times in found.items():
        ratios = [one / time_of for one, time_of in zip(found["one worker"], times)]
        print(f"| {way} | {statistics.median(times) * 1e3:.1f} ms a step | " + ", ".join(f"{it:.2f}" for it in ratios) + " |")


# More workers than here.

# Parameters, seconds of a worker's part of a batch, seconds of what every worker repeats, sums in a step. Of gan both were
# measured on one thread; of ResNet-50 the first is assumed, the second that of as many parameters here.
JOBS = {"gan standard": (650_000, 0.15, 0.005, 2), "ResNet-50": (25_500_000, 1.0, 0.38, 1)}
# How far the time of one worker's part of a step lies from another's: assumed.
JITTER = 0.02


def seconds(workers, part, job, network, width=8):
    parameters, _, every, n_sums = job
    sent = 2 * reduced(workers, 64, *network) + reduced(workers, width * parameters / n_sums, *network)
    return part * (1 + JITTER * math.sqrt(2 * math.log(workers))) + every + n_sums * sent


def predict(_):
    counts = (8, 64, 256, 1024)
    print("| each worker has as much | network | " + " | ".join(map(str, counts)) + " |\n|---|---|---|---|---|---|")
    for name, job in JOBS.items():
        for network, numbers in NETWORKS.items():
            share = lambda n, width: seconds(1, job[1], job, numbers) / seconds(n, job[1], job, numbers, width)
            print(f"| {name} | {network} | " + " | ".join(f"{share(n, 8):.0%} ({share(n, 4):.0%})" for n in counts) + " |")
    counts = (2, 4, 8, 16, 32)
    print("\n| one batch is cut | network | " + " | ".join(map(str, counts)) + " |\n|---|---|---|---|---|---|---|")
    for name, job in JOBS.items():
        for network, numbers in NETWORKS.items():
            gain = lambda n: seconds(1, job[1], job, numbers) / seconds(n, job[1] / n, job, numbers)
            print(f"| {name} | {network} | " + " | ".join(f"{gain(n):.1f}" for n in counts) + " |")


# A study of many runs.

TINY = "compare control --decide {} --seeds {} --set random_actions=100 --set memory=500 --set hidden_sizes=8 --set eval_every=20"
TINY += " --set log_every=10 --set eval_episodes=2 --set final_episodes=3 --set explore_steps=20 --set steps=400"
ARMS = [f"cap:interval={n}" for n in range(1, 9)] + ["never", "always"]


def cost(words, out=subprocess.DEVNULL):
    """Runs a command, and says its time and its largest memory."""
    begin = time.monotonic()
    process = subprocess.Popen(words, stdout=out, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"{words} failed"
    took, seconds, memory = time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000
    print(f"{' '.join(words[1:5])[:40]}: {took:.1f} s, {seconds:.1f} s of processor, {memory:.0f} MB", flush=True)


def runs(arguments):
    osn, seeds = str((BUILT / "osn").resolve()), arguments.count // len(ARMS)
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        command = lambda seeds: [osn, *TINY.format(",".join(ARMS), seeds).split(), "--out", str(study)]
        cost(command(1))
        for run in list((study / "runs/default").iterdir()):
            for seed in range(2, seeds + 1):
                copied(run, seed)
        cost(command(seeds))
        cost([osn, "report", str(study), "-o", str(Path(folder) / "page.html")])
        for file in (study / "study.json", study / "report.html", Path(folder) / "page.html"):
            print(f"{file.name}: {file.stat().st_size / 1e6:.2f} MB")


def copied(run, seed):
    """The run of seed 1 as one of another seed, with other scores."""
    to = run.with_name(f"copy-{seed}-{run.name}")
    (to / "samples").mkdir(parents=True)
    description = json.loads((run / "run.json").read_text())
    (to / "run.json").write_text(json.dumps({**description, "seed": seed}))
    with (to / "record.jsonl").open("w") as record:
        for line in (run / "record.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "eval":
                event["metrics"] = {name: v and v * (1 + seed % 97 / 300) for name, v in event["metrics"].items()}
            record.write(json.dumps(event) + "\n")


# A checkpoint.

GB = 10**9
FILE = 4 * GB
PIECE = 1 << 20


def checkpoint(arguments):
    osn, n_parts = str((BUILT / "osn").resolve()), 4
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        folder = Path(folder)
        written(folder, arguments.count * GB, arguments.width, arguments.filled)
        inspect = [osn, "inspect", "--json"]
        whole = printed([*inspect, str(folder / "model.safetensors.index.json")])
        parts = []
        for k in range(1, n_parts + 1):
            part = folder / f"part{k}"
            part.write_text(json.dumps(printed([*inspect, "--part", f"{k}/{n_parts}", str(folder / "model.safetensors.index.json")])))
            parts.append(str(part))
        merged = printed([*inspect, "--merge", *parts])
        assert merged == whole, "the parts are not the whole"
        print(f"the merge of {n_parts} parts is the object of one process, of {len(whole['tensors'])} tensors")


def printed(words):
    """The object that a command prints; its time and memory go to the terminal."""
    with tempfile.TemporaryFile() as out:
        cost(words, out)
        out.seek(0)
        return json.load(out)


def written(folder, size, width, is_filled):
    """An embedding and layers of a transformer in float32, in files of 4 GB: of zeros that take no disk, or random."""
    shapes = {"attention.q": (width, width), "attention.o": (width, width), "mlp.up": (4 * width, width), "mlp.down": (width, 4 * width)}
    layers = ((f"layers.{n}.{name}.weight", shape) for n in range(10**6) for name, shape in shapes.items())
    names = itertools.chain([("embedding.weight", (50_257, width))], layers)
    places, total, files = {}, 0, 0
    while total < size:
        files += 1
        file, header, end = folder / f"model-{files:05}.safetensors", {}, 0
        while end < min(FILE, size - total):
            name, shape = next(names)
            start, end = end, end + 4 * shape[0] * shape[1]
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
            places[name] = file.name
        text = json.dumps(header).encode()
        with file.open("wb") as out:
            out.write(len(text).to_bytes(8, "little") + text)
            # In pieces: what this process takes would count as that of what it starts.
            for start in range(0, end if is_filled else 0, PIECE):
                out.write(random_floats(min(PIECE, end - start)))
            out.truncate(8 + len(text) + end)
        total += end
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": places}))
    print(f"{total / GB:.1f} GB in {files} files, {len(places)} tensors, {'random' if is_filled else 'zeros'}", flush=True)


def random_floats(size):
    """Numbers of both signs between 2^-6 and 2^-4."""
    values = bytearray(os.urandom(size))
    values[3::4] = values[3::4].translate(bytes(0x3C | it & 0x80 for it in range(256)))
    return values


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("what", choices=["sums", "train", "predict", "runs", "checkpoint"])
    words.add_argument("count", type=int, nargs="?", default=10_000)
    words.add_argument("--filled", action="store_true")
    words.add_argument("--folder", help="where the checkpoint is written")
    words.add_argument("--width", type=int, default=1024)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--built", type=Path, default=BUILT)
    arguments = words.parse_args()
    globals()["BUILT"] = arguments.built
    globals()[arguments.what](arguments)


if __name__ == "__main__":
    sys.exit(main())
