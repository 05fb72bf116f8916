"""The run folder, as the reader of runs reads it."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import pytest
import torch
from torch import nn

import osn


def begun(rule: str = "schedule:on=4,interval=2") -> tuple[nn.Module, osn.Control]:
    model = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))
    return model, osn.attach(model, rule=rule)


def test_a_run_becomes_a_page(tmp_path: Path) -> None:
    _, control = begun()
    with osn.Recorder(control, tmp_path / "run", every=5, name="mine", config={"lr": 0.1}):
        for step in range(20):
            control.step(train_loss=torch.tensor(1.0 / (1 + step)), metrics={"accuracy": 0.5} if step == 9 else None)
    events = [json.loads(line) for line in (tmp_path / "run" / "record.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert (kinds.count("step"), kinds.count("layer"), kinds.count("eval")) == (4, 8, 1)
    switched = [event for event in events if event["event"] == "decision" and event["step"] > 0]
    assert [(it["step"], it["from"], it["to"]) for it in switched] == [(4, "off", "normalize to 1")] * 2
    begun_with = [event["from"] for event in events if event["event"] == "decision" and event["step"] == 0]
    assert begun_with == ["nothing"] * 2
    description = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (description["status"], description["totals"]["steps"]) == ("finished", 20)
    assert [layer["n_decisions"] for layer in description["totals"]["layers"]] == [1, 1]
    page = osn.report(tmp_path / "run").read_text()
    assert "0.weight" in page and "mine" in page


def test_a_layer_event_has_the_number_that_the_rule_decides_by(tmp_path: Path) -> None:
    _, control = begun("auto:task=classify,interval=1")
    with osn.Recorder(control, tmp_path / "run", every=1):
        control.step(train_loss=0.25, held_out_loss=1.0)
    events = [json.loads(line) for line in (tmp_path / "run" / "record.jsonl").read_text().splitlines()]
    seen = [event["evidence"] for event in events if event["event"] == "layer"]
    assert [(it["value"], it["thresholds"]) for it in seen] == [(0.75, [0.4])] * 2
    assert '<svg class="evidence"' in osn.report(tmp_path / "run").read_text()


def test_samples_that_are_pictures_or_tables_are_on_the_page_and_others_are_not_read(tmp_path: Path) -> None:
    _, control = begun("never")
    with osn.Recorder(control, tmp_path):
        control.step()
    samples = tmp_path / "samples"
    samples.mkdir()
    (samples / "step-000001.png").write_bytes(b"a picture")
    table = {"columns": ["source", "translation"], "rows": [["drei Katzen", "three cats"]]}
    (samples / "step-000001.json").write_text(json.dumps(table))
    (samples / "step-000001-1.wav").write_bytes(b"a sound")
    page = osn.report(tmp_path).read_text()
    assert "three cats" in page and base64.b64encode(b"a picture").decode() in page
    assert base64.b64encode(b"a sound").decode() not in page
    (samples / "step-000002.json").write_text("[]")
    with pytest.raises(ValueError, match="step-000002.json"):
        osn.report(tmp_path)


def test_a_run_that_raises_says_so_and_a_folder_is_used_once(tmp_path: Path) -> None:
    _, control = begun()
    with pytest.raises(ZeroDivisionError), osn.Recorder(control, tmp_path):
        raise ZeroDivisionError("by hand")
    description = json.loads((tmp_path / "run.json").read_text())
    assert (description["status"], description["error"]) == ("failed", "ZeroDivisionError: by hand")
    with pytest.raises(FileExistsError):
        osn.Recorder(control, tmp_path)
    with pytest.raises(ValueError, match="at least 1"):
        osn.Recorder(control, tmp_path / "other", every=0)


def test_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    _, control = begun("never")
    with osn.Recorder(control, tmp_path, every=1):
        control.step(train_loss=float("nan"))
    assert '"train_loss": null' in (tmp_path / "record.jsonl").read_text()
    osn.report(tmp_path)


def test_tensorboard_has_the_run(tmp_path: Path) -> None:
    _, control = begun()
    with osn.Recorder(control, tmp_path / "run", every=5, tensorboard=True):
        for _ in range(7):
            control.step(train_loss=0.5, metrics={"accuracy": 0.25})
    (events,) = (tmp_path / "run").glob("events.out.tfevents.*")
    records = _records(events.read_bytes())
    assert b"brain.Event:2" in records[0]
    for tag in (b"loss/train_loss", b"accuracy", b"0.weight"):
        assert any(tag in record for record in records), tag


def _records(data: bytes) -> list[bytes]:
    """The records of an event file: a length, its checksum, the record, its checksum."""
    found, place = [], 0
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        found.append(data[place + 12 : place + 12 + length])
        place += length + 16
    assert place == len(data)
    return found
