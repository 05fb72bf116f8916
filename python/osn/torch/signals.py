"""What the loop reports to the rules, summed where it is until a rule decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch import Tensor

from osn.torch.form import Form

#: What the loop reports as means over the steps since a rule last decided.
MEANS = ("train_loss", "held_out_loss", "separation", "input_gradient_norm")


@dataclass(frozen=True)
class Sum:
    """A running sum of numbers or of vectors of one length, on their device."""

    total: Tensor | None = None
    count: int = 0

    def plus(self, value: Tensor) -> Sum:
        value = value.detach().to(torch.float32, copy=self.total is None)
        return Sum(value if self.total is None else self.total.to(value.device) + value, self.count + 1)

    def mean(self) -> list[float] | None:
        """The mean on the host; nothing where nothing was added."""
        return None if self.total is None else (self.total.reshape(-1).double() / self.count).tolist()

    def saved(self) -> tuple[list[float], int] | None:
        """The total on the host, and how many were added."""
        return None if self.total is None else (self.total.reshape(-1).double().tolist(), self.count)

    @staticmethod
    def restored(saved: tuple[list[float], int] | None, length: int) -> Sum:
        """The sum from a file; an error if it is not one of vectors of this length."""
        if saved is None:
            return Sum()
        total, count = saved
        if len(total) != length or count < 1:
            raise ValueError("the saved state is damaged: attach anew")
        return Sum(torch.tensor(total, dtype=torch.float32), int(count))


@dataclass(frozen=True)
class Observed:
    """Sums of the gradients of one held weight since a rule last decided."""

    trained: Sum = Sum()
    updates: Sum = Sum()
    held_out: Sum = Sum()
    #: The weight as it was when gradients were observed.
    before: Tensor | None = None

    NAMES: ClassVar[tuple[str, ...]] = ("trained", "updates", "held_out")

    def plus(self, gradient: Tensor, along: Tensor, weight: Tensor, form: Form) -> Observed:
        """Adds ‖∇W‖, its square and |⟨G, Ŵ⟩| of each block."""
        norms = _block_norms(gradient, form)
        trained = self.trained.plus(torch.cat([norms, norms.square(), along.float().abs()]))
        return replace(self, trained=trained, before=weight.detach().clone())

    def plus_update(self, weight: Tensor, form: Form) -> Observed:
        """Adds how far the optimizer moved the weight since its gradients were observed."""
        if self.before is None:
            return self
        return replace(self, updates=self.updates.plus(_block_norms(weight.detach() - self.before, form)), before=None)

    def saved(self) -> dict[str, Any]:
        return {name: getattr(self, name).saved() for name in self.NAMES}

    @staticmethod
    def restored(saved: Mapping[str, Any], form: Form) -> Observed:
        count = form.count
        return Observed(
            Sum.restored(saved["trained"], 3 * count),
            Sum.restored(saved["updates"], count),
            Sum.restored(saved["held_out"], count),
        )


class Gathered:
    """What the loop reported since a rule last decided, and which calls there were since the attachment."""

    NAMES = ("observed", "means", "metrics", "calls")

    def __init__(
        self,
        observed: Sequence[Observed],
        means: Mapping[str, Sum] = MappingProxyType({}),
        metrics: Mapping[str, float] = MappingProxyType({}),
        calls: Iterable[str] = (),
    ) -> None:
        self.observed, self.calls = list(observed), set(calls)
        self.means = {name: means.get(name, Sum()) for name in MEANS}
        self.metrics = dict(metrics)

    def copy(self) -> Gathered:
        return Gathered(self.observed, self.means, self.metrics, self.calls)

    def anew(self) -> Gathered:
        """The start of the next sums; a weight whose gradients were observed waits for its update."""
        return Gathered([Observed(before=it.before) for it in self.observed], calls=self.calls)

    def report(self, means: Mapping[str, Tensor], metrics: Mapping[str, float]) -> None:
        """Adds losses and scores of one step."""
        for name, value in means.items():
            self.means[name] = self.means[name].plus(value)
        self.metrics.update(metrics)

    def gradients(self) -> list[dict[str, list[float] | None]]:
        """The means of each weight's gradients on the host, over all processes."""
        own = {
            f"{place}.{name}": mean
            for place, observed in enumerate(self.observed)
            for name in Observed.NAMES
            if (mean := getattr(observed, name).mean()) is not None
        }
        found = averaged(own)
        return [{name: found.get(f"{place}.{name}") for name in Observed.NAMES} for place in range(len(self.observed))]

    def signals(self) -> dict[str, Any]:
        """Losses and scores on the host, over all processes."""
        own = {name: mean for name, it in self.means.items() if (mean := it.mean()) is not None}
        metrics = {f"metric {name}": [value] for name, value in self.metrics.items()}
        found = averaged({**own, **metrics})
        means = {name: found[name][0] if name in found else None for name in MEANS}
        latest = [(name.removeprefix("metric "), it[0]) for name, it in found.items() if name not in MEANS]
        return {"metrics": latest, **means}

    def saved(self) -> dict[str, Any]:
        return {
            "observed": [observed.saved() for observed in self.observed],
            "means": {name: it.saved() for name, it in self.means.items()},
            "metrics": dict(self.metrics),
            "calls": sorted(self.calls),
        }

    @staticmethod
    def restored(saved: Mapping[str, Any], forms: Sequence[Form]) -> Gathered:
        missing = [name for name in Gathered.NAMES if name not in saved]
        if missing or len(saved["observed"]) != len(forms):
            raise ValueError(f"no state of a control: it lacks {', '.join(missing) or 'layers'}")
        observed = [Observed.restored(of_weight, form) for of_weight, form in zip(saved["observed"], forms)]
        means = {name: Sum.restored(it, 1) for name, it in saved["means"].items()}
        return Gathered(observed, means, saved["metrics"], saved["calls"])


#: What a step that decides nothing reports.
NO_SIGNALS: dict[str, Any] = {"metrics": [], **dict.fromkeys(MEANS)}


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
