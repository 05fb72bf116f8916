"""The backward beside PyTorch's own differentiation, in every layout."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import osn
from osn.torch.effective_weight import EffectiveWeight
from osn.torch.form import STATE_LEN


def holder(shape: tuple[int, ...], view: str, gradient: str = "full", axis: int = 0) -> Any:
    module = nn.Module()
    module.weight = nn.Parameter(torch.randn(shape))
    osn.attach(module, osn.Selection("weight", view=view, output_axis=axis), "always", gradient=gradient)
    norm = module.parametrizations.weight[0]
    norm.stored = module.parametrizations.weight.original.detach()
    return norm


def sigma_of(weight: Tensor, vectors: Tensor, plain: Any) -> Tensor:
    """uᵀA v of each block, differentiable, by the definition of the layouts."""
    outer, count, inner, layouts, _, rows, cols = plain
    blocks = weight.reshape(outer, count, inner).transpose(0, 1)
    u = vectors[: count * rows].view(count, rows).to(weight.dtype)
    v = vectors[count * rows :][: count * cols].view(count, cols).to(weight.dtype)
    total, row, column = 0.0, 0, 0
    for before, height, behind in layouts:
        width = before * behind
        matrix = blocks.reshape(count, before, height, behind).transpose(1, 2).reshape(count, height, width)
        left, right = u[:, row : row + height], v[:, column : column + width]
        total = total + torch.einsum("bi,bij,bj->b", left, matrix, right)
        row, column = row + height, column + width
    return total / len(layouts)


CASES = [
    ((5, 7), "reshaped", 0),
    ((7, 5), "reshaped", 1),
    ((4, 3, 2, 2), "reshaped", 0),
    ((4, 3, 2, 2), "reshaped", 1),
    ((4, 3, 2, 2), "bidirectional", 0),
    ((6, 4), "blocks:axis=0,count=3", 0),
    ((4, 6), "blocks:axis=1,count=3", 0),
    ((4, 6), "blocks:axis=1,count=2", 1),
    ((4, 6, 3), "blocks:axis=1,count=2", 0),
    ((1, 6), "reshaped", 0),
]


@pytest.mark.parametrize(("shape", "view", "axis"), CASES)
@pytest.mark.parametrize("elasticity", [1.0, 0.4])
def test_the_gradient_is_that_of_a_scale_that_follows_sigma(
    shape: tuple[int, ...], view: str, axis: int, elasticity: float
) -> None:
    norm = holder(shape, view, axis=axis)
    plain = norm.plain
    at, count = norm.form.states_at, plain[1]

    def effective(weight: Tensor) -> Tensor:
        """s = σ^−γ, put into the state as a refresh would; the numerical derivative sees s move with σ."""
        vectors = norm.vectors.double().clone()
        sigma = sigma_of(weight.detach(), vectors, plain)
        states = vectors[at:].view(count, STATE_LEN)
        states[:, 0], states[:, 1], states[:, 2] = sigma, sigma**-elasticity, elasticity
        return EffectiveWeight.apply(weight, vectors, None, plain, None)

    # Near the measured weight, where uᵀA v is positive.
    weight = (norm.stored.double() + 0.01 * torch.randn(shape)).requires_grad_()
    assert torch.autograd.gradcheck(effective, (weight,), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("gradient", ["full", "detached", "inward_only"])
def test_the_three_gradients_differ_as_documented(gradient: str) -> None:
    norm = holder((5, 7), "reshaped", gradient)
    weight = torch.randn(5, 7, requires_grad=True)
    vectors = norm.vectors
    cotangent = torch.randn(5, 7)
    EffectiveWeight.apply(weight, vectors, None, norm.plain, None).backward(cotangent)
    sigma, scale = norm.sigma, norm.scale
    along = (cotangent * scale * weight.detach()).sum()
    radial = along / sigma * torch.outer(vectors[:5], vectors[5:12])
    is_radial = {"full": True, "detached": False, "inward_only": bool(along <= 0)}[gradient]
    expected = scale * cotangent - (radial if is_radial else 0)
    assert torch.allclose(weight.grad, expected, atol=1e-5)


def test_the_gradient_of_the_probe_is_along_the_effective_weight() -> None:
    for shape, view, axis in CASES:
        norm = holder(shape, view, axis=axis)
        outer, count, inner, *_ = norm.plain
        weight = torch.randn(shape, requires_grad=True)
        probe = torch.zeros(count, requires_grad=True)
        out = EffectiveWeight.apply(weight, norm.vectors, probe, norm.plain, None)
        cotangent = torch.randn(shape)
        out.backward(cotangent)
        expected = (cotangent * out).detach().reshape(outer, count, inner).sum((0, 2))
        assert torch.allclose(probe.grad, expected, atol=1e-5)


def test_the_growth_is_the_derivative_of_the_loss_along_that_of_sigma() -> None:
    """−⟨G, D⟩/‖D‖² of each block, with D = ∂σ/∂W from PyTorch's differentiation of uᵀA v."""
    for shape, view, axis in CASES:
        norm = holder(shape, view, axis=axis)
        outer, count, inner, *_ = norm.plain
        weight = torch.randn(shape, requires_grad=True)
        (direction,) = torch.autograd.grad(sigma_of(weight, norm.vectors, norm.plain).sum(), weight)
        probe = torch.zeros(2 * count, requires_grad=True)
        cotangent = torch.randn(shape)
        EffectiveWeight.apply(weight, norm.vectors, probe, norm.plain, None).backward(cotangent)
        products = [(it * direction).reshape(outer, count, inner).sum((0, 2)) for it in (cotangent, direction)]
        assert torch.allclose(probe.grad[count:], -products[0] / products[1], atol=1e-5)


def test_an_operator_view_has_the_gradient_of_the_convolution() -> None:
    norm = holder((3, 2, 3, 3), "operator:size=5x5,padding=1")
    weight = torch.randn(3, 2, 3, 3, requires_grad=True)
    u, v = norm.vectors[:75].view(1, 3, 5, 5), norm.vectors[75:125].view(1, 2, 5, 5)
    (u * nn.functional.conv2d(v, weight, padding=1)).sum().backward()
    expected = weight.grad.clone()
    weight.grad = None
    cotangent = torch.randn(3, 2, 3, 3)
    probe = torch.zeros(2, requires_grad=True)
    EffectiveWeight.apply(weight, norm.vectors, probe, norm.plain, None).backward(cotangent)
    growth = -(cotangent * expected).sum() / expected.square().sum()
    assert torch.allclose(probe.grad[1], growth, rtol=1e-4)
    along = (cotangent * norm.scale * weight.detach()).sum()
    assert torch.allclose(weight.grad, norm.scale * cotangent - along / norm.sigma * expected, atol=1e-4)


def test_a_second_backward_is_an_error_and_not_a_wrong_number() -> None:
    layer = nn.Linear(4, 3)
    osn.attach(layer, "weight")
    original = layer.parametrizations.weight.original
    (gradient,) = torch.autograd.grad(layer(torch.randn(2, 4)).square().sum(), original, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable|differentiate twice"):
        gradient.square().sum().backward()


def test_a_penalty_on_the_gradient_at_the_input_trains_the_weight() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    osn.attach(model)
    x = torch.randn(3, 4, requires_grad=True)
    (at_input,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    at_input.square().sum().backward()
    assert model[0].parametrizations.weight.original.grad.abs().sum() > 0


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]),
    permuted=st.booleans(),
    strided=st.booleans(),
    data=st.data(),
)
def test_any_shape_type_and_stride_is_normalized(
    shape: list[int], dtype: torch.dtype, permuted: bool, strided: bool, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(0, min(1, len(shape) - 1)))
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(math.prod(shape)))
    if strided:
        weight = torch.cat([weight, weight + 1], -1)[..., ::2]
    if permuted:
        weight = weight.transpose(-1, 0).contiguous().transpose(-1, 0)
    module = nn.Module()
    module.weight = nn.Parameter(weight.to(dtype))
    control = osn.attach(module, osn.Selection("weight", output_axis=axis), "always")
    control.step()
    effective = module.weight
    assert (effective.dtype, effective.shape) == (dtype, weight.shape)
    matrix = effective.detach().double().movedim(axis, 0).flatten(1)
    tolerance = {torch.float16: 5e-3, torch.bfloat16: 3e-2}.get(dtype, 1e-4)
    assert torch.linalg.matrix_norm(matrix, 2).item() == pytest.approx(1, rel=tolerance)
    effective.sum().backward()
    assert module.parametrizations.weight.original.grad.isfinite().all()
