#!/usr/bin/env bash
# Fills corpus/ from the fixtures, in the form that each target takes.
set -euo pipefail
cd "$(dirname "$0")"
python3 - ../crates/osn-checkpoint/tests/fixtures <<'PYTHON'
import json, pathlib, sys, zipfile

fixtures, corpus = pathlib.Path(sys.argv[1]), pathlib.Path("corpus")
START = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e80024de9032e")


def seed(target, name, data):
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


for path in fixtures.glob("*.safetensors"):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    seed("safetensors", path.name, bytes([0, len(data) - 8 - length]) + data[8 : 8 + length])
    seed("safetensors", path.name + ".raw", bytes([1, 0]) + data)
for path in fixtures.glob("*.json"):
    if path.name != "expected.json":
        text = path.read_text()
        for number, name in ((1, "a"), (2, "b")):
            text = text.replace(f"sharded-0000{number}-of-00002.safetensors", name)
        seed("index", path.name, text.encode())
for path in fixtures.glob("*.pt"):
    data = path.read_bytes()
    if data.startswith(b"PK"):
        seed("archive", path.name, data[4:])
        with zipfile.ZipFile(path) as archive:
            pickle = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            seed("pickle", path.name, archive.read(pickle))
    elif data.startswith(START):
        # The next pickle tells of the system and ends at its first STOP after the sizes of types.
        rest = data[len(START) :]
        seed("legacy", path.name, rest[rest.index(b"u.") + 2 :])

root = pathlib.Path("..")
seed("rules", "file", (root / "examples/rules.toml").read_bytes())
for number, text in enumerate(["auto", "cap:target=2,dwell=50", "budget:total_by=[slope:set_point=2]"]):
    seed("rules", f"text-{number}", text.encode())
record = root / "crates/osn-report/tests/golden/tensorboard/record.jsonl"
seed("run", "record", bytes(2) + record.read_bytes())
study = {
    "schema": 1, "versions": None, "machine": None,
    "asked": {
        "recipe": "gan", "preset": None, "data": None, "device": None, "settings": ["steps=9"],
        "arms": [{"name": "auto", "is_static": False}, {"name": "never", "is_static": True}],
        "regimes": [{"name": "a", "settings": []}], "seeds": [1, 2], "metric": "frechet", "higher_is_better": False,
    },
    "runs": [
        {
            "arm": arm, "regime": "a", "seed": number, "folder": None, "status": status, "why": None,
            "metrics": {"frechet": 9.5}, "curve": [[1, 12.0], [9, 9.5]], "area": 10.0, "wall_secs": 2.0,
        }
        for arm, number, status in [("auto", 1, "finished"), ("auto", 2, "failed"), ("never", 1, "finished"), ("never", 2, "finished")]
    ],
}
seed("study", "study", json.dumps(study).encode())
PYTHON
