"""Rules of one's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

from osn.selection import Selection


@dataclass(frozen=True)
class Decision:
    """What is wanted for one layer, and why.

    Args:
        action: ``off``, ``normalize``, ``cap``, ``keep``, ``scale_update`` or ``cap_update``.
        target: the σ ``c``, of ``keep`` the scale, greater than 0, dimensionless; not for ``off``.
        reason: why, in words and numbers.
        sharpness: of a soft cap, greater than 0; infinite is a hard cap.
    """

    action: str
    target: float | None = None
    reason: str = ""
    sharpness: float = float("inf")

    def _as_data(self) -> dict[str, Any]:
        if self.action == "off":
            return {"action": "off", "reason": self.reason}
        parameters: dict[str, Any] = {"scale" if self.action == "keep" else "target": self.target}
        if self.action == "cap" and self.sharpness != float("inf"):
            parameters["sharpness"] = self.sharpness
        return {"action": {self.action: parameters}, "reason": self.reason}


@dataclass(frozen=True)
class Context:
    """What a rule decides from.

    Attributes:
        step: optimizer steps since the attachment; 0 is the first decision.
        layers: ``path``, ``network``, ``kind``, ``shape``, ``index``, ``count``, ``is_largest``, ``block`` of each.
        measurements: ``sigma``, ``residual``, ``stable_rank``, ``drift``, ``sigma_ratio``, ``usual_start``,
            ``gradient`` of each, in the same order.
        signals: ``metrics``, ``adversarial``, ``generalization``, as the loop reported them.
        memory: a dict for what the rule remembers, of what JSON can hold; it is saved and resumed with the rest.
    """

    step: int
    layers: Sequence[SimpleNamespace]
    measurements: Sequence[SimpleNamespace]
    signals: SimpleNamespace
    memory: dict[str, Any] = field(default_factory=dict)


class Rule:
    """A rule of one's own: give it a ``name`` and :meth:`decide`.

    It must not read a clock, draw random numbers or keep anything outside ``context.memory``; then a run that was
    stopped goes on as if it had not been.

    Attributes:
        name: for labels and records; not one of osn's own.
        parameters: as text, for labels; two rules of one name and parameters count as the same.
        interval: optimizer steps between two decisions, at least 1.
        needs: the signals that it reads besides σ: ``separation``, ``input_gradient_norm``, ``metric``, ``gradients``,
            ``held_out``, ``generalization``, ``sigma_ratio``.
        metric: the name of the metric that it follows.

    Example::

        class Ratchet(osn.Rule):
            name = "ratchet"

            def decide(self, context):
                least = context.memory.setdefault("least", [float(m.sigma) for m in context.measurements])
                least[:] = [min(a, m.sigma) for a, m in zip(least, context.measurements)]
                return [osn.Decision("cap", 2 * it, f"smallest σ so far {it:.3g}") for it in least]
    """

    name: ClassVar[str] = ""
    parameters: str = ""
    interval: int = 10
    needs: Sequence[str] = ()
    metric: str | None = None

    def decide(self, context: Context) -> Sequence[Decision]:
        """Decides about every layer of the context: one decision for each, in the same order."""
        raise NotImplementedError(f"{type(self).__name__} has no method decide")

    def _decide(self, context: str, memory: str) -> tuple[str, str]:
        data = json.loads(context, object_hook=lambda pairs: SimpleNamespace(**pairs))
        found = Context(data.step, data.layers, data.measurements, data.signals, json.loads(memory))
        decisions = [it._as_data() for it in self.decide(found)]
        return json.dumps(decisions), json.dumps(found.memory, allow_nan=False)


Rules = str | Rule | Sequence["tuple[str | Selection, str | Rule]"]


def entries(rules: Rules) -> list[dict[str, Any]]:
    """Rules as the compiled part reads them."""
    if isinstance(rules, (str, Rule)):
        return [{"select": None, "rule": rules}]
    scoped = []
    for select, rule in rules:
        chosen = select if isinstance(select, Selection) else Selection(select)
        if not isinstance(rule, (str, Rule)):
            raise TypeError(f"rule is {type(rule).__name__}: expected a text such as 'cap:target=2', or osn.Rule")
        scoped.append({"select": chosen.conditions(), "rule": rule})
    return scoped
