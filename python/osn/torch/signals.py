"""What the loop reports to the rules, summed where it is until a rule decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from osn.torch.form import Form


class Sum:
    """A running sum of numbers or of vectors of one length, on their device."""

    def __init__(self, total: Tensor | None = None, count: int = 0) -> None:
        self.total, self.count = total, count

    def add(self, value: Tensor) -> None:
        value = value.detach().to(torch.float32, copy=self.total is None)
        self.total = value if self.total is None else self.total.to(value.device) + value
        self.count += 1

    def mean(self) -> list[float] | None:
        """The mean on the host; nothing where nothing was added."""
        return None if self.total is None else (self.total.reshape(-1).double() / self.count).tolist()

    def saved(self) -> tuple[list[float], int] | None:
        """The total on the host, and how many were added."""
        return None if self.total is None else (self.total.reshape(-1).double().tolist(), self.count)


class Observed:
    """Sums of the gradients of one held weight since a rule last decided."""

    NAMES = ("trained", "updates", "held_out")

    def __init__(self) -> None:
        self.trained, self.updates, self.held_out = Sum(), Sum(), Sum()
        #: The weight as it was when gradients were observed.
        self.before: Tensor | None = None

    def add(self, gradient: Tensor, along: Tensor, weight: Tensor, form: Form) -> None:
        """Adds ‖∇W‖, its square and |⟨G, Ŵ⟩| of each block."""
        norms = _block_norms(gradient, form)
        self.trained.add(torch.cat([norms, norms.square(), along.float().abs()]))
        self.before = weight.detach().clone()

    def add_update(self, weight: Tensor, form: Form) -> None:
        """Adds how far the optimizer moved the weight since its gradients were observed."""
        if self.before is not None:
            self.updates.add(_block_norms(weight.detach() - self.before, form))
            self.before = None

    def saved(self) -> dict[str, Any]:
        return {name: getattr(self, name).saved() for name in self.NAMES}

    def restore(self, saved: dict[str, Any]) -> None:
        for name in self.NAMES:
            found = saved[name]
            setattr(self, name, Sum() if found is None else Sum(torch.tensor(found[0]), int(found[1])))
        self.before = None


def _block_norms(tensor: Tensor, form: Form) -> Tensor:
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    blocks = tensor.detach().reshape(form.outer, form.count, form.inner)
    norms: Tensor = torch.linalg.vector_norm(blocks, dim=(0, 2), dtype=torch.float32)
    return norms


def is_distributed() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def averaged(numbers: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """The mean of each over the processes that have it: a score may be known to one alone."""
    own = {name: list(it) for name, it in numbers.items()}
    if not is_distributed():
        return own
    everyone: list[dict[str, list[float]]] = [{} for _ in range(dist.get_world_size())]
    dist.all_gather_object(everyone, own)
    names = sorted({name for it in everyone for name in it})
    columns = {name: zip(*(it[name] for it in everyone if name in it)) for name in names}
    return {name: [sum(column) / len(column) for column in of_name] for name, of_name in columns.items()}


def mean_over_processes(gradients: Sequence[Tensor]) -> list[Tensor]:
    """The mean of each over the processes, as DDP has it of the gradients of weights, in one call."""
    if not (is_distributed() and gradients):
        return list(gradients)
    flat = torch.cat([it.reshape(-1) for it in gradients])
    dist.all_reduce(flat)
    return list(torch.split(flat / dist.get_world_size(), [it.numel() for it in gradients]))
