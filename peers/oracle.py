"""Which layers should be held, by training under every mask of them, and which layers the rules hold.

    cargo build --release
    python3 peers/oracle.py classify run  [--osn target/release/osn] [--seeds 11-18] [--out studies/oracle]
    python3 peers/oracle.py classify read [--out studies/oracle]
    python3 peers/oracle.py nmt run       # and read; into studies/oracle_nmt

`run` trains the networks of a file of regimes under all 16 masks of four *parts*, under the rules that decide, and under what
`--control` adds: `osn compare`, which goes on where it was stopped. A part of the classifier is one of its four layers; one of the
Transformer is the attention or the feed-forward layers of its encoder or its decoder. `read` prints, for each regime and part, the
*gain* of holding it and how much each rule holds it:

- gain: the score at the end with the part held less that without, over the 8 pairs of masks that differ in nothing else, and
  (alone) with nothing else held; the mean over the seeds, with its standard error. The score is the accuracy, or minus the loss on
  test pairs in nats a byte.
- held: the elasticity of the scale (0 free, 1 held), the mean over the part's layers, the logged steps and the seeds.
- agreement: the correlation over the parts of what each seed holds with the mean gain, 0 where a rule treats all parts alike;
  its mean over the seeds, and the exact p-value of a sign-flip test that this is 0.

Only Python's standard library is needed.
"""

import argparse
import itertools
import json
import math
import statistics
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

Mask = tuple[bool, ...]


@dataclass(frozen=True)
class Oracle:
    """What is trained under every mask."""

    recipe: list[str]
    regimes: str
    # The globs of the layers of each part.
    parts: dict[str, list[str]]
    rules: list[str]
    score: str
    # 1 where more of the score is better, −1 where less is.
    sign: int
    out: str

    def rule(self, mask: Mask) -> str:
        """The rule that holds the parts of a mask."""
        held = [f"path={glob}" for globs, is_held in zip(self.parts.values(), mask) if is_held for glob in globs]
        return "static:" + ",".join(held) if held else "never"

    def masks(self) -> dict[str, Mask]:
        """Every mask, by its rule."""
        return {self.rule(mask): mask for mask in itertools.product((False, True), repeat=len(self.parts))}

    def part_of(self, path: str) -> str | None:
        """The part that a layer belongs to. A head's index stands behind the path."""
        path = path.partition("[")[0]
        return next((part for part, globs in self.parts.items() if any(fnmatchcase(path, it) for it in globs)), None)


ORACLES = {
    "classify": Oracle(
        recipe=["classify", "--set", "network=mlp"],
        regimes="examples/oracle.toml",
        parts={f"layers.{index}.weight": [f"layers.{index}.weight"] for index in range(4)},
        rules=["auto:task=classify", "pay"],
        score="accuracy",
        sign=1,
        out="studies/oracle",
    ),
    "nmt": Oracle(
        recipe=["nmt", "--preset", "deep"],
        regimes="examples/oracle_nmt.toml",
        parts={
            "encoder, attention": ["encoder.*.attention.**"],
            "encoder, feed-forward": ["encoder.*.feed_forward.**"],
            "decoder, attention": ["decoder.*.attention.**", "decoder.*.cross.**"],
            "decoder, feed-forward": ["decoder.*.feed_forward.**"],
        },
        rules=["auto:task=sequence"],
        score="loss",
        sign=-1,
        out="studies/oracle_nmt",
    ),
}


def run(oracle: Oracle, osn: str, seeds: str, out: Path, controls: list[str]) -> None:
    rules = ",".join([*oracle.rules, *controls, *oracle.masks()])
    command = [osn, "compare", *oracle.recipe, "--regime", oracle.regimes, "--seeds", seeds, "--quiet"]
    jobs = ["--threads", "1", "--jobs", "2"]
    sys.exit(subprocess.run([*command, *jobs, "--decide", rules, "--out", str(out)]).returncode)


def elasticities(oracle: Oracle, folder: Path) -> list[float]:
    """The mean elasticity of each part over its layers and the logged steps of a run."""
    seen: dict[str, list[float]] = {part: [] for part in oracle.parts}
    for line in (folder / "record.jsonl").read_text().splitlines():
        event = json.loads(line)
        part = oracle.part_of(event["path"]) if event["event"] == "layer" else None
        if part is not None:
            seen[part].append(event["elasticity"] or 0.0)
    return [statistics.fmean(values) for values in seen.values()]


def gains(oracle: Oracle, score: dict[tuple[str, int], float], seed: int) -> list[float]:
    """What holding each part adds to the score, over all pairs of masks that differ in it alone."""
    def gain(part: int) -> float:
        free = [mask for mask in oracle.masks().values() if not mask[part]]
        with_it = [mask[:part] + (True,) + mask[part + 1 :] for mask in free]
        return statistics.fmean(
            score[oracle.rule(held), seed] - score[oracle.rule(mask), seed] for held, mask in zip(with_it, free)
        )

    return [gain(part) for part in range(len(oracle.parts))]


def correlation(gain: list[float], held: list[float]) -> float:
    """Pearson's, and 0 where all layers are held alike."""
    g, h = statistics.fmean(gain), statistics.fmean(held)
    size = math.sqrt(sum((a - g) ** 2 for a in gain) * sum((b - h) ** 2 for b in held))
    return sum((a - g) * (b - h) for a, b in zip(gain, held)) / size if size > 0 else 0.0


def sign_flip(values: list[float]) -> float:
    """The two-sided exact p-value of the mean under changes of sign."""
    seen = abs(sum(values))
    sums = [abs(sum(s * v for s, v in zip(signs, values))) for signs in itertools.product((1, -1), repeat=len(values))]
    return sum(total >= seen - 1e-12 for total in sums) / len(sums)


def error(values: list[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def read(oracle: Oracle, out: Path) -> None:
    study = json.loads((out / "study.json").read_text())
    for regime in (regime["name"] for regime in study["asked"]["regimes"]):
        read_regime(oracle, out, study, regime)


def read_regime(oracle: Oracle, out: Path, study: dict, regime: str) -> None:
    seeds, masks, parts = study["asked"]["seeds"], oracle.masks(), list(oracle.parts)
    rules = [arm["name"] for arm in study["asked"]["arms"] if arm["name"] not in masks]
    runs = {(run["arm"], run["seed"]): run for run in study["runs"] if run["regime"] == regime}
    score = {key: oracle.sign * run["metrics"][oracle.score] for key, run in runs.items()}
    by_seed = [gains(oracle, score, seed) for seed in seeds]
    gain = [statistics.fmean(values) for values in zip(*by_seed)]
    errors = [error(list(values)) for values in zip(*by_seed)]
    held = {rule: [elasticities(oracle, out / runs[rule, seed]["folder"]) for seed in seeds] for rule in rules}
    only = [oracle.rule(tuple(place == part for place in range(len(parts)))) for part in range(len(parts))]
    alone = [[score[rule, seed] - score["never", seed] for seed in seeds] for rule in only]
    print(f"\n{regime}: {len(seeds)} seeds\n\n| part | gain | alone | {' | '.join(f'`{rule}`' for rule in rules)} |")
    print("|---|---|---|" + "---|" * len(rules))
    for place, part in enumerate(parts):
        shares = [statistics.fmean(of_seed[place] for of_seed in held[rule]) for rule in rules]
        by_itself = f"{statistics.fmean(alone[place]):+.3f} ± {error(alone[place]):.3f}"
        gained = f"{gain[place]:+.3f} ± {errors[place]:.3f} | {by_itself}"
        print(f"| {part} | {gained} | {' | '.join(f'{it:.2f}' for it in shares)} |")
    agreement = {rule: [correlation(gain, of_seed) for of_seed in held[rule]] for rule in rules}
    shown = [f"{statistics.fmean(it):+.2f} (p = {sign_flip(it):.3f})" for it in agreement.values()]
    print(f"| agreement | | | {' | '.join(shown)} |")
    means = {arm: oracle.sign * statistics.fmean(score[arm, seed] for seed in seeds) for arm in [*rules, *masks]}
    shown = [f"{means[rule]:.3f}" for rule in rules]
    print(f"| {oracle.score} | | | {' | '.join(shown)} |")
    ranked = sorted(masks, key=lambda rule: oracle.sign * means[rule], reverse=True)
    shown = [f"{''.join('.#'[held] for held in masks[arm])} {means[arm]:.3f}" for arm in ranked]
    print(f"\n{oracle.score} by mask (# is held, in the order of the table): {', '.join(shown)}")
    print(f"the best, `{ranked[0]}`, is chosen on these seeds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("of", choices=ORACLES)
    parser.add_argument("what", choices=["run", "read"])
    parser.add_argument("--osn", default="target/release/osn")
    parser.add_argument("--seeds", default="11-18")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--control", action="append", default=[], help="a `random` rule, as `osn decide like` prints it")
    given = parser.parse_args()
    oracle = ORACLES[given.of]
    out = given.out or Path(oracle.out)
    if given.what == "run":
        run(oracle, given.osn, given.seeds, out, given.control)
    else:
        read(oracle, out)


if __name__ == "__main__":
    main()
