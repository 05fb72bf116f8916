"""Decisions and measurements of the compiled part beside those of the Rust library and of others."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from conftest import HERE
from torch import nn

import osn
from osn import _core
from osn.rule import entries


def _rules(stream: dict[str, Any]) -> list[str]:
    return [rule for rule, _ in stream["decisions"]]


def test_every_rule_decides_as_in_rust(stream: dict[str, Any]) -> None:
    listed = subprocess.run([sys.executable, "-m", "osn", "decide", "list", "--json"], capture_output=True, check=True)
    names = {rule["name"] for rule in json.loads(listed.stdout)["rules"]}
    assert names == {rule.split(":")[0] for rule in _rules(stream)}
    for rule, expected in stream["decisions"]:
        decider = _core.Decider(entries(rule), json.dumps(stream["layers"]))
        for moment, decisions in zip(stream["moments"], expected):
            found = decider.decide(moment["step"], json.dumps(moment["measurements"]), json.dumps(moment["signals"]))
            assert json.loads(found) == decisions, (rule, moment["step"])


def test_a_decider_read_back_midway_goes_on_identically(stream: dict[str, Any]) -> None:
    for rule, expected in stream["decisions"]:
        decider = _core.Decider(entries(rule), json.dumps(stream["layers"]))
        for moment, decisions in zip(stream["moments"], expected):
            again = _core.Decider(entries(rule), json.dumps(stream["layers"]))
            again.resume(decider.state())
            arguments = moment["step"], json.dumps(moment["measurements"]), json.dumps(moment["signals"])
            decider = again
            assert json.loads(decider.decide(*arguments)) == decisions, (rule, moment["step"])


@pytest.mark.parametrize(
    ("measurements", "signals", "words"),
    [("[]", "{}", "0 measurements for 3 layers"), ("{", "{}", "measurements"), ("[]", "3", "signals")],
)
def test_what_is_no_measurement_is_named(stream: dict[str, Any], measurements: str, signals: str, words: str) -> None:
    decider = _core.Decider(entries("cap"), json.dumps(stream["layers"]))
    with pytest.raises(ValueError, match=words):
        decider.decide(0, measurements, signals)


#: Values of PyTorch's own functions; the weights whose rows lie one behind the other begin at v, as the newer one does.
GOLDEN = HERE.parent.parent / "crates" / "osn" / "tests" / "golden"
CASES = [
    ("torch_parametrizations", "linear_tall", 0), ("torch_parametrizations", "linear_wide", 0),
    ("torch_parametrizations", "conv1d", 0), ("torch_parametrizations", "conv2d", 0),
    ("torch_parametrizations", "conv2d_grouped", 0), ("torch_parametrizations", "conv3d", 0),
    ("torch_parametrizations", "embedding", 0), ("torch_spectral_norm", "conv_transpose1d", 1),
    ("torch_spectral_norm", "conv_transpose2d", 1), ("torch_spectral_norm", "conv_transpose3d", 1),
]


@pytest.mark.parametrize(("file", "case", "axis"), CASES)
def test_three_steps_are_three_iterations_of_pytorchs_function(file: str, case: str, axis: int) -> None:
    load_file = pytest.importorskip("safetensors.torch").load_file
    tensors = load_file(GOLDEN / f"{file}.safetensors")
    golden = {name.split(".")[1]: it for name, it in tensors.items() if name.split(".")[0] == case}
    module = nn.Module()
    module.weight = nn.Parameter(golden["weight"])
    control = osn.attach(module, osn.Selection("weight", output_axis=axis), "always")
    norm = module.parametrizations.weight[0]
    norm.vectors = torch.cat([golden["u0"], golden["v0"], torch.ones(5)])
    norm.vectors[-1] = 0
    for step in (1, 2, 3):
        control.step()
        assert float(norm.sigma) == pytest.approx(float(golden[f"sigma{step}"]), rel=1e-4)
        assert torch.allclose(module.weight, golden[f"effective{step}"], rtol=1e-4, atol=1e-6)
    module.weight.backward(golden["cotangent"])
    assert torch.allclose(module.parametrizations.weight.original.grad, golden["grad"], rtol=1e-3, atol=1e-5)
