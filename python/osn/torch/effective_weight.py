"""The effective weight ``Ŵ = s·W`` and its backward.

With ``G = ∂L/∂Ŵ``, the elasticity ``γ = −d ln s/d ln σ`` and constant u and v,

    ∂L/∂W = s·G − (γ/σ)·⟨G, Ŵ⟩·u vᵀ        (for γ = 1 Miyato et al. 2018, section 2.3)

The gradient of the ``probe`` is ``⟨G, Ŵ⟩`` of each block, which rules read. A second backward through this one is an
error: s, u and v are constants of the step, and its terms would be missing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from osn.torch.form import ELASTICITY, SCALE, SIGMA, SIGMA_FLOOR, STATE_LEN
from osn.torch.memory import Memory

Plain = tuple[int, int, int, tuple[tuple[int, int, int], ...], str, int, int]


class EffectiveWeight(torch.autograd.Function):
    """One node of the graph: ``apply(weight, vectors, probe, plain, memory)``."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, vectors: Tensor, probe: Tensor | None, plain: Plain, memory: Memory | None
    ) -> Tensor:
        ctx.save_for_backward(weight, vectors)
        ctx.plain, ctx.memory = plain, memory
        return scaled(weight, vectors, plain, memory)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None, None, None]:
        weight, vectors = ctx.saved_tensors
        at_weight, along = gradients(grad, weight, vectors, ctx.plain, ctx.memory)
        is_needed, _, is_probed, *_ = ctx.needs_input_grad
        return (at_weight if is_needed else None), None, (along if is_probed else None), None, None


def scaled(weight: Tensor, vectors: Tensor, plain: Plain, memory: Memory | None = None) -> Tensor:
    """``s·W``, with an s for each block; multiplied in f32 or better and rounded once."""
    outer, count, inner, *_ = plain
    scale = _states(vectors, plain)[:, SCALE]
    if count == 1:
        out = memory.like(weight) if memory is not None else None
        return torch.mul(weight, scale, out=out) if out is not None else (weight * scale).to(weight.dtype)
    blocks = weight.reshape(outer, count, inner) * scale.view(1, count, 1)
    return blocks.to(weight.dtype).view(weight.shape)


def gradients(
    grad: Tensor, weight: Tensor, vectors: Tensor, plain: Plain, memory: Memory | None = None
) -> tuple[Tensor, Tensor]:
    """``∂L/∂W`` in the shape of the weight, and ``⟨G, Ŵ⟩`` of each block, ``[count]`` in f32."""
    outer, count, inner, _, mode, *_ = plain
    compute = torch.float64 if weight.dtype == torch.float64 else torch.float32
    if grad.is_sparse:
        grad = grad.to_dense()
    states = _states(vectors, plain).to(compute)
    scale = states[:, SCALE]
    shape = (outer, count, inner)
    g, w = grad.to(compute).reshape(shape), weight.to(compute).reshape(shape)
    along = scale * (torch.dot(g.view(-1), w.view(-1)) if count == 1 else (g * w).sum((0, 2)))
    if mode == "detached":
        at_weight = g * scale.view(1, count, 1)
    else:
        inward = along.clamp(max=0) if mode == "inward_only" else along
        factor = inward * states[:, ELASTICITY] / states[:, SIGMA].clamp_min(SIGMA_FLOOR)
        at_weight = _minus_radial((g, w), scale, factor, vectors.to(compute), plain, memory)
    return at_weight.reshape(weight.shape).to(weight.dtype), along.to(torch.float32)


def _minus_radial(
    pair: tuple[Tensor, Tensor], scale: Tensor, factor: Tensor, vectors: Tensor, plain: Plain, memory: Memory | None
) -> Tensor:
    """``s·G − factor·∂σ/∂W`` of each block of G and W, in the shape of the weight or its blocks."""
    g, w = pair
    outer, count, inner, layouts, _, rows, cols = plain
    if not layouts:
        kernel = vectors[count * (rows + cols + STATE_LEN) :]
        return g * scale - (factor * kernel).view(g.shape)
    u, v = vectors[: count * rows].view(count, rows), vectors[count * rows :][: count * cols].view(count, cols)
    if count == 1 and len(layouts) == 1 and layouts[0][0] == 1 and g.device.type == "cpu" and not _is_traced():
        # One pass over the gradient; on the host a number costs no copy.
        _, height, width = layouts[0]
        g = g.view(height, width)
        out = memory.like(w.view(height, width)) if memory is not None else None
        return torch.addr(g, u[0] * factor, v[0], beta=scale.item(), alpha=-1, out=out)
    result = g * scale.view(1, count, 1)
    factor, row, column = factor / len(layouts), 0, 0
    for before, height, behind in layouts:
        width = before * behind
        left = (u[:, row : row + height] * factor.view(count, 1)).view(count, 1, height, 1)
        right = v[:, column : column + width].view(count, before, 1, behind)
        row, column = row + height, column + width
        radial = (left * right).reshape(count, outer, inner)
        result = result - radial.transpose(0, 1)
    return result


def _is_traced() -> bool:
    return torch.compiler.is_compiling()


def _states(vectors: Tensor, plain: Plain) -> Tensor:
    _, count, _, _, _, rows, cols = plain
    return vectors[count * (rows + cols) :][: count * STATE_LEN].view(count, STATE_LEN)
