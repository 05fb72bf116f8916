"""One study.json from several of one study, whose runs were made at different times or on different machines.

    python3 peers/join_studies.py [--arms NAME ...] --files STUDY.json STUDY.json ... > docs/studies/NAME/study.json

The files must ask the same of the same recipe: preset, data, settings, regimes, and rules and configurations that have one name.
What comes out has the seeds of all files and the arms that are in each; `--arms` puts some first, and the first of all is compared with
each of the others. Versions and machine are those of the last file; the commits and processors of all are named. Only Python's
standard library is needed; `cargo run -p osn-report --example book` makes the tables anew.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterable
from pathlib import Path


def joined(studies: list[dict], first: list[str]) -> dict:
    whole = json.loads(json.dumps(studies[-1]))
    for study in studies:
        must_agree(study, whole)
    asked = whole["asked"]
    in_each = set.intersection(*({arm["name"] for arm in study["asked"]["arms"]} for study in studies))
    arms = {arm["name"]: arm for arm in asked["arms"] if arm["name"] in in_each}
    asked["arms"] = [arms.pop(name) for name in first] + list(arms.values())
    asked["seeds"] = sorted({seed for study in studies for seed in study["asked"]["seeds"]})
    whole["identity"]["arms"] = {name: it for name, it in whole["identity"]["arms"].items() if name in in_each}
    whole["versions"]["commit"] = in_turn(study["versions"]["commit"] for study in studies)
    whole["machine"]["processor"] = in_turn(study["machine"]["processor"] for study in studies)
    whole["runs"] = runs_of(studies, asked)
    whole["analysis"] = None
    return whole


def must_agree(study: dict, other: dict) -> None:
    same = ["recipe", "preset", "data", "device", "settings", "regimes", "metric", "higher_is_better"]
    for name in same:
        if study["asked"][name] != other["asked"][name]:
            sys.exit(f"{name}: one study asks for {study['asked'][name]}, another for {other['asked'][name]}")
    if study["schema"] != other["schema"]:
        sys.exit(f"schema: {study['schema']} and {other['schema']}")
    for part in ["arms", "regimes"]:
        mine, others = study["identity"][part], other["identity"][part]
        for name in mine.keys() & others.keys():
            if mine[name] != others[name]:
                sys.exit(f"{name} in {part} stands for different things: {mine[name]} and {others[name]}")


def runs_of(studies: list[dict], asked: dict) -> list[dict]:
    def key(run: dict) -> tuple:
        return run["regime"], run["arm"], run["seed"]

    there: dict[tuple, dict] = {}
    for run in (run for study in studies for run in study["runs"]):
        if key(run) in there:
            sys.exit(f"{key(run)} is in two studies")
        there[key(run)] = run
    regimes, arms = ([it["name"] for it in asked[part]] for part in ["regimes", "arms"])
    return [there[run] for run in itertools.product(regimes, arms, asked["seeds"])]


def in_turn(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", default=[])
    parser.add_argument("--files", nargs="+", type=Path, required=True)
    given = parser.parse_args()
    studies = [json.loads(path.read_text()) for path in given.files]
    print(json.dumps(joined(studies, given.arms), indent=2, sort_keys=True, ensure_ascii=False))


if __name__ == "__main__":
    main()
