"""What the tests share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest

try:
    import torch
except ModuleNotFoundError:
    torch = None

HERE = Path(__file__).parent

#: What needs no PyTorch.
WITHOUT_TORCH = ("test_command.py", "test_without_torch.py")

if torch is None:
    print("PyTorch is not installed: the tests of osn.attach are skipped")
    collect_ignore = [it.name for it in HERE.glob("test_*.py") if it.name not in WITHOUT_TORCH]


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Random weights are the same in every run."""
    if torch is not None:
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def stream() -> dict[str, Any]:
    """Measurements, signals, and what each rule of the Rust library decided on them."""
    return json.loads((HERE / "data" / "decisions.json").read_text())


def norm(weight: Any) -> float:
    """σ of a weight, output axis first, by PyTorch's decomposition."""
    return float(torch.linalg.matrix_norm(weight.detach().double().flatten(1), 2))


@pytest.fixture()
def checkpoint(tmp_path: Path) -> Path:
    """Two weights and a bias, in the format of safetensors by hand."""
    tensors = {"a.weight": numpy.diag([4.0, 1.0]), "b.weight": numpy.diag([0.5, 0.25]), "a.bias": numpy.ones(2)}
    header, data = {}, b""
    for name, values in tensors.items():
        raw = values.astype("<f4").tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path
