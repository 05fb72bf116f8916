"""The controller of one model: measures σ, decides and acts, once after each optimizer step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from osn import _core
from osn._core import StepError
from osn.torch import refresh
from osn.torch.form import STATE_LEN
from osn.torch.host import named
from osn.torch.report import Change, Report, changes, report
from osn.torch.signals import Observed, Sum, averaged, is_distributed, mean_over_processes
from osn.torch.spectral_norm import SpectralNorm

#: Means over the steps since a rule last decided, and what each is called among the signals.
_MEANS = ("train_loss", "held_out_loss", "separation", "input_gradient_norm")


#: Who follows the steps: changed decisions, what the loop reported, and its metrics.
Listener = Callable[[list[Change], Mapping[str, Any], Mapping[str, float]], None]


@dataclass
class Held:
    """A held weight: its state, and every module that has it."""

    norm: SpectralNorm
    places: list[tuple[nn.Module, str]]

    @property
    def weight(self) -> Tensor:
        """The stored weight W."""
        module, name = self.places[0]
        try:
            weight: Tensor = module.parametrizations[name].original  # type: ignore[union-attr,index]
        except (AttributeError, KeyError):
            raise StepError(f"{self.norm.form.path} is no longer held: it was baked or detached") from None
        if type(weight).__name__ == "DTensor":
            raise StepError(f"{self.norm.form.path} is sharded (DTensor): train under DDP, or bake before fully_shard")
        return weight


class Control:
    """The controller of one attached model; :func:`osn.attach` makes it.

    u, v, σ and the scale of each weight are in the model and follow it; the rules and what they remember are here.
    """

    def __init__(self, core: _core.Controller, held: list[Held], also: frozenset[str] = frozenset()) -> None:
        self._core = core
        self._held = held
        self._also = also
        self._observed = [Observed() for _ in held]
        self._means = {name: Sum() for name in _MEANS}
        self._metrics: dict[str, float] = {}
        self._calls: set[str] = set()
        self._listener: Listener | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps since the attachment, those before a resume included."""
        return self._core.steps

    @property
    def needs(self) -> frozenset[str]:
        """What the rules read besides σ: ``gradients``, ``held_out``, ``generalization``, ``metric``, …"""
        return frozenset(self._core.needs()) | self._also

    @property
    def decides_next(self) -> bool:
        """Whether a rule decides in the next :meth:`step`."""
        return self._core.decides_next()

    @property
    def label(self) -> str:
        """The rules, as one line."""
        return self._core.label()

    @property
    def device(self) -> torch.device:
        """Where the first held weight is."""
        return self._held[0].weight.device

    @property
    def is_first_process(self) -> bool:
        """Whether this process is the only one, or that of rank 0."""
        return not is_distributed() or torch.distributed.get_rank() == 0

    def listen(self, listener: Listener | None) -> None:
        """Has someone follow every step, such as :class:`osn.Recorder`; ``None`` ends that."""
        self._listener = listener

    def wanted(self) -> list[Change]:
        """The standing decision for each layer with its reason."""
        return changes(self._core.wanted())

    @torch.no_grad()
    def observe(self) -> None:
        """Adds the gradients of this step to what the rules read: ‖∇W‖ and |⟨G, Ŵ⟩| of each layer.

        Call it once a step, after the last backward and before the optimizer's step and ``zero_grad``. It returns at
        once unless a rule asks for gradients. Under ``GradScaler``, call ``scaler.unscale_(optimizer)`` first.
        """
        if "gradients" not in self.needs:
            return
        reached = [
            (held, observed)
            for held, observed in zip(self._held, self._observed)
            if held.weight.grad is not None and held.norm.probe is not None and held.norm.probe.grad is not None
        ]
        along = mean_over_processes([held.norm.probe.grad for held, _ in reached])  # type: ignore[union-attr,misc]
        for (held, observed), sensitivity in zip(reached, along):
            observed.add(held.weight.grad, sensitivity, held.weight, held.norm.form)  # type: ignore[arg-type]
            held.norm.probe.grad = None  # type: ignore[union-attr]
        self._calls.add("observe")

    def observe_held_out(self, loss: Tensor) -> None:
        """Adds ⟨G, Ŵ⟩ of a loss on held-out data, ``[]``, whose graph is used up; no gradient of a weight changes.

        It returns at once unless a rule asks for it.
        """
        if "held_out" not in self.needs:
            return
        probes = [held.norm.probe for held in self._held if held.norm.probe is not None]
        found = iter(torch.autograd.grad(loss, probes, allow_unused=True))
        for held, observed in zip(self._held, self._observed):
            along = next(found) if held.norm.probe is not None else None
            if along is not None:
                observed.held_out.add(along)
        self._calls.add("observe_held_out")

    def step(
        self,
        *,
        train_loss: float | Tensor | None = None,
        held_out_loss: float | Tensor | None = None,
        metrics: Mapping[str, float | Tensor] | None = None,
        separation: float | Tensor | None = None,
        input_gradient_norm: float | Tensor | None = None,
    ) -> list[Change]:
        """Measures, decides and acts; call it once after each optimizer step. Returns the decisions that changed.

        Each layer gets one power iteration and the scale of the action in force; where a rule is due, it decides. The
        stored weights are only read. On a device other than the CPU nothing is copied to the host but where a rule is
        due, and every 50 steps.

        Args:
            train_loss: on what the step trained on, ``[]``; a rule reads the mean since its last decision.
            held_out_loss: the same loss on data that is not trained on.
            metrics: how good the model is, by name; a rule reads the latest.
            separation: of a discriminator, P(D(real) > D(fake)) − P(D(real) < D(fake)), in [−1, 1].
            input_gradient_norm: of a discriminator, E‖∇ₓD‖ at generated samples.

        Raises:
            StepError: a weight is not finite, is no longer held, or a rule needs a call that there never was. The
                model and this are then as they were before.
        """
        if metrics and (unknown := next((it for it in metrics if not isinstance(it, str)), None)) is not None:
            raise TypeError(f"a metric is named {unknown!r}: expected a text")
        given = (train_loss, held_out_loss, separation, input_gradient_norm)
        reported = {name: value for name, value in zip(_MEANS, given) if value is not None}
        for name, value in reported.items():
            self._means[name].add(torch.as_tensor(value, dtype=torch.float32).detach().reshape(()))
        scores = {name: float(value) for name, value in (metrics or {}).items()}
        self._metrics.update(scores)
        with torch.inference_mode(False), torch.no_grad():
            changed = self._advance()
            if self._listener is not None:
                self._listener(changed, reported, scores)
        return changed

    def _advance(self) -> list[Change]:
        reads = self._core.reads_next()
        # Where it reads, a weight may turn out to be bad, and then nothing must have happened.
        core = self._core.copy() if reads else self._core
        weights = [held.weight for held in self._held]
        core.act()
        fresh = self._refreshed(core, weights)
        for held, observed, weight in zip(self._held, self._observed, weights):
            observed.add_update(weight, held.norm.form)
        changed = self._read_back(core, weights, fresh) if reads else []
        self._core = core
        self._put(fresh)
        return changed

    def _put(self, vectors: list[Tensor]) -> None:
        applied, start = self._core.applied(), 0
        for held, new, is_off in zip(self._held, vectors, self._core.is_off()):
            norm = held.norm
            norm.vectors, norm.is_off = new, is_off
            norm.applied = applied[start : start + norm.form.count]
            start += norm.form.count
            if norm.probe is not None:
                norm.probe.grad = None

    def _refreshed(self, core: _core.Controller, weights: list[Tensor]) -> list[Tensor]:
        """New vectors of every weight, in memory of their own: whoever holds the old ones keeps them."""
        norms = [held.norm for held in self._held]
        fresh = [torch.empty_like(norm.vectors) for norm in norms]
        on_host = [place for place, weight in enumerate(weights) if weight.device.type == "cpu"]
        core.refresh(
            on_host,
            [named(weights[place]) for place in on_host],
            [norms[place].vectors.numpy() for place in on_host],
            [fresh[place].numpy() for place in on_host],
        )
        applied, start = core.applied(), 0
        for place, norm in enumerate(norms):
            in_force = applied[start : start + norm.form.count]
            start += norm.form.count
            if weights[place].device.type != "cpu":
                if not norm.form.layouts:
                    raise StepError(f"{norm.form.path} moved to {weights[place].device}: the view operator needs the CPU")
                fresh[place] = refresh.refreshed(weights[place], norm.vectors, norm.form, in_force, core.steps)
        return fresh

    def _read_back(self, core: _core.Controller, weights: list[Tensor], fresh: list[Tensor]) -> list[Change]:
        states, norms = self._read(core, weights, fresh)
        lost = core.lost(states, norms)
        for place in lost:
            norm = self._held[place].norm
            start = sum(held.norm.form.count for held in self._held[:place])
            applied = core.applied()[start : start + norm.form.count]
            vectors = _core.start(named(weights[place]), norm.form.text, applied)
            fresh[place] = torch.tensor(vectors, device=weights[place].device)
            states[place] = self._states(norm, fresh[place])
        self._check_calls(core)
        if not core.decides_now():
            core.read_back(states, norms, None, None, self._reported(is_empty=True))
            return []
        needs, ratios = self.needs, None
        if "sigma_ratio" in needs:
            ratios = [core.sigma_ratios(place, named(weight)) for place, weight in enumerate(weights)]
        gradients = self._take_gradients() if needs & {"gradients", "held_out"} else None
        text = core.read_back(states, norms, ratios, gradients, self._reported())
        self._observed = [self._without_sums(observed) for observed in self._observed]
        self._means = {name: Sum() for name in _MEANS}
        self._metrics = {}
        return changes(text)

    @staticmethod
    def _without_sums(observed: Observed) -> Observed:
        new = Observed()
        new.before = observed.before
        return new

    def _check_calls(self, core: _core.Controller) -> None:
        core.check_observed("observe" in self._calls, "observe_held_out" in self._calls)
        in_force = zip((name for held in self._held for name in held.norm.form.layers), core.applied())
        for name, (kind, _, _, blend) in in_force:
            if kind in ("scale_update", "cap_update") and blend > 0 and "optimize" not in self._calls:
                raise StepError(f"{name} has `{kind}`, which nothing applies: call control.optimize(optimizer)")

    def _take_gradients(self) -> list[dict[str, Any]]:
        """The means of each weight's gradients, over all processes."""
        own = {
            f"{place}.{name}": mean
            for place, observed in enumerate(self._observed)
            for name in Observed.NAMES
            if (mean := getattr(observed, name).mean()) is not None
        }
        found = averaged(own)
        places = range(len(self._observed))
        means = [{name: found.get(f"{place}.{name}") for name in Observed.NAMES} for place in places]
        return [{name: it and (it, 1) for name, it in of_weight.items()} for of_weight in means]

    def _reported(self, is_empty: bool = False) -> dict[str, Any]:
        """The signals on the host, over all processes."""
        if is_empty:
            return {"metrics": [], **{name: None for name in _MEANS}}
        own = {name: mean for name, it in self._means.items() if (mean := it.mean()) is not None}
        metrics = {f"metric {name}": [value] for name, value in self._metrics.items()}
        found = averaged({**own, **metrics})
        means = {name: found[name][0] if name in found else None for name in _MEANS}
        latest = [(name[7:], value[0]) for name, value in found.items() if name not in _MEANS]
        return {"metrics": latest, **means}

    def _states(self, norm: SpectralNorm, vectors: Tensor) -> list[float]:
        form = norm.form
        return vectors[form.states_at :][: form.count * STATE_LEN].tolist()

    def _read(
        self, core: _core.Controller, weights: list[Tensor], vectors: list[Tensor]
    ) -> tuple[list[list[float]], list[list[float]]]:
        """The states and the Frobenius norms of every weight, in one copy from each device."""
        states: list[list[float]] = [[] for _ in weights]
        norms: list[list[float]] = [[] for _ in weights]
        on_host = [place for place, weight in enumerate(weights) if weight.device.type == "cpu"]
        found = core.norms(on_host, [named(weights[place]) for place in on_host])
        for place, of_blocks in zip(on_host, found):
            states[place] = self._states(self._held[place].norm, vectors[place])
            norms[place] = of_blocks
        for device in {weight.device for weight in weights if weight.device.type != "cpu"}:
            places = [place for place, weight in enumerate(weights) if weight.device == device]
            rows = []
            for place in places:
                form = self._held[place].norm.form
                rows.append(vectors[place][form.states_at :][: form.count * STATE_LEN].double())
                rows.append(refresh.norms(weights[place], form).double())
            numbers = iter(torch.cat(rows).tolist())
            for place in places:
                count = self._held[place].norm.form.count
                states[place] = [next(numbers) for _ in range(count * STATE_LEN)]
                norms[place] = [next(numbers) for _ in range(count)]
        return states, norms

    @torch.no_grad()
    def report(self) -> Report:
        """What is known of every layer as of the last step; prints as a table."""
        weights = [held.weight for held in self._held]
        states, norms = self._read(self._core, weights, [held.norm.vectors for held in self._held])
        return report(self._core.report(states, norms))

    def metrics(self) -> dict[str, float]:
        """σ, scale and σ of the effective weight of every layer, as a flat dict for a logger."""
        numbers = {}
        for layer in self.report():
            numbers[f"osn/{layer.name}/sigma"] = layer.sigma
            numbers[f"osn/{layer.name}/scale"] = layer.scale
            numbers[f"osn/{layer.name}/effective_sigma"] = layer.effective_sigma
        return numbers

    @torch.no_grad()
    def remeasure(self) -> None:
        """Measures every layer anew, after weights were replaced from outside; the actions in force stay.

        Raises:
            StepError: a weight is not finite.
        """
        for held in self._held:
            held.norm.measure(held.weight)
        for observed in self._observed:
            observed.before = None
        self._core.begin_anew([self._states(held.norm, held.norm.vectors) for held in self._held])

    def update_factors(self) -> dict[str, float]:
        """The factor on the update of each held weight, by its path, for an optimizer of one's own.

        (target/σ)^a where its action is ``scale_update``, min(1, target/σ)^a where it is ``cap_update``, else 1; σ is
        that of the last reading.
        """
        self._calls.add("optimize")
        factors = self._core.update_factors()
        return {held.norm.form.path: factor for held, factor in zip(self._held, factors)}

    def optimize(self, optimizer: Optimizer) -> None:
        """One step of the optimizer, in which the learning rate of each held weight is multiplied by its factor."""
        factors = self.update_factors()
        by_weight = {id(held.weight): factors[held.norm.form.path] for held in self._held}
        if all(factor == 1 for factor in by_weight.values()):
            optimizer.step()
            return
        groups = optimizer.param_groups
        optimizer.param_groups = [
            {**group, "params": [weight], "lr": group["lr"] * by_weight.get(id(weight), 1.0)}
            for group in groups
            for weight in group["params"]
        ]
        try:
            optimizer.step()
        finally:
            optimizer.param_groups = groups

    def state_dict(self) -> dict[str, Any]:
        """What rules remember and the actions in force; save it beside the model's state dict, which has u, v and σ.

        ``torch.load(weights_only=True)`` reads it. Under DDP each process saves its own, or all load that of one.
        """
        return {
            "core": self._core.state(),
            "observed": [observed.saved() for observed in self._observed],
            "means": {name: it.saved() for name, it in self._means.items()},
            "metrics": dict(self._metrics),
            "calls": sorted(self._calls),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a saved state, after the same :func:`osn.attach` and the model's ``load_state_dict``.

        Raises:
            ValueError: it is of other layers, views, rules or rates, or damaged; nothing has changed then.
        """
        missing = [name for name in ("core", "observed", "means", "metrics", "calls") if name not in state]
        if missing or len(state["observed"]) != len(self._held):
            raise ValueError(f"no state of a control: it lacks {', '.join(missing) or 'layers'}")
        json.loads(state["core"])
        self._core.resume(state["core"])
        for observed, saved in zip(self._observed, state["observed"]):
            observed.restore(saved)
        for name, saved in state["means"].items():
            self._means[name] = Sum() if saved is None else Sum(torch.tensor(saved[0]).reshape(()), int(saved[1]))
        self._metrics = dict(state["metrics"])
        self._calls = set(state["calls"])
        self._put([held.norm.vectors for held in self._held])
