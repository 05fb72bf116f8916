"""How long the singular values of a checkpoint take, beside PyTorch and SciPy, in one run.

    python3 -m venv .venv && .venv/bin/pip install torch numpy scipy safetensors
    cargo build --release
    .venv/bin/python peers/spectra.py MODEL.safetensors

The three take turns, round by round, on the same cores; medians over the rounds. osn is timed as a
whole process, from its start to its printed JSON, with the file read by it; the others are timed on
tensors that are in memory already. osn gives an interval that holds σ, `svdvals` all values without
a bound, `svds` the largest alone without a bound. Every interval is checked against `svdvals` in
double precision.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time

import scipy.sparse.linalg
import torch
from safetensors.torch import load_file

ROUNDS = 7
OSN = os.environ.get("OSN", "target/release/osn")


def seconds(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def inspect(path):
    done = subprocess.run([OSN, "inspect", "--json", path], check=True, capture_output=True)
    return json.loads(done.stdout)


def svds(matrices):
    for matrix in matrices.values():
        if min(matrix.shape) > 2:
            scipy.sparse.linalg.svds(
                matrix.numpy(), k=1, tol=1e-5, return_singular_vectors=False
            )
        else:
            torch.linalg.svdvals(matrix)


def check(report, matrices):
    measured = {tensor["name"]: tensor["sigma"] for tensor in report["tensors"]}
    assert measured.keys() == matrices.keys(), measured.keys() ^ matrices.keys()
    width = 0.0
    for name, matrix in matrices.items():
        true = torch.linalg.svdvals(matrix.double())[0].item()
        sigma = measured[name]
        # The double-precision reference is itself good to about 1e-13.
        slack = 1e-12 * true
        assert sigma["lower"] - slack <= true <= sigma["upper"] + slack, (name, true, sigma)
        width = max(width, (sigma["upper"] - sigma["lower"]) / true)
    return width


def main(path):
    tensors = load_file(path)
    matrices = {
        name: tensor.flatten(1).float()
        for name, tensor in tensors.items()
        if tensor.dim() >= 2 and tensor.is_floating_point()
    }
    arms = {
        "osn inspect": lambda: inspect(path),
        "torch.linalg.svdvals": lambda: [torch.linalg.svdvals(m) for m in matrices.values()],
        "scipy svds 1e-5": lambda: svds(matrices),
    }
    times = {name: [] for name in arms}
    report = None
    for _ in range(ROUNDS):
        for name, work in arms.items():
            taken, result = seconds(work)
            times[name].append(taken)
            report = result if name == "osn inspect" else report
    count = sum(m.numel() for m in matrices.values())
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
          f"torch {torch.__version__}, scipy {scipy.__version__}, {ROUNDS} rounds")
    print(f"{len(matrices)} tensors, {count / 1e6:.1f} M weights; "
          f"widest interval {check(report, matrices):.1e} of σ, none misses")
    ours = statistics.median(times["osn inspect"])
    for name, taken in times.items():
        median = statistics.median(taken)
        spread = f"{min(taken):.2f} to {max(taken):.2f}"
        print(f"{name:22} {median:6.2f} s  ({spread})  {median / ours:5.2f} x osn")


if __name__ == "__main__":
    main(sys.argv[1])
