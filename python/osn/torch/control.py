"""The controller of one model: measures σ, decides and acts, once after each optimizer step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from osn import _core
from osn._core import StepError
from osn.torch.form import STATE_LEN
from osn.torch.host import named
from osn.torch.refresh import OnDevice
from osn.torch.report import Change, Report, changes, report
from osn.torch.observed import Observed, block_norms
from osn.torch.signals import MEANS, NO_SIGNALS, Gathered, is_distributed, mean_over_processes
from osn.torch.spectral_norm import SpectralNorm

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
        self._gathered = Gathered(Observed.of([it.norm.form for it in held]))
        self._on_device: defaultdict[torch.device, OnDevice] = defaultdict(OnDevice)
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
        weights = [held.weight for held in self._held]
        probes = [held.norm.probe for held in self._held]
        gradients = {
            place: weight.grad
            for place, (weight, probe) in enumerate(zip(weights, probes))
            if weight.grad is not None and probe is not None and probe.grad is not None
        }
        forms = self._gathered.observed.forms
        along = mean_over_processes([probes[place].grad[: forms[place].count] for place in gradients])  # type: ignore[union-attr,index]
        self._gathered.observed = self._gathered.observed.plus(gradients, along, weights)
        for place in gradients:
            probes[place].grad = None  # type: ignore[union-attr]
        self._gathered.calls.add("observe")

    def observe_held_out(self, loss: Tensor) -> None:
        """Adds a loss on held-out data, ``[]``, whose graph is used up; no gradient of a weight changes.

        Rules read ⟨G, Ŵ⟩, and by how much a larger σ of a layer would lower the loss. It returns at once unless a rule
        asks for one of them.
        """
        if not self.needs & {"held_out", "growth"}:
            return
        probes = {place: held.norm.probe for place, held in enumerate(self._held) if held.norm.probe is not None}
        found = torch.autograd.grad(loss, list(probes.values()), allow_unused=True)
        along = {place: it for place, it in zip(probes, found) if it is not None}
        self._gathered.observed = self._gathered.observed.plus_held_out(along)
        self._gathered.calls.add("observe_held_out")

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
            metrics: how good the model is, by name; a rule reads the latest. A tensor is copied to the host at once.
            separation: of a discriminator, P(D(real) > D(fake)) − P(D(real) < D(fake)), in [−1, 1].
            input_gradient_norm: of a discriminator, E‖∇ₓD‖ at generated samples.

        Raises:
            StepError: a weight is not finite, is no longer held, or a rule needs a call that there never was. The
                model and this are then as they were before.
        """
        if metrics and (unknown := next((it for it in metrics if not isinstance(it, str)), None)) is not None:
            raise TypeError(f"a metric is named {unknown!r}: expected a text")
        given = (train_loss, held_out_loss, separation, input_gradient_norm)
        reported = {name: value for name, value in zip(MEANS, given) if value is not None}
        means = {
            name: torch.as_tensor(value, dtype=torch.float32).detach().reshape(()) for name, value in reported.items()
        }
        scores = {name: float(value) for name, value in (metrics or {}).items()}
        with torch.inference_mode(False), torch.no_grad():
            changed = self._advance(means, scores)
            if self._listener is not None:
                self._listener(changed, reported, scores)
        return changed

    def _advance(self, means: Mapping[str, Tensor], scores: Mapping[str, float]) -> list[Change]:
        weights = self._weights()
        if "optimize" not in self._gathered.calls and (name := self._core.first_kept()) is not None:
            raise StepError(f"{name} has `keep_step_size`, which nothing applies: call control.optimize(optimizer)")
        reads = self._core.reads_next()
        core, gathered = self._core, self._gathered
        if reads:
            # A weight may turn out to be bad, and then nothing must have happened.
            core, gathered = core.copy(), gathered.copy()
        gathered.report(means, scores)
        core.act()
        fresh = self._refreshed(core, weights)
        gathered.observed = gathered.observed.plus_updates(weights)
        changed: list[Change] = []
        if reads:
            changed, gathered = self._read_back(core, gathered, weights, fresh)
        self._core, self._gathered = core, gathered
        self._put(fresh)
        return changed

    def _weights(self) -> list[Tensor]:
        """The stored weights, where a step can be taken."""
        weights = [held.weight for held in self._held]
        for held, weight in zip(self._held, weights):
            if not held.norm.form.layouts and weight.device.type != "cpu":
                raise StepError(f"{held.norm.form.path} moved to {weight.device}: the view operator needs the CPU")
        return weights

    def _put(self, vectors: list[Tensor]) -> None:
        in_force = zip(self._core.applied(), self._core.is_off())
        for held, new, (applied, is_off) in zip(self._held, vectors, in_force):
            held.norm.put(new, applied, is_off)

    def _refreshed(self, core: _core.Controller, weights: list[Tensor]) -> list[Tensor]:
        """New vectors of every weight, in memory of their own: whoever holds the old ones keeps them."""
        norms = [held.norm for held in self._held]
        fresh = [torch.empty_like(norm.vectors) if norm.vectors.device.type == "cpu" else norm.vectors for norm in norms]
        on_host = [place for place, weight in enumerate(weights) if weight.device.type == "cpu"]
        core.refresh(
            on_host,
            [named(weights[place]) for place in on_host],
            [norms[place].vectors.numpy() for place in on_host],
            [fresh[place].numpy() for place in on_host],
        )
        devices = {weight.device for weight in weights if weight.device.type != "cpu"}
        applied = core.applied() if devices else []
        for device in devices:
            places = [place for place, weight in enumerate(weights) if weight.device == device]
            found = self._on_device[device].refreshed(
                [weights[place] for place in places],
                [norms[place].vectors for place in places],
                [norms[place].form for place in places],
                [applied[place] for place in places],
                core.steps,
            )
            for place, vectors in zip(places, found):
                fresh[place] = vectors
        return fresh

    def _read_back(
        self, core: _core.Controller, gathered: Gathered, weights: list[Tensor], fresh: list[Tensor]
    ) -> tuple[list[Change], Gathered]:
        """Lets the rules decide that are due: the decisions that changed, and what is gathered from now on."""
        states, norms = self._read(core, weights, fresh)
        for place in core.lost(states, norms):
            norm, weight = self._held[place].norm, weights[place]
            vectors = _core.start(named(weight), norm.form.text, core.applied()[place])
            fresh[place] = torch.tensor(vectors, device=weight.device)
            states[place] = norm.form.states_of(fresh[place]).reshape(-1).tolist()
        self._check_calls(core, gathered.calls)
        if not core.decides_now():
            core.read_back(states, norms, None, None, NO_SIGNALS)
            return [], gathered
        needs, ratios = self.needs, None
        if "sigma_ratio" in needs:
            ratios = [core.sigma_ratios(place, named(weight)) for place, weight in enumerate(weights)]
        gradients = gathered.gradients() if needs & {"gradients", "held_out", "growth"} else None
        text = core.read_back(states, norms, ratios, gradients, gathered.signals())
        return changes(text), gathered.anew()

    def _check_calls(self, core: _core.Controller, calls: set[str]) -> None:
        core.check_observed("observe" in calls, "observe_held_out" in calls)
        for held, applied in zip(self._held, core.applied()):
            for name, (kind, _, _, blend) in zip(held.norm.form.layers, applied):
                if kind in ("scale_update", "cap_update") and blend > 0 and "optimize" not in calls:
                    raise StepError(f"{name} has `{kind}`, which nothing applies: call control.optimize(optimizer)")

    def _read(
        self, core: _core.Controller, weights: list[Tensor], vectors: list[Tensor]
    ) -> tuple[list[list[float]], list[list[float]]]:
        """The states and the Frobenius norms of every weight, in one copy from each device."""
        states: list[list[float]] = [[] for _ in weights]
        norms: list[list[float]] = [[] for _ in weights]
        on_host = [place for place, weight in enumerate(weights) if weight.device.type == "cpu"]
        found = core.norms(on_host, [named(weights[place]) for place in on_host])
        for place, norms_of in zip(on_host, found):
            states[place] = self._held[place].norm.form.states_of(vectors[place]).reshape(-1).tolist()
            norms[place] = norms_of
        for device in {weight.device for weight in weights if weight.device.type != "cpu"}:
            places = [place for place, weight in enumerate(weights) if weight.device == device]
            forms = [self._held[place].norm.form for place in places]
            wide = torch.float32 if device.type == "mps" else torch.float64
            of_all = [self._held[place].norm.form.states_of(vectors[place]).reshape(-1) for place in places]
            of_blocks = block_norms([weights[place] for place in places], forms, wide)
            numbers = iter(torch.cat([torch.cat(of_all).to(wide), of_blocks]).tolist())
            for place, form in zip(places, forms):
                states[place] = [next(numbers) for _ in range(form.count * STATE_LEN)]
            for place, form in zip(places, forms):
                norms[place] = [next(numbers) for _ in range(form.count)]
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
        self._gathered.observed = self._gathered.observed.forgotten()
        self._core.begin_anew([held.norm.states().reshape(-1).tolist() for held in self._held])

    def update_factors(self) -> dict[str, float]:
        """The factor on the update of each held weight, by its path, for an optimizer of one's own.

        (target/σ)^a where its action is ``scale_update``, min(1, target/σ)^a where it is ``cap_update``, else 1, and
        what ``keep_step_size`` asks for; σ is that of the last reading.
        """
        self._gathered.calls.add("optimize")
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
        return {"core": self._core.state(), **self._gathered.saved()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a saved state, after the same :func:`osn.attach` and the model's ``load_state_dict``.

        Raises:
            ValueError: it is of other layers, views, rules or rates, or damaged; nothing has changed then.
        """
        if "core" not in state:
            raise ValueError("no state of a control: it lacks core")
        gathered = Gathered.restored(state, [held.norm.form for held in self._held])
        self._core.resume(state["core"])
        self._gathered = gathered
        self._put([held.norm.vectors for held in self._held])
