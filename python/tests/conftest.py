"""What the tests share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

try:
    import torch
except ModuleNotFoundError:
    torch = None

HERE = Path(__file__).parent

if torch is None:
    print("PyTorch is not installed: the tests of osn.attach are skipped")
    collect_ignore = [it.name for it in HERE.glob("test_*.py") if it.name != "test_without_torch.py"]


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
