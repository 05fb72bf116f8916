"""What is known about every layer, for people and records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """A new decision for one layer, with its reason.

    Attributes:
        step: the optimizer step after which it was decided; 0 at the attachment.
        network, name: the layer's network and its path, with its block where there are several.
        before, after: the actions as data, as records have them; ``before`` is ``None`` at the attachment.
        action: what is wanted now, in words.
        reason: in words and numbers.
    """

    step: int
    network: str
    name: str
    before: Any
    after: Any
    action: str
    reason: str


def changes(text: str) -> list[Change]:
    """Changes as the compiled part describes them."""
    return [
        Change(it["step"], it["network"], it["name"], it["from"], it["to"], it["text"], it["reason"])
        for it in json.loads(text)
    ]


@dataclass(frozen=True)
class Evidence:
    """The number by which a rule decided about a layer last.

    Attributes:
        name: what it is.
        value: its value.
        thresholds: the values at which the rule decides otherwise, if there are such.
    """

    name: str
    value: float
    thresholds: list[float]


@dataclass(frozen=True)
class LayerReport:
    """The measurements of one layer, and what is in force on it.

    Attributes:
        name: the path, with the block behind it where there are several.
        layer: path, network, kind, shape, position and, where something is known of it, ``architecture``: fans, and
            whether it is normalized, residual, the output.
        sigma: a lower bound of the largest singular value of the stored weight under its view.
        operator_factor: how many times as large the σ of the layer's own map can be; ``None`` where that is not known.
        residual: of the last power iteration, in [0, 1]; 0 where u and v are singular vectors.
        stable_rank: ‖W‖²_F/σ², between 1 and the rank; 0 for a zero weight.
        drift: Δ ln σ for each optimizer step between the last two readings.
        sigma_ratio, gradient: σ₂/σ₁ and the statistics of gradients, where rules asked for them.
        action, blend: what is in force, and how much of it, from 0 to 1.
        scale, elasticity: s and γ of the effective weight ``s·W``.
        decision, reason: what is wanted, and why.
        kind, target: of the action that is in force.
        evidence: the number by which the rule decided last; ``None`` where it has seen none.
    """

    name: str
    layer: dict[str, Any]
    sigma: float
    operator_factor: float | None
    residual: float
    stable_rank: float
    drift: float | None
    sigma_ratio: float | None
    gradient: dict[str, float | None] | None
    action: str
    blend: float
    scale: float
    elasticity: float
    decision: str
    reason: str
    kind: str = "off"
    target: float | None = None
    evidence: Evidence | None = None

    @property
    def effective_sigma(self) -> float:
        """σ of the effective weight, ``s·σ``: a lower bound as ``sigma`` is."""
        return self.scale * self.sigma


class Report(Sequence[LayerReport]):
    """The layers in the order of the model; prints as a table."""

    def __init__(self, layers: list[LayerReport]) -> None:
        self.layers = layers

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            return next(layer for layer in self.layers if layer.name == index)
        return self.layers[index]

    def __str__(self) -> str:
        width = max([5, *(len(layer.name) for layer in self.layers)])
        lines = [f"{'layer':{width}}  {'σ':>8}  {'scale':>8}  {'s·σ':>8}  {'blend':>5}  decision: reason"]
        for it in self.layers:
            numbers = f"{it.sigma:8.4f}  {it.scale:8.4f}  {it.effective_sigma:8.4f}  {it.blend:5.2f}"
            lines.append(f"{it.name:{width}}  {numbers}  {it.decision}: {it.reason}")
        return "\n".join(lines)


def report(text: str) -> Report:
    """A report as the compiled part describes it."""
    layers = json.loads(text)
    for it in layers:
        it["evidence"] = it["evidence"] and Evidence(**it["evidence"])
    return Report([LayerReport(**it) for it in layers])
