"""What the loop reports to the rules, summed where it is until a rule decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from osn.torch.form import Form
from osn.torch.observed import Observed

#: What the loop reports as means over the steps since a rule last decided.
MEANS = ("train_loss", "held_out_loss", "separation", "input_gradient_norm")


@dataclass(frozen=True)
class Sum:
    """A running sum of numbers, on their device."""

    total: Tensor | None = None
    count: int = 0

    def plus(self, value: Tensor) -> Sum:
        value = value.detach().to(torch.float32, copy=self.total is None)
        return Sum(value if self.total is None else self.total.to(value.device) + value, self.count + 1)

    def mean(self) -> list[float] | None:
        """The mean on the host; nothing where nothing was added."""
        return None if self.total is None else [float(self.total) / self.count]

    def saved(self) -> tuple[float, int] | None:
        """The total on the host, and how many were added."""
        return None if self.total is None else (float(self.total), self.count)

    @staticmethod
    def restored(saved: tuple[float, int] | None) -> Sum:
        """The sum from a file; an error if it is none."""
        if saved is None:
            return Sum()
        total, count = saved
        if not isinstance(total, float) or count < 1:
            raise ValueError("the saved state is damaged: attach anew")
        return Sum(torch.tensor(total, dtype=torch.float32), int(count))


class Gathered:
    """What the loop reported since a rule last decided, and which calls there were since the attachment."""

    NAMES = ("observed", "means", "metrics", "calls")

    def __init__(
        self,
        observed: Observed,
        means: Mapping[str, Sum] = MappingProxyType({}),
        metrics: Mapping[str, float] = MappingProxyType({}),
        calls: Iterable[str] = (),
    ) -> None:
        self.observed, self.calls = observed, set(calls)
        self.means = {name: means.get(name, Sum()) for name in MEANS}
        self.metrics = dict(metrics)

    def copy(self) -> Gathered:
        return Gathered(self.observed, self.means, self.metrics, self.calls)

    def anew(self) -> Gathered:
        """The start of the next sums."""
        return Gathered(self.observed.anew(), calls=self.calls)

    def report(self, means: Mapping[str, Tensor], metrics: Mapping[str, float]) -> None:
        """Adds losses and scores of one step."""
        for name, value in means.items():
            self.means[name] = self.means[name].plus(value)
        self.metrics.update(metrics)

    def gradients(self) -> list[dict[str, list[float] | None]]:
        """The means of each weight's gradients on the host, over all processes."""
        by_weight = self.observed.means()
        own = {
            f"{place}.{name}": mean
            for place, means in enumerate(by_weight)
            for name, mean in means.items()
            if mean is not None
        }
        found = averaged(own)
        return [{name: found.get(f"{place}.{name}") for name in means} for place, means in enumerate(by_weight)]

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
            "observed": self.observed.saved(),
            "means": {name: it.saved() for name, it in self.means.items()},
            "metrics": dict(self.metrics),
            "calls": sorted(self.calls),
        }

    @staticmethod
    def restored(saved: Mapping[str, Any], forms: Sequence[Form]) -> Gathered:
        missing = [name for name in Gathered.NAMES if name not in saved]
        if missing:
            raise ValueError(f"no state of a control: it lacks {', '.join(missing)}")
        means = {name: Sum.restored(it) for name, it in saved["means"].items()}
        return Gathered(Observed.restored(saved["observed"], forms), means, saved["metrics"], saved["calls"])


#: What a step that decides nothing reports.
NO_SIGNALS: dict[str, Any] = {"metrics": [], **dict.fromkeys(MEANS)}


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
