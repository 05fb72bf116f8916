"""What has become slower or faster: a table of `cargo bench` beside the committed one, row by row.

    cargo bench --workspace --bench regression
    python3 crates/osn-recipes/benches/regression/compare.py [NOW [BEFORE]] [--check]

A ratio is the time of a row to that of a plain matrix product in the same run. A row has changed when the intervals
of its two medians (`low` to `high`, from the spread over the rounds) have no number in common. With `--check`
the exit code is 1 if a row has become slower.
"""

import argparse
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[4]
NOW = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "tmp" / "bench.tsv"
BEFORE = pathlib.Path(__file__).with_name("table.tsv")


def read(path):
    """The processor, and for each row its ratio, low and high."""
    processor, _, *lines = path.read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    return processor, {name: tuple(map(float, numbers[:3])) for name, *numbers in rows}


def verdict(now, before):
    (_, low, high), (_, low_before, high_before) = now, before
    return "slower" if low > high_before else "faster" if high < low_before else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("now", nargs="?", type=pathlib.Path, default=NOW)
    parser.add_argument("before", nargs="?", type=pathlib.Path, default=BEFORE)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a row has become slower")
    arguments = parser.parse_args()
    (processor, now), (processor_before, before) = read(arguments.now), read(arguments.before)
    if processor != processor_before:
        print(f"another processor: {processor[2:]} and before {processor_before[2:]}; ratios need not carry over")
    print(f"{'row':48} {'before':>8} {'now':>8} {'change':>8}")
    verdicts = []
    for name in now | before:
        if name not in now or name not in before:
            print(f"{name:48} {'only ' + ('now' if name in now else 'before'):>26}")
            continue
        verdicts.append(verdict(now[name], before[name]))
        change = 100 * (now[name][0] / before[name][0] - 1)
        print(f"{name:48} {before[name][0]:8.3f} {now[name][0]:8.3f} {change:+7.1f}% {verdicts[-1]}".rstrip())
    slower, faster = verdicts.count("slower"), verdicts.count("faster")
    print(f"{len(verdicts)} rows: {slower} slower and {faster} faster beyond the noise of both runs")
    return int(arguments.check and slower > 0)


if __name__ == "__main__":
    sys.exit(main())
