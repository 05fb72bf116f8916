"""Event files as TensorBoard's own writer makes them, for tests/tensorboard.rs.

    pip install tensorboard==2.21.0
    python make.py

Writes `events.tfevents`, what osn should make of `run.json`, `record.jsonl` and `step-000002.png`
in this folder; the picture is made here too. `translation.tfevents` is of one head of attention and of
samples that are text. Every event is spelled out: nothing is computed from the
run's files.
"""

import struct
import zlib
from pathlib import Path

from google.protobuf import struct_pb2
from tensorboard.compat.proto.event_pb2 import Event, SourceMetadata
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo
from tensorboard.summary.writer.record_writer import RecordWriter

HERE = Path(__file__).parent
START = 1700000000.0
NAN, INF = float("nan"), float("inf")

CONFIG = """\
    {
      "ema": null,
      "flip": true,
      "generator": {
        "beta_1": 0.5,
        "channels": [
          64,
          32
        ]
      },
      "loss": "hinge",
      "steps": 3
    }"""
RUN = """\
    {
      "decide": "cap",
      "recipe": "gan",
      "seed": 7,
      "started_unix_secs": 1700000000
    }"""
HPARAMS = {
    "config.flip": struct_pb2.Value(bool_value=True),
    "config.generator.beta_1": struct_pb2.Value(number_value=0.5),
    "config.generator.channels": struct_pb2.Value(string_value="[64,32]"),
    "config.loss": struct_pb2.Value(string_value="hinge"),
    "config.steps": struct_pb2.Value(number_value=3),
    "decide": struct_pb2.Value(string_value="cap"),
    "recipe": struct_pb2.Value(string_value="gan"),
    "seed": struct_pb2.Value(number_value=7),
}


def png():
    """Three pixels beside each other, two rows, RGB."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + bytes(range(row, row + 9)) for row in (0, 100))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def summary(step, secs, *values):
    return Event(wall_time=START + secs, step=step, summary=Summary(value=values))


def scalars(step, secs, numbers):
    return summary(step, secs, *(Summary.Value(tag=tag, simple_value=x) for tag, x in numbers.items()))


# Samples that are text, with all that Markdown or HTML would take as theirs.
TABLE = r"""| source | reference |
| --- | --- |
| &#42;a&#42; &#60;b&#62; &#124; &#96;c&#96; &#38; d | Flagge: Ålandinseln |
| &#91;x&#93;&#40;y&#41; | %s |
""" % "\u0645\u06cc\u200c\u0631\u0648\u0645"


def text(step, secs, tag, words):
    plugin = SummaryMetadata.PluginData(plugin_name="text")
    tensor = TensorProto(
        dtype=DT_STRING, tensor_shape=TensorShapeProto(), string_val=[words.encode()]
    )
    metadata = SummaryMetadata(plugin_data=plugin)
    return summary(step, secs, Summary.Value(tag=tag, metadata=metadata, tensor=tensor))


def image(step, secs, tag, height, width, channels, data):
    picture = Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=data
    )
    return summary(step, secs, Summary.Value(tag=tag, image=picture))


def hparams():
    session = SessionStartInfo(hparams=HPARAMS, start_time_secs=START)
    content = HParamsPluginData(session_start_info=session)
    metadata = hparams_metadata.create_summary_metadata(content)
    # A map has no order of its own; this one is by key.
    metadata.plugin_data.content = content.SerializeToString(deterministic=True)
    value = Summary.Value(
        tag=hparams_metadata.SESSION_START_INFO_TAG,
        metadata=metadata,
        tensor=hparams_metadata.NULL_TENSOR,
    )
    return summary(0, 0.0, value)


def head():
    yield Event(
        wall_time=START,
        file_version="brain.Event:2",
        source_metadata=SourceMetadata(writer="osn"),
    )
    yield hparams()
    yield text(0, 0.0, "config", CONFIG)
    yield text(0, 0.0, "run", RUN)


def events(picture):
    d = "discriminator"
    decision = f"decision/{d}/conv1.weight"
    yield from head()
    yield text(0, 0.0, decision, "    nothing → cap at 1: cap: *the* _start_ of <b>all</b>")
    yield scalars(
        1, 0.25, {"loss/discriminator": 2.0, "loss/generator": -0.1, "signal/separation": 0.3}
    )
    yield scalars(
        1,
        0.25,
        {
            f"sigma/{d}/conv1.weight": 1.5,
            f"sigma_stored/{d}/conv1.weight": 3.0,
            f"sigma_target/{d}/conv1.weight": 1.0,
            f"elasticity/{d}/conv1.weight": 1.0,
            f"stable_rank/{d}/conv1.weight": 2.5,
        },
    )
    yield scalars(
        1,
        0.25,
        {
            f"sigma/{d}/linear.weight": NAN,
            f"sigma_stored/{d}/linear.weight": NAN,
            f"elasticity/{d}/linear.weight": 0.0,
        },
    )
    yield text(2, 0.25, decision, "    cap at 1 → off: σ fell\n    below 1")
    yield scalars(2, 0.5, {"loss/generator": NAN})
    yield scalars(
        2,
        0.5,
        {
            f"sigma/{d}/conv1.weight": INF,
            f"sigma_stored/{d}/conv1.weight": INF,
            f"sigma_target/{d}/conv1.weight": 0.0,
            f"elasticity/{d}/conv1.weight": 0.0,
            f"stable_rank/{d}/conv1.weight": 1.0,
        },
    )
    yield image(2, 0.5, "samples", 2, 3, 3, picture)
    yield scalars(2, 1.75, {"score/frechet": 12.5, "score/kid": 0.01, "score_real_vs_real/frechet": 0.5})
    yield scalars(3_000_000_000, 86400.0, {"loss/generator": 0.0})


def translation():
    yield from head()
    d = "transformer/decoder.0.cross"
    yield scalars(1, 0.0, {f"entropy/{d}/2": 1.25, f"max_logit/{d}/2": NAN})
    yield text(2, 0.0, "samples", TABLE)


def main():
    picture = png()
    (HERE / "step-000002.png").write_bytes(picture)
    write("events.tfevents", events(picture))
    write("translation.tfevents", translation())


def write(name, events):
    with open(HERE / name, "wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())


if __name__ == "__main__":
    main()
