"""The effective weight ``Ŵ = s·W`` and its backward.

With ``G = ∂L/∂Ŵ``, the elasticity ``γ = −d ln s/d ln σ`` and constant u and v,

    ∂L/∂W = s·G − (γ/σ)·⟨G, Ŵ⟩·u vᵀ        (for γ = 1 Miyato et al. 2018, section 2.3)

The gradient of the ``probe`` is ``⟨G, Ŵ⟩`` of each block, which rules read; of one with two numbers a block, behind them
``−⟨G, D⟩/‖D‖²`` with ``D = ∂σ/∂W``, by which a larger σ lowers the loss (``osn_core::layer::Growth``). A second backward through this one is an
error: s, u and v are constants of the step, and its terms would be missing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from osn.torch.form import ELASTICITY, SCALE, SIGMA, SIGMA_FLOOR, STATE_LEN, Plain
from osn.torch.host import has_kernels
from osn.torch.memory import Memory

#: The kernels count entries in 32 bits.
_MOST_ENTRIES = 1 << 31


class EffectiveWeight(torch.autograd.Function):
    """One node of the graph: ``apply(weight, vectors, probe, plain, memory)``."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, vectors: Tensor, probe: Tensor | None, plain: Plain, memory: Memory | None
    ) -> Tensor:
        ctx.save_for_backward(weight, vectors)
        ctx.plain, ctx.memory = plain, memory
        ctx.has_growth = probe is not None and len(probe) > plain[1]
        return scaled(weight, vectors, plain, memory)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None, None, None]:
        weight, vectors = ctx.saved_tensors
        at_weight, at_probe = gradients(grad, weight, vectors, ctx.plain, ctx.has_growth, ctx.memory)
        is_needed, _, is_probed, *_ = ctx.needs_input_grad
        return (at_weight if is_needed else None), None, (at_probe if is_probed else None), None, None


def scaled(weight: Tensor, vectors: Tensor, plain: Plain, memory: Memory | None = None) -> Tensor:
    """``s·W``, with an s for each block; multiplied in f32 or better and rounded once."""
    outer, count, inner, _, _, rows, cols = plain
    if count == 1 and memory is not None and (out := memory.like(weight)) is not None:
        # A single number, by the shortest way to it.
        return torch.mul(weight, vectors[rows + cols + SCALE], out=out)
    scale = _states(vectors, plain)[:, SCALE]
    if count == 1:
        return (weight * scale).to(weight.dtype)
    blocks = weight.reshape(outer, count, inner) * scale.view(1, count, 1)
    return blocks.to(weight.dtype).view(weight.shape)


def gradients(
    grad: Tensor, weight: Tensor, vectors: Tensor, plain: Plain, has_growth: bool = False, memory: Memory | None = None
) -> tuple[Tensor, Tensor]:
    """``∂L/∂W`` in the shape of the weight, and the gradient of the probe, ``[count]`` or ``[2·count]`` in f32."""
    has_form = len(plain[3]) > 0 and weight.dtype != torch.float64 and weight.numel() < _MOST_ENTRIES
    if has_form and not _is_traced() and not grad.is_sparse and has_kernels(weight.device):
        from osn.torch import fused

        return fused.gradients(grad, weight, vectors, plain, has_growth)
    return composed_gradients(grad, weight, vectors, plain, has_growth, memory)


def composed_gradients(
    grad: Tensor, weight: Tensor, vectors: Tensor, plain: Plain, has_growth: bool = False, memory: Memory | None = None
) -> tuple[Tensor, Tensor]:
    """The same in PyTorch's operations, on any device and of any type."""
    outer, count, inner, _, mode, *_ = plain
    compute = torch.float64 if weight.dtype == torch.float64 else torch.float32
    if grad.is_sparse:
        grad = grad.to_dense()
    states, vectors = _states(vectors, plain).to(compute), vectors.to(compute)
    scale = states[:, SCALE]
    shape = (outer, count, inner)
    # A dot product with a number that is only stretched out takes ten times as long.
    g, w = grad.to(compute).contiguous().view(shape), weight.to(compute).reshape(shape)
    along = scale * (torch.dot(g.view(-1), w.view(-1)) if count == 1 else (g * w).sum((0, 2)))
    if mode == "detached":
        at_weight = g * scale.view(1, count, 1)
    else:
        inward = along.clamp(max=0) if mode == "inward_only" else along
        factor = inward * states[:, ELASTICITY] / states[:, SIGMA].clamp_min(SIGMA_FLOOR)
        at_weight = _minus_radial((g, w), scale, factor, vectors, plain, memory)
    at_probe = torch.cat([along, _growth(g, vectors, plain)]) if has_growth else along
    return at_weight.reshape(weight.shape).to(weight.dtype), at_probe.to(torch.float32)


def _minus_radial(
    pair: tuple[Tensor, Tensor], scale: Tensor, factor: Tensor, vectors: Tensor, plain: Plain, memory: Memory | None
) -> Tensor:
    """``s·G − factor·D`` of each block of G and W, in the shape of the weight or its blocks."""
    g, w = pair
    count = plain[1]
    if (one := _as_matrix(vectors, plain)) is not None and g.device.type == "cpu" and not _is_traced():
        # One pass over the gradient; on the host a number costs no copy.
        u, v = one
        g = g.view(len(u), len(v))
        out = memory.like(w.view(g.shape)) if memory is not None else None
        return torch.addr(g, u * factor, v, beta=scale.item(), alpha=-1, out=out)
    return g * scale.view(1, count, 1) - factor.view(1, count, 1) * _direction(vectors, plain)


def _growth(g: Tensor, vectors: Tensor, plain: Plain) -> Tensor:
    """``−⟨G, D⟩/‖D‖²`` of each block."""
    if (one := _as_matrix(vectors, plain)) is not None:
        u, v = one
        return -torch.dot(u, g.view(len(u), len(v)) @ v).view(1)
    direction = _direction(vectors, plain)
    return -(g * direction).sum((0, 2)) / direction.square().sum((0, 2)).clamp_min(SIGMA_FLOOR)


def _as_matrix(vectors: Tensor, plain: Plain) -> tuple[Tensor, Tensor] | None:
    """u and v of a weight that is one matrix with its rows one behind the other."""
    _, count, _, layouts, _, rows, cols = plain
    if count > 1 or len(layouts) != 1 or layouts[0][0] != 1:
        return None
    return vectors[:rows], vectors[rows : rows + cols]


def _direction(vectors: Tensor, plain: Plain) -> Tensor:
    """``D = ∂σ/∂W`` of each block, ``[outer, count, inner]``: the mean of u vᵀ of its maps."""
    outer, count, inner, layouts, _, rows, cols = plain
    if not layouts:
        return vectors[count * (rows + cols + STATE_LEN) :].view(outer, count, inner)
    u, v = vectors[: count * rows].view(count, rows), vectors[count * rows :][: count * cols].view(count, cols)
    parts, row, column = [], 0, 0
    for before, height, behind in layouts:
        left = u[:, row : row + height].view(count, 1, height, 1)
        right = v[:, column : column + before * behind].view(count, before, 1, behind)
        row, column = row + height, column + before * behind
        parts.append((left * right).reshape(count, outer, inner))
    return (sum(parts[1:], parts[0]) / len(parts)).transpose(0, 1)


def _is_traced() -> bool:
    return torch.compiler.is_compiling()


def _states(vectors: Tensor, plain: Plain) -> Tensor:
    _, count, _, _, _, rows, cols = plain
    return vectors[count * (rows + cols) :][: count * STATE_LEN].view(count, STATE_LEN)
