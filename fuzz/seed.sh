#!/usr/bin/env bash
# Fills corpus/ from the fixtures, in the form that each target takes.
set -euo pipefail
cd "$(dirname "$0")"
python3 - ../crates/osn-checkpoint/tests/fixtures <<'PYTHON'
import gzip, json, pathlib, re, struct, sys, zipfile, zlib

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
    if path.name not in ("expected.json", "forms.json"):
        text = path.read_text()
        for number, name in ((1, "a"), (2, "b")):
            text = text.replace(f"sharded-0000{number}-of-00002.safetensors", name)
        seed("index", path.name, text.encode())
for path in fixtures.glob("*.pt"):
    data = path.read_bytes()
    if data.startswith(b"PK"):
        seed("archive", path.name, data[4:])
        with zipfile.ZipFile(path) as archive:
            for pickle in (name for name in archive.namelist() if name.endswith("data.pkl")):
                seed("pickle", path.name, archive.read(pickle))
    elif data.startswith(START):
        # The next pickle tells of the system and ends at its first STOP after the sizes of types.
        rest = data[len(START) :]
        seed("legacy", path.name, rest[rest.index(b"u.") + 2 :])

root = pathlib.Path("..")
seed("rules", "file", (root / "examples/rules.toml").read_bytes())
for number, text in enumerate(["auto", "cap:target=2,dwell=50", "budget:total=2"]):
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

array = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 3) + bytes(range(18))
seed("idx", "plain", array)
seed("idx", "gzip", gzip.compress(array))

lines = "one\ntwo words\r\n  drei\u00a0\n\u65e5\u672c\n".encode()
seed("sentences", "plain", lines)
seed("sentences", "mark", b"\xef\xbb\xbf" + lines)
seed("sentences", "gzip", gzip.compress(lines) + gzip.compress(b"more\n"))
seed("sentences", "empty", b"one\n\ntwo\n")
seed("sentences", "latin", b"stra\xdfe\n")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side, depth, colour, channels, *chunks):
    rows = bytes(1 + (side * channels * depth + 7) // 8) * side
    header = chunk(b"IHDR", struct.pack(">2I5B", side, side, depth, colour, 0, 0, 0))
    image = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + image


seed("image", "grey", png(3, 8, 0, 1))
seed("image", "bits", png(9, 1, 0, 1))
seed("image", "deep", png(4, 16, 2, 3))
seed("image", "transparent", png(4, 8, 6, 4))
seed("image", "palette", png(4, 4, 3, 1, chunk(b"PLTE", bytes(48)), chunk(b"tRNS", b"\0")))
seed("image", "huge", png(1, 8, 2, 3).replace(struct.pack(">2I", 1, 1), struct.pack(">2I", 60000, 60000)))
jfif = bytes.fromhex("ffd8ffe000104a46494600010101004800480000") + bytes.fromhex("ffdb004300") + b"\xff" * 64
table = bytes.fromhex("ffc4001410010000000000000000000000000000000000")
for kind, scan in (("c0", "003f00"), ("c2", "000010")):
    frame = bytes.fromhex(f"ff{kind}000b080001000101011100") + table
    seed("image", f"jpeg-{kind}", jfif + frame + bytes.fromhex(f"ffda00080101{scan}") + b"\x3f\xff\xd9")

frame = '<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">%s</svg>'
shapes = {
    "rect": '<rect x="9" y="9" width="18" height="54" fill="#92d3f5"/>',
    "path": '<g transform="rotate(9)"><path d="M3 3l9,9h9v9q9 0 9 9t9 9c1 2 3 4 5 6s3-3 9 9a3 4 0 1 1 5 5z" stroke="red"/></g>',
    "others": '<circle r="9"/><ellipse rx="9" ry="3"/><line x2="9"/><polyline points="1 2,3 4"/><polygon points="1 2 3 4 5 0"/>',
    "clip": '<defs><clipPath id="a"><rect width="9" height="9"/></clipPath></defs><g clip-path="url(#a)" opacity=".5"><circle r="9"/></g>',
    "style": '<title>a</title><rect style="fill:rgb(1,2,3);stroke-dasharray:1 2;stroke-width:2" width="50%" height="2mm"/>',
}
for name, shape in shapes.items():
    seed("svg", name, (frame % shape).encode())


def wav(tag, channels, rate, bits, data, *chunks):
    frame = channels * ((bits + 7) // 8)
    parts = [(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)), *chunks, (b"data", data)]
    body = b"WAVE" + b"".join(name + struct.pack("<I", len(it)) + it + bytes(len(it) % 2) for name, it in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


samples = bytes(range(192))
for bits in (8, 16, 24, 32):
    seed("wav", f"whole-{bits}", wav(1, 1, 16000, bits, samples))
seed("wav", "float", wav(3, 2, 44100, 32, struct.pack("<24f", *range(24))))
seed("wav", "channels", wav(1, 6, 48000, 16, samples, (b"LIST", b"odd")))
seed("wav", "law", wav(7, 1, 8000, 8, samples))

recipes = root / "crates/osn-recipes/src"
shared = ["adversarial/settings.rs", "gan/config.rs"]
for choice, name in enumerate(["gan", "cgan", "translate", "control", "classify", "nmt"]):
    for path in {f"{name}/config.rs", *(shared if name in ("cgan", "gan", "translate") else [])}:
        source = recipes / path
        for field in re.findall(r"^    pub (\w+):", source.read_text(), re.M) if source.exists() else []:
            seed("config", f"{name}-{field}", bytes([choice]) + f"cap:target=2\n{field}=0.5\n{field}=8".encode())
    seed("config", f"{name}-view", bytes([choice]) + b"always@operator:size=28x28\nchannels.0=8\nema=none")
changes = [
    {"config": {"steps": 9, "epsilon": 1e39}, "status": "finished", "error": "why"},
    {"totals": {"steps": 1, "wall_secs": None, "metrics": {"frechet": None}, "floor": {}, "layers": []}},
    {"rules": [], "view": "reshaped", "asked_data": "a", "device": "cuda", "seed": -1, "checkpoints": {"every": 0}},
    {"schema": 2, "recipe": "gan", "preset": "standard", "decide": "cap", "versions": {"osn": "0"}, "data": ""},
]
for number, change in enumerate(changes):
    seed("description", f"changes-{number}", bytes([number]) + json.dumps(change).encode())

header = {
    "__metadata__": {"sha256": "0" * 64},
    "numbers": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]},
    "value": {"dtype": "U8", "shape": [5], "data_offsets": [16, 21]},
}
cbor = [b"\x83\x01\xf5\xf6", b"\xfb" + struct.pack(">d", 0.1), b"\x9f\x1b" + bytes(8) + b"\xff", b"\xa1\x61a\x82\xf9\x7c\0\x20"]
for number, value in enumerate(cbor):
    header["value"] |= {"shape": [len(value)], "data_offsets": [16, 16 + len(value)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    seed("checkpoint", f"value-{number}", text + b"\n" + struct.pack("<2d", 1, float("nan")) + value)
for part in range(48):
    seed("resume", f"part-{part}", bytes([part, part % 6, 0]) + cbor[part % 4] + bytes([10, part, 0, 4, 0xff, 0xff]))
PYTHON
