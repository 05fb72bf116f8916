"""Whether TensorBoard's own readers find in an event file what the run's other files say.

    python3 -m venv .venv && .venv/bin/pip install tensorboard
    cargo run -p osn-report --example tensorboard -- RUN…
    .venv/bin/python peers/tensorboard_reads.py RUN…

RUN is the folder of a run, resumed or not; the second line is for runs without an event file. Every number, text,
picture, setting, step and time is compared. Then the file's last records are cut short, as a
killed run leaves them, and at last the TensorBoard that people look at serves all runs together and is
asked for the same numbers.
"""

import json
import struct
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path

from tensorboard import plugin_util, program
from tensorboard.backend.event_processing import event_accumulator, event_file_loader
from tensorboard.plugins.hparams import metadata as hparams

LAYER = ("sigma", "sigma_stored", "sigma_target", "elasticity", "stable_rank")
SERVER_SECS = 60


def float32(number):
    """What is left of a number of the record, where `null` stands for what is not finite."""
    if number is None:
        return float("nan")
    try:
        return struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def same(ours, theirs):
    """Equal, where NaN is equal to NaN."""
    return repr(ours) == repr(theirs)


def layer_numbers(line):
    sigma, scale = line["sigma"], line["scale"]
    values = dict(line, sigma_stored=sigma, sigma_target=line.get("target"))
    values["sigma"] = None if sigma is None or scale is None else sigma * scale
    can_be_absent = ("sigma_target", "stable_rank")
    return {k: values.get(k) for k in LAYER if k not in can_be_absent or values.get(k) is not None}


def expected(folder):
    """From the run's files: points by tag, texts by tag, and pictures."""
    run = json.loads((folder / "run.json").read_text())
    scalars, texts = defaultdict(list), defaultdict(list)
    now = run["started_unix_secs"]
    texts["config"].append((0, now, json.dumps(run["config"])))
    for text in (folder / "record.jsonl").read_text(errors="replace").splitlines(keepends=True):
        if not text.endswith("\n"):
            continue
        line = json.loads(text)
        now = run["started_unix_secs"] + line["wall_secs"] if "wall_secs" in line else now
        layer = f"{line.get('network')}/{line.get('path')}"
        if line["event"] == "decision":
            words = f"{line['from']} → {line['to']}: {line['reason']}"
            texts[f"decision/{layer}"].append((line["step"], now, words))
            continue
        # Scores of another sample size than the curve's stand by themselves.
        curve, metrics = line.get("curve", {}), line.get("metrics", {})
        last = {name: x for name, x in metrics.items() if name in curve}
        numbers = {
            "step": {"loss": line.get("losses"), "signal": line.get("signals")},
            "eval": {"score": metrics | curve, "score_final": last, "score_real_vs_real": line.get("real_vs_real")},
        }.get(line["event"], {})
        named = {f"{group}/{name}": x for group, of in numbers.items() for name, x in (of or {}).items()}
        if line["event"] == "layer":
            named = {f"{group}/{layer}": x for group, x in layer_numbers(line).items()}
        if line["event"] == "attention":
            named = {f"{group}/{layer}/{line['head']}": line[group] for group in ("entropy", "max_logit")}
        for tag, x in named.items():
            scalars[tag].append((line["step"], now, float32(x)))
    pictures = {int(p.stem[5:]): p.read_bytes() for p in (folder / "samples").glob("step-*.png")}
    tables = {int(p.stem[5:]): json.loads(p.read_text()) for p in (folder / "samples").glob("step-*.json")}
    return run, dict(scalars), dict(texts), pictures, tables


def event_files(folder):
    """The files of a run, which has another one for each time that it was resumed."""
    files = sorted(folder.glob("*tfevents*"))
    if not files:
        sys.exit(f"{folder} has no event file; the first lines of this script say how to make one")
    return files


def accumulate(path):
    events = event_accumulator.EventAccumulator(str(path), size_guidance=dict.fromkeys(
        event_accumulator.DEFAULT_SIZE_GUIDANCE, 0))
    return events.Reload()


def check_scalars(events, scalars):
    tags = events.Tags()["scalars"]
    assert sorted(tags) == sorted(scalars), set(tags) ^ set(scalars)
    for tag, points in scalars.items():
        theirs = [(e.step, e.wall_time, e.value) for e in events.Scalars(tag)]
        assert same(theirs, points), (tag, theirs[:3], points[:3])
    return sum(map(len, scalars.values()))


class Cells(HTMLParser):
    """The texts of a table's cells; any other element than a table's is one too many."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def handle_starttag(self, tag, attributes):
        assert tag in ("table", "thead", "tbody", "tr", "th", "td"), tag
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1] and data != "\n":
            self.rows[-1][-1] += data


def check_tables(events, tables):
    """Tables as TensorBoard renders them."""
    theirs = {e.step: e.tensor_proto.string_val[0] for e in events.Tensors("samples")} if tables else {}
    assert sorted(theirs) == sorted(tables)
    for step, text in theirs.items():
        cells = Cells()
        cells.feed(plugin_util.markdown_to_safe_html(text))
        wanted = [tables[step]["columns"], *tables[step]["rows"]]
        # Markdown leaves out space at the ends of a cell.
        assert cells.rows == [[cell.strip() for cell in row] for row in wanted], (step, cells.rows)
    return len(theirs)


def check_texts(events, run, texts):
    tags = set(events.Tags()["tensors"]) - {"run", "samples", hparams.SESSION_START_INFO_TAG}
    assert tags == set(texts), tags ^ set(texts)
    for tag, words in texts.items():
        theirs = events.Tensors(tag)
        assert [(e.step, e.wall_time) for e in theirs] == [w[:2] for w in words], tag
        for event, (_, _, text) in zip(theirs, words):
            lines = event.tensor_proto.string_val[0].decode().split("\n")
            assert all(line.startswith("    ") for line in lines), lines
            shown = "\n".join(line[4:] for line in lines)
            assert (json.loads(shown) == json.loads(text)) if tag == "config" else shown == text, tag
    assert events.PluginTagToContent("text").keys() - {"samples"} == tags | {"run"}
    about = json.loads(events.Tensors("run")[0].tensor_proto.string_val[0])
    assert about.items() <= run.items() and about["recipe"] == run["recipe"], about
    return sum(map(len, texts.values())) + 1


def check_pictures(events, pictures):
    theirs = events.Images("samples") if pictures else []
    assert {e.step: e.encoded_image_string for e in theirs} == pictures
    for event in theirs:
        width, height = struct.unpack(">II", event.encoded_image_string[16:24])
        assert (event.width, event.height) == (width, height)
    return len(theirs)


def leaves(path, value):
    if isinstance(value, dict):
        return {k: x for name, inner in value.items() for k, x in leaves(f"{path}.{name}", inner).items()}
    return {} if value is None else {path: value}


def check_hparams(events, run):
    content = events.PluginTagToContent(hparams.PLUGIN_NAME)[hparams.SESSION_START_INFO_TAG]
    session = hparams.parse_session_start_info_plugin_data(content)
    assert session.start_time_secs == run["started_unix_secs"]
    theirs = {name: getattr(v, v.WhichOneof("kind")) for name, v in session.hparams.items()}
    names = ("data", "decide", "device", "preset", "recipe", "seed")
    wanted = {name: run[name] for name in names if name in run} | leaves("config", run["config"])
    theirs = {k: json.loads(v) if isinstance(wanted.get(k), list) else v for k, v in theirs.items()}
    assert theirs == wanted, theirs.items() ^ wanted.items()
    return len(theirs)


def ends(data):
    """Where each record of the file ends."""
    end, found = 0, []
    while end < len(data):
        end += 16 + struct.unpack_from("<Q", data, end)[0]
        found.append(end)
    return found


def check_cuts(data, n_records=3):
    """A reader of a cut file gets every whole record, and goes on when the rest arrives."""
    found = ends(data)
    assert found[-1] == len(data)
    # The last records alone, and few places inside a picture: TensorBoard's checksums take their time.
    data = data[: found[0]] + data[found[-1 - n_records] :]
    found = ends(data)
    is_near_an_end = lambda cut: any(-16 <= cut - end <= 16 for end in found)
    cuts = [cut for cut in range(found[0], len(data)) if is_near_an_end(cut) or cut % 101 == 0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.out.tfevents.0.cut"
        for cut in cuts:
            path.write_bytes(data[:cut])
            loader = event_file_loader.LegacyEventFileLoader(str(path))
            n_whole = sum(end <= cut for end in found)
            assert sum(1 for _ in loader.Load()) == n_whole, cut
            path.write_bytes(data)
            assert sum(1 for _ in loader.Load()) == len(found) - n_whole, cut
    return len(cuts)


def check_files(folder):
    run, scalars, texts, pictures, tables = expected(folder)
    last = event_files(folder)[-1]
    # The folder, not the file: so its name is looked at too.
    events = accumulate(folder)
    assert events.FirstEventTimestamp() == run["started_unix_secs"]
    counts = (check_scalars(events, scalars), len(scalars), check_texts(events, run, texts),
              check_pictures(events, pictures), check_tables(events, tables), check_hparams(events, run), check_cuts(last.read_bytes()))
    print("{}: {} numbers under {} tags, {} texts, {} pictures, {} tables, {} settings, {} cuts".format(folder, *counts))
    return scalars


def ask(url, route, **parameters):
    with urllib.request.urlopen(f"{url}data/plugin/{route}?{urllib.parse.urlencode(parameters)}") as answer:
        return json.load(answer)


def served(url, runs):
    """Every point that the server has, by run and tag; NaN comes as text, as JSON has none."""
    return {
        (run, tag): [(step, at, float(x)) for at, step, x in ask(url, "scalars/scalars", run=run, tag=tag)]
        for run, tags in runs.items()
        for tag in tags
    }


def check_server(folders, scalars):
    """The same numbers from the TensorBoard that people look at, all runs beside each other."""
    with tempfile.TemporaryDirectory() as logdir:
        wanted = {}
        for index, folder in enumerate(folders):
            (Path(logdir) / str(index)).symlink_to(folder.resolve())
            wanted |= {(str(index), tag): points for tag, points in sorted(scalars[index].items())}
        board = program.TensorBoard()
        every = f"scalars={max(map(len, wanted.values()))}"
        board.configure(argv=["", "--logdir", logdir, "--port", "0", "--samples_per_plugin", every])
        url = board.launch()
        # It reads while it serves.
        end = time.monotonic() + SERVER_SECS
        while not same(sorted(served(url, ask(url, "scalars/tags")).items()), sorted(wanted.items())):
            assert time.monotonic() < end, f"after {SERVER_SECS} s TensorBoard has not these numbers"
            time.sleep(1)
        print(f"served: {sum(map(len, wanted.values()))} numbers of {len(folders)} runs")


def main(folders):
    check_server(folders, [check_files(folder) for folder in folders])


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]] or sys.exit(__doc__))
