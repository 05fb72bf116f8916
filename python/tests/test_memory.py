"""Effective weights in memory that is used again."""

from __future__ import annotations

import copy
import gc
from typing import Any

import torch
from torch import nn

import osn

SIDE = 160


def held(rule: str = "always") -> tuple[nn.Linear, osn.Control]:
    layer = nn.Linear(SIDE, SIDE, bias=False)
    return layer, osn.attach(layer, "weight", rule)


def place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def test_a_weight_that_nobody_has_any_more_gives_its_memory_to_the_next() -> None:
    layer, _ = held()
    first = layer.weight
    here = place(first)
    assert place(layer.weight) != here
    del first
    gc.collect()
    assert here in {place(it) for it in (layer.weight, layer.weight)}


def test_what_somebody_has_is_never_written_over() -> None:
    layer, control = held()
    had: list[tuple[torch.Tensor, torch.Tensor]] = []
    for _ in range(5):
        layer.weight  # noqa: B018 (read and let go)
        for view in (layer.weight, layer.weight.detach()[3:], layer.weight.view(-1).unflatten(0, (2, -1))):
            had.append((view, view.detach().clone()))
        as_array = layer.weight.detach().numpy()
        had.append((torch.from_numpy(as_array), torch.from_numpy(as_array.copy())))
        with torch.no_grad():
            layer.parametrizations.weight.original.mul_(1.5).add_(torch.randn(SIDE, SIDE))
        control.step()
    assert all(torch.equal(kept, copied) for kept, copied in had)


def test_what_a_graph_needs_is_there_until_its_backward() -> None:
    """Each of several forwards has the gradients of a layer without such memory."""
    layer, control = held()
    plain = copy.deepcopy(layer)
    plain.parametrizations.weight[0].memory = _NoMemory()
    x = torch.randn(4, SIDE)

    def gradient(of: nn.Linear) -> Any:
        losses = [of(of(x * factor)).square().sum() for factor in (1.0, 2.0, 3.0)]
        of(x)
        sum(losses).backward()
        found = of.parametrizations.weight.original.grad
        of.parametrizations.weight.original.grad = None
        return found

    for _ in range(3):
        assert torch.equal(gradient(layer), gradient(plain))


class _NoMemory:
    def like(self, _: torch.Tensor) -> None:
        return None


def test_a_gradient_that_is_kept_is_never_written_over() -> None:
    layer, _ = held()
    kept = []
    for scale in (1.0, 2.0, 3.0, 4.0):
        (layer.weight.sum() * scale).backward()
        kept.append(layer.parametrizations.weight.original.grad)
        layer.parametrizations.weight.original.grad = None
    for scale, gradient in zip((1.0, 2.0, 3.0, 4.0), kept):
        assert torch.allclose(gradient, kept[0] * scale, rtol=1e-5, atol=1e-6)


def test_copies_share_no_memory() -> None:
    layer, _ = held()
    layer.weight  # noqa: B018
    gc.collect()
    other = copy.deepcopy(layer)
    assert place(other.weight) != place(layer.weight)
