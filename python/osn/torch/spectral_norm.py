"""The parametrization of a held weight: its state, and the effective weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from osn import _core
from osn.torch.effective_weight import EffectiveWeight, scaled
from osn.torch.form import BAD_STEP, ELASTICITY, SCALE, SIGMA, Form
from osn.torch.host import named
from osn.torch.memory import Memory

#: Kind, target, sharpness and blend of what is in force on a block.
Applied = tuple[str, float, float, float]

#: Vectors of another length than 1 by more than this were averaged or damaged.
_UNIT = 1e-3


class SpectralNorm(nn.Module):
    """Computes ``Ŵ = s·W`` from a state that only :meth:`osn.Control.step` changes.

    ``vectors`` is flat and in f32: u of all blocks, v of all blocks, then σ, s, γ, residual and bad step of each block.
    It is no buffer, so no average, broadcast or cast touches it: it moves with the module, and is in its state dict as
    ``<weight>.0._extra_state``.
    """

    def __init__(self, form: Form, vectors: Tensor, applied: list[Applied], probe: Tensor | None) -> None:
        super().__init__()
        self.form = form
        self.plain = form.plain
        self.vectors = vectors
        self.applied = applied
        self.probe = probe
        self.memory = Memory()
        self.is_off = False
        #: The weight was replaced and its vectors were not.
        self.is_stale = False
        self.look()

    def forward(self, weight: Tensor) -> Tensor:
        if self.is_off and self.probe is None:
            return weight
        if torch.is_grad_enabled():
            memory = None if torch.compiler.is_compiling() else self.memory
            effective: Tensor = EffectiveWeight.apply(weight, self.vectors, self.probe, self.plain, memory)
            return effective
        return scaled(weight, self.vectors, self.plain)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What an assignment stores: the weight itself. Call :func:`osn.remeasure` after it."""
        return weight

    def states(self) -> Tensor:
        """σ, s, γ, residual and bad step of each block, ``[count, 5]``."""
        return self.form.states_of(self.vectors)

    @property
    def sigma(self) -> Tensor:
        """σ of each block at the last refresh, ``[count]``: a lower bound of the largest singular value."""
        return self.states()[:, SIGMA]

    @property
    def scale(self) -> Tensor:
        """The scale s of each block, ``[count]``."""
        return self.states()[:, SCALE]

    def put(self, vectors: Tensor, is_off: bool) -> None:
        """Takes the state that a refresh left."""
        # `Module.__setattr__` looks for parameters first, which takes longer than all else in a step of a small weight.
        self.__dict__.update(vectors=vectors, is_off=is_off)

    def measure(self, weight: Tensor) -> None:
        """Measures the weight from nothing, on the host, with the actions that are in force."""
        vectors = _core.start(named(weight), self.form.text, self.applied)
        self.vectors = torch.tensor(vectors, device=weight.device)
        self.is_stale = False
        self.look()

    def look(self) -> None:
        """Takes the way without an operation where the state says that nothing is done to the weight."""
        self.is_off = is_off(self.vectors, self.form)

    def get_extra_state(self) -> Tensor:
        return self.vectors.detach().clone()

    def set_extra_state(self, state: Any) -> None:
        fits = isinstance(state, Tensor) and state.shape == self.vectors.shape and _is_sound(state, self.form)
        if fits:
            self.vectors = state.detach().to(self.vectors.device, torch.float32, copy=True)
            self.look()
        self.is_stale = not fits

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SpectralNorm:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.vectors = _moved(self.vectors, fn)
        if self.probe is not None:
            self.probe = _moved(self.probe.detach(), fn).requires_grad_()
        return self

    def extra_repr(self) -> str:
        return f"{self.form.path}, {self.form.count} block{'s' if self.form.count > 1 else ''}"


def _moved(tensor: Tensor, fn: Callable[[Tensor], Tensor]) -> Tensor:
    """The tensor where ``fn`` puts it, in its own type."""
    moved = fn(tensor)
    return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)


def is_off(vectors: Tensor, form: Form) -> bool:
    """Whether a state says that nothing is done to the weight."""
    states = form.states_of(vectors)
    return bool(((states[:, SCALE] == 1) & (states[:, ELASTICITY] == 0)).all())


def _is_sound(vectors: Tensor, form: Form) -> bool:
    """Whether the vectors have length 1 and the numbers are finite: no average of states has both."""
    vectors = vectors.detach().float()
    u = vectors[: form.count * form.rows]
    v = vectors[form.count * form.rows : form.states_at]
    n_maps = max(1, len(form.layouts))
    lengths = [part.view(form.count, -1).square().sum(1) / n_maps for part in (u, v)]
    is_unit = all(bool(((length - 1).abs() < _UNIT).all()) for length in lengths)
    return is_unit and bool(vectors.isfinite().all()) and bool((form.states_of(vectors)[:, BAD_STEP] >= 0).all())
