"""The refresh on the threads of PyTorch's own OpenMP team."""

from __future__ import annotations

import sys
import threading

import pytest
import torch
from torch import Tensor, nn

import osn
from osn.torch import team


def network() -> nn.Module:
    """Large enough for several threads, with weights of several forms."""
    torch.manual_seed(3)
    layers = [nn.Linear(200, 300), nn.Conv2d(30, 50, 3), nn.ConvTranspose2d(30, 50, 3), nn.Linear(300, 200), nn.Embedding(500, 100)]
    return nn.ModuleList([*layers, *(nn.Linear(150, 150) for _ in range(8)), nn.LSTM(100, 100), nn.Linear(130, 90).bfloat16()])


def refreshed(steps: int = 5) -> list[Tensor]:
    model = network()
    control = osn.attach(model, "**.weight*", "always")
    for _ in range(steps):
        control.step()
    return [it.vectors for it in model.modules() if hasattr(it, "vectors")]


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")
def test_the_team_is_found_where_pytorch_has_one() -> None:
    if torch.backends.openmp.is_available():
        assert team.address() != 0


def test_the_bits_are_those_of_threads_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    if team.address() == 0:
        pytest.skip("no OpenMP team")
    on_team = refreshed()
    monkeypatch.setattr(team, "address", lambda: 0)
    own = refreshed()
    assert len(own) == 16 and all(torch.equal(a, b) for a, b in zip(on_team, own, strict=True))


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_the_bits_do_not_depend_on_the_number_of_threads(n_threads: int) -> None:
    before, expected = torch.get_num_threads(), refreshed()
    torch.set_num_threads(n_threads)
    try:
        assert all(torch.equal(a, b) for a, b in zip(refreshed(), expected, strict=True))
    finally:
        torch.set_num_threads(before)


def test_several_threads_of_python_step_models_of_their_own() -> None:
    expected, found = refreshed(), {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: refreshed()})) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # `torch.manual_seed` is of the process: only whether each came to an end with sound vectors is sure.
    assert len(found) == 3 and all(len(it) == len(expected) for it in found.values())
    assert all(torch.isfinite(vectors).all() for it in found.values() for vectors in it)
