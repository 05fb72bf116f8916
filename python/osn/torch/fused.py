"""The backward of one effective weight on a CUDA device, in two launches."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from osn.torch import kernels
from osn.torch.form import Plain

#: Programs that share one block.
_MAX_PARTS = 512

_MODES = {"detached": 0, "full": 1, "inward_only": 2}


def gradients(
    grad: Tensor, weight: Tensor, vectors: Tensor, plain: Plain, has_growth: bool = False
) -> tuple[Tensor, Tensor]:
    """``∂L/∂W`` in the shape of the weight, and the gradient of the probe, ``[count]`` or ``[2·count]`` in f32."""
    outer, count, inner, layouts, mode, rows, cols = plain
    length = outer * inner
    n_parts = min(_MAX_PARTS, math.ceil(length / kernels.GRADIENT))
    grad, weight = grad.contiguous(), weight.detach().contiguous()
    partial = torch.empty(3 * count * n_parts, device=weight.device)
    at_probe = torch.empty((1 + has_growth) * count, device=weight.device)
    at_weight = torch.empty_like(weight)
    sizes = (length, inner, count, rows, cols, n_parts)
    maps = tuple(size for _, *of_map in [*layouts, *layouts][:2] for size in of_map)
    grid = (count, n_parts)
    kernels.partial_products[grid](
        *(grad, weight, vectors, partial), *sizes, *maps, len(layouts), has_growth, kernels.GRADIENT
    )
    kernels.gradient_at_weight[grid](
        *(grad, vectors, partial, at_weight, at_probe), *sizes, *maps,
        *(len(layouts), has_growth, _MODES[mode], _power_of_two(n_parts), kernels.GRADIENT),
    )  # fmt: skip
    return at_weight, at_probe


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()
