"""Sums of what the gradients of all held weights say, each in one piece on its device, until a rule decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from osn.torch.form import Form

#: A mean over steps, and how many they were.
Saved = tuple[list[float], int]


@dataclass(frozen=True)
class Sums:
    """Running sums of a number for each block of each weight; a step need not have reached every weight."""

    blocks: tuple[int, ...]
    #: How often numbers of each weight were added.
    counts: tuple[int, ...]
    total: Tensor | None = None

    @staticmethod
    def of(blocks: tuple[int, ...]) -> Sums:
        """Sums of nothing yet."""
        return Sums(blocks, (0,) * len(blocks))

    def plus(self, numbers: Tensor, places: Sequence[int]) -> Sums:
        """Adds the numbers of the weights at some places, which lie one behind the other."""
        if len(places) < len(self.blocks):
            parts = dict(zip(places, torch.split(numbers, [self.blocks[place] for place in places])))
            numbers = torch.cat([parts.get(place, numbers.new_zeros(n)) for place, n in enumerate(self.blocks)])
        counts = tuple(count + (place in places) for place, count in enumerate(self.counts))
        total = numbers if self.total is None else self.total.to(numbers.device) + numbers
        return replace(self, total=total, counts=counts)

    def saved(self) -> list[Saved | None]:
        """The total of each weight on the host and how often something was added; nothing where it never was."""
        if self.total is None:
            return [None] * len(self.blocks)
        numbers = iter(self.total.double().tolist())
        totals = [[next(numbers) for _ in range(n)] for n in self.blocks]
        return [(total, count) if count else None for total, count in zip(totals, self.counts)]

    def means(self) -> list[list[float] | None]:
        """The mean of each weight on the host."""
        return [it and [number / it[1] for number in it[0]] for it in self.saved()]

    @staticmethod
    def restored(saved: Sequence[Saved | None], blocks: tuple[int, ...]) -> Sums:
        """The sums from a file; an error if they are not of such weights."""
        if all(it is None for it in saved):
            return Sums.of(blocks)
        counts = tuple(0 if it is None else int(it[1]) for it in saved)
        totals = [[0.0] * n if it is None else it[0] for it, n in zip(saved, blocks)]
        is_sound = all(len(total) == n for total, n in zip(totals, blocks))
        if not is_sound or any(it is not None and it[1] < 1 for it in saved):
            raise ValueError("the saved state is damaged: attach anew")
        return Sums(blocks, counts, torch.tensor(sum(totals, []), dtype=torch.float32))


#: ‖∇W‖, its square and |⟨G, Ŵ⟩| of the steps, ‖ΔW‖ of the updates; on held-out data ⟨G, Ŵ⟩, what a larger σ brings (the
#: growth) and its square.
NAMES = ("norms", "squares", "along", "updates", "held_out", "growth", "growth_squares")


@dataclass(frozen=True)
class Observed:
    """Sums of the gradients of the held weights since a rule last decided."""

    forms: tuple[Form, ...]
    sums: Mapping[str, Sums]
    #: Each weight as it was when its gradients were observed.
    before: Mapping[int, Tensor] = field(default_factory=dict)

    @staticmethod
    def of(forms: Sequence[Form], before: Mapping[int, Tensor] | None = None) -> Observed:
        """Sums of nothing yet."""
        blocks = tuple(form.count for form in forms)
        return Observed(tuple(forms), {name: Sums.of(blocks) for name in NAMES}, before or {})

    def anew(self) -> Observed:
        """The start of the next sums; a weight whose gradients were observed waits for its update."""
        return Observed.of(self.forms, self.before)

    def plus(self, gradients: Mapping[int, Tensor], along: Sequence[Tensor], weights: Sequence[Tensor]) -> Observed:
        """Adds the gradients of the weights at some places, with the ⟨G, Ŵ⟩ of each."""
        if not gradients:
            return self
        places = list(gradients)
        norms = self._norms(gradients)
        found = {"norms": norms, "squares": norms.square(), "along": _joined(along).abs()}
        # A copy of all in one launch where the weights are on CUDA.
        copies = torch._foreach_mul([weights[place].detach() for place in places], 1.0)
        return replace(self, sums=self._with(found, places), before=dict(zip(places, copies)))

    def plus_held_out(self, along: Mapping[int, Tensor]) -> Observed:
        """Adds the gradients of probes by a loss on held-out data: ⟨G, Ŵ⟩ and, where there is one, the growth."""
        if not along:
            return self
        counts = {place: self.forms[place].count for place in along}
        found = {"held_out": _joined([it[: counts[place]] for place, it in along.items()])}
        if all(len(it) > counts[place] for place, it in along.items()):
            growth = _joined([it[counts[place] :] for place, it in along.items()])
            found |= {"growth": growth, "growth_squares": growth.square()}
        return replace(self, sums=self._with(found, list(along)))

    def plus_updates(self, weights: Sequence[Tensor]) -> tuple[Observed, list[list[float] | None]]:
        """Adds how far the optimizer moved the weights whose gradients were observed.

        The second is ‖ΔW‖_F of the blocks of each weight, where that is on the host.
        """
        on_host: list[list[float] | None] = [None] * len(weights)
        if not self.before:
            return self, on_host
        now = [weights[place].detach() for place in self.before]
        moved = torch._foreach_sub(now, list(self.before.values()))
        norms = self._norms(dict(zip(self.before, moved)))
        if all(weight.device.type == "cpu" for weight in now):
            numbers = iter(norms.tolist())
            for place in self.before:
                on_host[place] = [next(numbers) for _ in range(self.forms[place].count)]
        return replace(self, sums=self._with({"updates": norms}, list(self.before)), before={}), on_host

    def forgotten(self) -> Observed:
        """Waits for no update: the weights were replaced."""
        return replace(self, before={})

    def _with(self, found: Mapping[str, Tensor], places: Sequence[int]) -> dict[str, Sums]:
        return {**self.sums, **{name: self.sums[name].plus(numbers, places) for name, numbers in found.items()}}

    def _norms(self, tensors: Mapping[int, Tensor]) -> Tensor:
        forms = [self.forms[place] for place in tensors]
        return block_norms(list(tensors.values()), forms, torch.float32)

    def means(self) -> list[dict[str, list[float] | None]]:
        """The means of each weight on the host, and as ``looks`` how often it was looked at."""
        by_name = {name: sums.means() for name, sums in self.sums.items()}
        by_name["looks"] = [[float(count)] if count else None for count in self.sums["growth"].counts]
        return [{name: means[place] for name, means in by_name.items()} for place in range(len(self.forms))]

    def saved(self) -> dict[str, list[Saved | None]]:
        return {name: sums.saved() for name, sums in self.sums.items()}

    @staticmethod
    def restored(saved: Mapping[str, Any], forms: Sequence[Form]) -> Observed:
        """The sums from a file; an error if they are not of such weights."""
        if set(saved) != set(NAMES) or any(len(it) != len(forms) for it in saved.values()):
            raise ValueError("the saved state is of other layers: attach to the same layers")
        blocks = tuple(form.count for form in forms)
        return Observed(tuple(forms), {name: Sums.restored(saved[name], blocks) for name in NAMES})


def block_norms(tensors: Sequence[Tensor], forms: Sequence[Form], dtype: torch.dtype) -> Tensor:
    """The Frobenius norm of each block, one weight behind the other, on the device of the first."""
    blocks = [block for tensor, form in zip(tensors, forms) for block in _blocks(tensor, form)]
    return torch.stack([norm.to(blocks[0].device) for norm in torch._foreach_norm(blocks, dtype=dtype)])


def _blocks(tensor: Tensor, form: Form) -> Iterator[Tensor]:
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    tensor = tensor.detach()
    if form.count == 1:
        return iter((tensor,))
    return iter(tensor.reshape(form.outer, form.count, form.inner).unbind(1))


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Numbers of several weights in one piece, on the device of the first."""
    return torch.cat([part.detach().to(parts[0].device, torch.float32) for part in parts])
