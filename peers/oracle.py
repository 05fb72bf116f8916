"""Which layers should be held, by training under every mask of them, and which layers the rules hold.

    cargo build --release
    python3 peers/oracle.py run  [--osn target/release/osn] [--seeds 11-18] [--out studies/oracle]
    python3 peers/oracle.py read [--out studies/oracle]

`run` trains the networks of examples/oracle.toml under all 16 masks of their four layers, under the rules that decide, and
under what `--control` adds: `osn compare classify`, which goes on where it was stopped. `read` prints, for each regime
and layer, the *gain* of holding it and how much each rule holds it:

- gain: the accuracy at the end with the layer held less that without, over the 8 pairs of masks that differ in nothing else,
  and (alone) with nothing else held; the mean over the seeds, with its standard error.
- held: the elasticity of the layer's scale (0 free, 1 held), the mean over the logged steps and the seeds.
- agreement: the correlation over the layers of what each seed holds with the mean gain, 0 where a rule treats all layers alike;
  its mean over the seeds, and the exact p-value of a sign-flip test that this is 0.

Only Python's standard library is needed.
"""

import argparse
import itertools
import json
import math
import statistics
import subprocess
from pathlib import Path

LAYERS = [f"layers.{index}.weight" for index in range(4)]
RULES = ["auto:task=classify", "pay"]
REGIMES = "examples/oracle.toml"


def mask_rule(mask: tuple[bool, ...]) -> str:
    held = [f"path={layer}" for layer, is_held in zip(LAYERS, mask) if is_held]
    return "static:" + ",".join(held) if held else "never"


MASKS = {mask_rule(mask): mask for mask in itertools.product((False, True), repeat=len(LAYERS))}


def run(osn: str, seeds: str, out: Path, controls: list[str]) -> None:
    rules = [*RULES, *controls, *MASKS]
    command = [osn, "compare", "classify", "--set", "network=mlp", "--seeds", seeds, "--regime", REGIMES, "--quiet"]
    subprocess.run([*command, "--threads", "1", "--jobs", "2", "--decide", ",".join(rules), "--out", str(out)], check=True)


def elasticities(folder: Path) -> list[float]:
    """The mean elasticity of each layer over the logged steps of a run."""
    seen: dict[str, list[float]] = {layer: [] for layer in LAYERS}
    for line in (folder / "record.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "layer":
            seen[event["path"]].append(event["elasticity"] or 0.0)
    return [statistics.fmean(values) for values in seen.values()]


def gains(accuracy: dict[tuple[str, int], float], seed: int) -> list[float]:
    """What holding each layer adds to the accuracy, over all pairs of masks that differ in it alone."""
    def gain(layer: int) -> float:
        pairs = [mask for mask in MASKS.values() if not mask[layer]]
        with_it = [tuple(held or place == layer for place, held in enumerate(mask)) for mask in pairs]
        return statistics.fmean(
            accuracy[mask_rule(held), seed] - accuracy[mask_rule(free), seed] for held, free in zip(with_it, pairs)
        )

    return [gain(layer) for layer in range(len(LAYERS))]


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


def read(out: Path) -> None:
    study = json.loads((out / "study.json").read_text())
    seeds = study["asked"]["seeds"]
    rules = [arm["name"] for arm in study["asked"]["arms"] if arm["name"] not in MASKS]
    for regime in (regime["name"] for regime in study["asked"]["regimes"]):
        runs = {(run["arm"], run["seed"]): run for run in study["runs"] if run["regime"] == regime}
        accuracy = {key: run["metrics"]["accuracy"] for key, run in runs.items()}
        by_seed = [gains(accuracy, seed) for seed in seeds]
        gain = [statistics.fmean(values) for values in zip(*by_seed)]
        errors = [error(list(values)) for values in zip(*by_seed)]
        held = {rule: [elasticities(out / runs[rule, seed]["folder"]) for seed in seeds] for rule in rules}
        alone = [
            [accuracy[f"static:path={layer}", seed] - accuracy["never", seed] for seed in seeds] for layer in LAYERS
        ]
        print(f"\n{regime}: {len(seeds)} seeds\n\n| layer | gain | alone | {' | '.join(f'`{rule}`' for rule in rules)} |")
        print("|---|---|---|" + "---|" * len(rules))
        for place, layer in enumerate(LAYERS):
            shares = [statistics.fmean(of_seed[place] for of_seed in held[rule]) for rule in rules]
            by_itself = f"{statistics.fmean(alone[place]):+.3f} ± {error(alone[place]):.3f}"
            gained = f"{gain[place]:+.3f} ± {errors[place]:.3f} | {by_itself}"
            print(f"| `{layer}` | {gained} | {' | '.join(f'{it:.2f}' for it in shares)} |")
        agreement = {rule: [correlation(gain, of_seed) for of_seed in held[rule]] for rule in rules}
        shown = [f"{statistics.fmean(it):+.2f} (p = {sign_flip(it):.3f})" for it in agreement.values()]
        print(f"| agreement | | | {' | '.join(shown)} |")
        means = {arm: statistics.fmean(accuracy[arm, seed] for seed in seeds) for arm in [*rules, *MASKS]}
        best = max(MASKS, key=means.__getitem__)
        shown = [f"{means[rule]:.3f}" for rule in rules]
        print(f"| accuracy | | | {' | '.join(shown)} |")
        ranked = sorted(MASKS, key=means.__getitem__, reverse=True)
        masks = ", ".join(f"{''.join('.#'[held] for held in MASKS[arm])} {means[arm]:.3f}" for arm in ranked)
        print(f"\naccuracy by mask (# is held, first layer first): {masks}; the best, `{best}`, is chosen on these seeds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "read"])
    parser.add_argument("--osn", default="target/release/osn")
    parser.add_argument("--seeds", default="11-18")
    parser.add_argument("--out", type=Path, default=Path("studies/oracle"))
    parser.add_argument("--control", action="append", default=[], help="a `random` rule, as `osn decide like` prints it")
    given = parser.parse_args()
    if given.what == "run":
        run(given.osn, given.seeds, given.out, given.control)
    else:
        read(given.out)


if __name__ == "__main__":
    main()
