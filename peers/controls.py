"""Controls for `auto` on classifiers that `osn compare` does not have: its strength without its timing, and early stopping.

    cargo build --release && pip install .
    python3 peers/controls.py run  [--osn target/release/osn] [--seeds 11-20] [--out studies/controls]
    python3 peers/controls.py read [--out studies/controls]

`run` trains the recipe `classify` in the regimes of examples/classify_regimes.toml, and goes on where it was stopped:

- auto: `auto:task=classify`;
- frozen: each layer is capped from the first step to the last at the mean target that it has in `auto`'s run with this seed
  (`osn decide frozen`);
- other: the same with the targets of `auto`'s run with the next seed (the last takes those of the first);
- stopped: nothing is held, and the score is that of the evaluation with the lowest held-out loss, every 100 steps: early
  stopping (Prechelt 1998);
- never: the end of the same run.

`read` prints the mean accuracies and compares `auto` with each: pairs of runs of one seed in one regime, as `osn compare` does.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REGIMES = "examples/classify_regimes.toml"
EVERY = 100
ARMS = ["auto", "frozen", "other", "stopped", "never"]


def regimes() -> dict[str, list[str]]:
    def word(value: object) -> str:
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)

    tables = tomllib.loads(Path(REGIMES).read_text())["regime"]
    return {it["name"]: [f"--set={key}={word(value)}" for key, value in it.get("set", {}).items()] for it in tables}


class Runs:
    def __init__(self, osn: str, seeds: list[int], out: Path) -> None:
        self.osn, self.seeds, self.out = osn, seeds, out

    def folder(self, regime: str, arm: str, seed: int) -> Path:
        return self.out / regime / f"{arm}-{seed}"

    def train(self, regime: str, arm: str, seed: int, rule: str, *settings: str) -> None:
        folder = self.folder(regime, arm, seed)
        if folder.exists():
            return
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        words = ["train", "classify", "--quiet", "--set=network=mlp", *regimes()[regime], *settings]
        command = [self.osn, *words, "--decide", rule, "--seed", str(seed), "--out", str(part)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"RAYON_NUM_THREADS": "1"})
        (run,) = part.iterdir()
        run.rename(folder)
        part.rmdir()

    def frozen(self, regime: str, arm: str, seed: int, of: int) -> None:
        rules = self.out / regime / f"{arm}-{seed}.toml"
        told = subprocess.run(
            [self.osn, "decide", "frozen", self.folder(regime, "auto", of)], check=True, capture_output=True, text=True
        )
        rules.write_text(told.stdout)
        self.train(regime, arm, seed, str(rules))

    def of_seed(self, regime: str, seed: int) -> None:
        self.train(regime, "observed", seed, "observe", f"--set=eval_every={EVERY}", "--set=eval_images=10000")
        self.frozen(regime, "frozen", seed, seed)
        self.frozen(regime, "other", seed, self.seeds[(self.seeds.index(seed) + 1) % len(self.seeds)])

    def run(self) -> None:
        cells = [(regime, seed) for seed in self.seeds for regime in regimes()]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda cell: self.train(cell[0], "auto", cell[1], "auto:task=classify"), cells))
            list(pool.map(lambda cell: self.of_seed(*cell), cells))


def events(folder: Path, kind: str) -> Iterator[dict]:
    return (event for line in (folder / "record.jsonl").open() if (event := json.loads(line))["event"] == kind)


def accuracy(folder: Path) -> float:
    return list(events(folder, "eval"))[-1]["metrics"]["accuracy"]


def stopped(folder: Path) -> float:
    """The accuracy at the evaluation with the lowest held-out loss."""
    losses = {event["step"]: event["signals"].get("held_out_loss") for event in events(folder, "step")}
    # The last evaluation has the curve's sample beside the one of the end, and they are the same images.
    scores = {event["step"]: event["metrics"]["accuracy"] for event in events(folder, "eval")}
    return scores[min(scores, key=lambda step: losses[step])]


def read(out: Path) -> None:
    import osn

    names = [name for name in regimes() if (out / name).is_dir()]
    seeds = sorted(int(path.name.removeprefix("auto-")) for path in (out / names[0]).glob("auto-*"))
    runs = Runs("", seeds, out)

    def score(regime: str, arm: str, seed: int) -> float:
        of = {"stopped": stopped, "never": accuracy}.get(arm)
        return of(runs.folder(regime, "observed", seed)) if of else accuracy(runs.folder(regime, arm, seed))

    scores = {arm: [[score(regime, arm, seed) for seed in seeds] for regime in names] for arm in ARMS}
    print(f"{len(seeds)} seeds\n\n| regime | {' | '.join(ARMS)} |\n|---|{'---|' * len(ARMS)}")
    for place, regime in enumerate(names):
        print(f"| `{regime}` | {' | '.join(f'{statistics.fmean(scores[arm][place]):.3f}' for arm in ARMS)} |")
    print("\n`auto` against")
    for arm in ARMS[1:]:
        found = osn.compare_scores(scores["auto"], scores[arm], higher_is_better=True)
        wins = f"better in {found.wins}, even in {found.ties}, worse in {found.losses}"
        p, likely = found.p, found.probability_of_improvement
        print(f"{arm}: {wins}; P = {likely.value:.2f} [{likely.lower:.2f}, {likely.upper:.2f}], p = {p:.4f}, not corrected")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "read"])
    parser.add_argument("--osn", default="target/release/osn")
    parser.add_argument("--seeds", default="11-20", help="A-B")
    parser.add_argument("--out", type=Path, default=Path("studies/controls"))
    given = parser.parse_args()
    if given.what == "run":
        first, last = map(int, given.seeds.split("-"))
        Runs(given.osn, list(range(first, last + 1)), given.out).run()
    else:
        read(given.out)


if __name__ == "__main__":
    main()
