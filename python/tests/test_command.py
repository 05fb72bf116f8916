"""The command ``osn`` of the wheel, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
STUDY = REPOSITORY / "docs" / "studies"

COMMAND = [sys.executable, "-m", "osn"]


def osn(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture()
def run(tmp_path: Path) -> Path:
    """A run with two layers, of which one was switched."""
    folder = tmp_path / "run"
    folder.mkdir()
    decisions = [(0, "a.weight", "nothing", "off"), (0, "b.weight", "nothing", "off"), (6, "a.weight", "off", "cap at 2")]
    events = [{"event": "step", "step": 10, "losses": {"train_loss": 0.5}, "signals": {}, "wall_secs": 1.0}]
    for step, path, before, after in decisions:
        place = {"step": step, "network": "model", "path": path}
        events.append({"event": "decision", **place, "from": before, "to": after, "reason": f"because of {step}"})
    events.sort(key=lambda event: event["step"])
    (folder / "record.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    described = {"schema": 2, "recipe": "torch", "decide": "cap", "seed": 1, "status": "finished", "config": {}}
    (folder / "run.json").write_text(json.dumps(described))
    return folder


def test_a_checkpoint_is_measured_and_normalized(checkpoint: Path, tmp_path: Path) -> None:
    lines = osn("inspect", checkpoint).stdout.splitlines()
    assert lines[1].split()[:4] == ["a.weight", "2×2", "F32", "4.000"]
    found = json.loads(osn("inspect", checkpoint, "--json", "--select", "b.*").stdout)
    assert [it["name"] for it in found["tensors"]] == ["b.weight"]
    osn("normalize", checkpoint, tmp_path / "out.safetensors", "--target", "2")
    again = json.loads(osn("inspect", tmp_path / "out.safetensors", "--json").stdout)
    assert {it["sigma"]["value"] for it in again["tensors"]} == {2.0}
    assert "No such file" in osn("inspect", tmp_path / "missing", code=2).stderr


def test_decisions_are_explained(run: Path) -> None:
    assert osn("decide", "why", run).stdout.splitlines() == [
        "model a.weight: cap at 2 since step 6: because of 6",
        "model b.weight: off since step 0: because of 0",
    ]
    assert "model a.weight: off since step 0" in osn("decide", "why", run, "5").stdout
    # Four of ten steps of one of two layers; stretches of 6, 4 and 10 steps.
    assert osn("decide", "like", run).stdout == "random:duty=0.200,dwell=7\n"
    assert osn("decide", "why", run / "missing", code=2).stderr.startswith("error: ")


def test_rules_are_listed_and_a_file_of_them_is_checked(tmp_path: Path) -> None:
    rules = {rule["name"] for rule in json.loads(osn("decide", "list", "--json").stdout)["rules"]}
    assert {"auto", "always", "never", "cap"} <= rules
    assert osn("decide", "check", REPOSITORY / "examples" / "rules.toml").stdout.startswith("rule 1: ")
    (tmp_path / "rules.toml").write_text('[[rule]]\nrule = "perhaps"')
    assert "line 2" in osn("decide", "check", tmp_path / "rules.toml", code=2).stderr


def test_the_analysis_of_a_study_is_printed_and_a_page_is_written(tmp_path: Path) -> None:
    study = json.loads(next(STUDY.rglob("study.json")).read_text())
    (tmp_path / "study.json").write_text(json.dumps(study))
    done = osn("report", tmp_path)
    assert all(arm["name"] in done.stdout for arm in study["asked"]["arms"])
    assert "wrote" in done.stderr and (tmp_path / "report.html").is_file()


def test_what_trains_is_elsewhere(tmp_path: Path) -> None:
    for word in ("train", "resume", "compare", "settings", "data"):
        said = osn(word, "gan", code=2).stderr
        assert "is in the full program" in said and "cargo install --path crates/osn-cli" in said
        assert len(said.splitlines()) == 1
    help_text = osn("--help").stdout
    assert "watch" in help_text and "train" not in help_text.split("Commands:")[1]
    assert osn("--version").stdout.startswith("osn ")
    assert "Usage" in osn().stderr + osn().stdout


def test_a_run_that_ended_is_a_page_and_one_whose_process_died_says_so(run: Path) -> None:
    assert "the run has ended" in osn("watch", run).stderr
    assert (run / "report.html").is_file()
    described = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**described, "status": "running"}))
    assert "has died" in osn("watch", run, code=1).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_training_in_pytorch_is_watched_until_it_ends(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    trained = tmp_path / "run"
    code = (
        "import sys, torch, osn\n"
        "control = osn.attach(torch.nn.Linear(6, 4))\n"
        f"with osn.Recorder(control, {str(trained)!r}, every=1):\n"
        "    control.step(train_loss=1.0)\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    training = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    quiet = {**os.environ, "BROWSER": "true"}
    try:
        assert training.stdout is not None and training.stdout.readline() == "ready\n"
        watching = _watch(trained, quiet)
        page = urllib.request.urlopen(_address(watching)).read().decode()
        assert "weight" in page
        watching.send_signal(signal.SIGINT)
        assert (watching.wait(), "Traceback" in watching.stderr.read()) == (130, False)  # type: ignore[union-attr]
        watching = _watch(trained, quiet)
        _address(watching)
        training.communicate("\n")
        assert watching.wait() == 0
    finally:
        training.kill()


def _watch(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, "watch", str(folder)], stderr=subprocess.PIPE, text=True, env=environment)


def _address(watching: subprocess.Popen[str]) -> str:
    assert watching.stderr is not None
    line = watching.stderr.readline()
    assert "http://" in line, line + watching.stderr.read()
    return "http://" + line.split("http://")[1].split()[0]
