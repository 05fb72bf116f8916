"""Power iterations of weights that are not on the host; nothing is read back.

The arithmetic is that of the compiled part (``osn_core::held::iterate``), in f32, where the weights are: on CUDA in
Triton's kernels for all weights together (`osn.torch.batch`), elsewhere in tensor operations, weight by weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from osn.torch.form import BAD_STEP, RESIDUAL, SIGMA_FLOOR, Form
from osn.torch.host import has_kernels
from osn.torch.spectral_norm import Applied

if TYPE_CHECKING:
    from osn.torch.batch import Batch


#: So many selections of weights keep their tables: those that are always refreshed, those whose rule is due, all.
_MAX_BATCHES = 8


class Weight(NamedTuple):
    """A weight that is to be refreshed."""

    weight: Tensor
    old: Tensor
    form: Form
    applied: Sequence[Applied]


class OnDevice:
    """Iterates the weights of one device, and keeps what does not change between the steps."""

    def __init__(self) -> None:
        self._batches: dict[tuple[int, ...], Batch] = {}

    def refreshed(self, weights: Mapping[int, Weight], iterations: Sequence[int], step: int) -> dict[int, Tensor]:
        """The vectors of the weight at each place, as many iterations on as it is to have."""
        found: dict[int, Tensor] = {}
        for done in range(max(iterations)):
            left = {
                place: weight._replace(old=found.get(place, weight.old))
                for (place, weight), count in zip(weights.items(), iterations)
                if count > done
            }
            found.update(self._once(left, step))
        return found

    def _once(self, by_place: Mapping[int, Weight], step: int) -> dict[int, Tensor]:
        """The vectors one iteration on."""
        places = tuple(by_place)
        weights, old, forms, applied = zip(*by_place.values())
        if not has_kernels(weights[0].device):
            return {place: refreshed(*weight, step) for place, weight in by_place.items()}
        from osn.torch.batch import Batch

        batch = self._batches.pop(places, None)
        if batch is None or not batch.fits(forms, weights):
            batch = Batch(forms, weights)
        self._batches[places] = batch
        if len(self._batches) > _MAX_BATCHES:
            del self._batches[next(iter(self._batches))]
        return dict(zip(places, batch.refreshed(weights, old, applied, step)))


def refreshed(weight: Tensor, old: Tensor, form: Form, applied: Sequence[Applied], step: int) -> Tensor:
    """The vectors one iteration on, from those of the last one."""
    blocks = weight.detach().float().reshape(form.outer, form.count, form.inner)
    u = old[: form.count * form.rows].view(form.count, form.rows)
    v = old[form.count * form.rows :][: form.count * form.cols].view(form.count, form.cols)
    states = form.states_of(old)
    results = [
        _block(blocks[:, place].contiguous(), (u[place], v[place], states[place]), form, in_force, step)
        for place, in_force in enumerate(applied)
    ]
    return torch.cat([torch.cat(part) for part in zip(*results)])


def _block(
    block: Tensor, before: tuple[Tensor, Tensor, Tensor], form: Form, applied: Applied, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    u, v, state = before
    new_u, new_v, sigmas, ratios, moved, finite = [], [], [], [], [], []
    row = column = 0
    for layout in form.layouts:
        height, width = layout[1], layout[0] * layout[2]
        own = u[row : row + height], v[column : column + width]
        row, column = row + height, column + width
        left, right, first, second = _iterate(block, own, layout)
        new_u.append(left)
        new_v.append(right)
        sigmas.append(second)
        ratios.append((first / second.clamp_min(SIGMA_FLOOR)).clamp(0, 1))
        moved.append((first > SIGMA_FLOOR) & (second > SIGMA_FLOOR))
        finite.append(first.isfinite() & second.isfinite())
    is_finite, is_moved = torch.stack(finite).all(), torch.stack(moved).all()
    is_zero = block.abs().amax() <= SIGMA_FLOOR
    sigma = torch.stack(sigmas).mean()
    residual = (1 - torch.stack(ratios).amin().square()).clamp_min(0).sqrt()
    nothing = torch.zeros_like(sigma)
    measured = _state(torch.where(is_moved, sigma, nothing), torch.where(is_moved, residual, nothing), state, applied)
    lost = state.clone()
    lost[RESIDUAL] = 1
    fresh = torch.where(is_moved | is_zero, measured, lost)
    bad = state.clone()
    bad[BAD_STEP] = torch.where(state[BAD_STEP] == 0, torch.full_like(sigma, step), state[BAD_STEP])
    goes_on = is_moved & is_finite
    return (
        torch.where(goes_on, torch.cat(new_u), u),
        torch.where(goes_on, torch.cat(new_v), v),
        torch.where(is_finite, fresh, bad),
    )


def _iterate(
    block: Tensor, vectors: tuple[Tensor, Tensor], layout: tuple[int, int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """New u and v, and the norms of the first and the second product."""
    before, height, behind = layout
    matrix = block.view(before, height, behind).transpose(0, 1).reshape(height, before * behind)
    u, v = vectors
    if before == 1 and behind > 1 and height > 1:
        left, first = _normalized(matrix @ v)
        right, second = _normalized(matrix.T @ left)
    else:
        right, first = _normalized(matrix.T @ u)
        left, second = _normalized(matrix @ right)
    return left, right, first, second


def _normalized(vector: Tensor) -> tuple[Tensor, Tensor]:
    """A vector divided by its norm, and the norm; by the largest entry first, so that no square overflows."""
    largest = vector.abs().amax().clamp_min(SIGMA_FLOOR)
    scaled = vector / largest
    norm = torch.linalg.vector_norm(scaled)
    return scaled / norm.clamp_min(SIGMA_FLOOR), norm * largest


def _state(sigma: Tensor, residual: Tensor, before: Tensor, applied: Applied) -> Tensor:
    scale, elasticity = _scale_and_elasticity(sigma, applied)
    return torch.stack([sigma, scale, elasticity, residual, before[BAD_STEP]])


def _scale_and_elasticity(sigma: Tensor, applied: Applied) -> tuple[Tensor, Tensor]:
    """The table of ``osn_core::act::Action``; a zero weight has scale 1."""
    kind, target, sharpness, blend = applied
    one, zero = torch.ones_like(sigma), torch.zeros_like(sigma)
    if kind not in ("normalize", "cap", "keep") or blend == 0:
        return one, zero
    excess = sigma.clamp_min(SIGMA_FLOOR).log() - torch.tensor(target, dtype=torch.float64).log().item()
    if kind == "keep":
        ln_scale, elasticity = one * (blend * math.log(target)), zero
    elif kind == "normalize":
        ln_scale, elasticity = excess * -blend, one * blend
    elif sharpness == float("inf"):
        ln_scale, elasticity = excess.clamp_min(0) * -blend, (excess > 0).float() * blend
    else:
        ln_scale = softplus(excess * sharpness) * (-blend / sharpness)
        elasticity = torch.sigmoid(excess * sharpness) * blend
    is_zero = sigma <= SIGMA_FLOOR
    return torch.where(is_zero, one, ln_scale.exp()), torch.where(is_zero, zero, elasticity)
