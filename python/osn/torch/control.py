"""The controller of one model: measures σ, decides and acts, once after each optimizer step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from osn import _core
from osn._core import StepError
from osn.torch import team
from osn.torch.form import STATE_LEN
from osn.torch.host import named
from osn.torch.refresh import OnDevice
from osn.torch.refresh import Weight as Job
from osn.torch.report import Change, Report, changes, report
from osn.torch.observed import Observed, block_norms
from osn.torch.signals import MEANS, NO_SIGNALS, Gathered, is_distributed, mean_over_processes
from osn.torch.spectral_norm import SpectralNorm, is_off

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


class Refreshed(NamedTuple):
    """The vectors that a refresh left, and whether nothing is done to the weight by them."""

    vectors: Tensor
    is_off: bool


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

        Each layer whose scale depends on σ gets one power iteration and the scale of the action in force. Any other is
        left alone until its rule is due, or for 50 steps; then a few iterations bring σ up to date. So is one under a hard
        cap, on the CPU, while the updates that :meth:`observe` saw cannot have carried σ across it. Where a rule is due, it
        decides. The stored weights are only read. On a device other than the CPU nothing is copied to the host but where
        a rule is due, and every 50 steps.

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
        gathered.observed, moved = gathered.observed.plus_updates(weights)
        wanted, moved_actions = core.act(moved)
        fresh = self._refreshed(core, weights, wanted)
        changed: list[Change] = []
        if reads:
            changed, gathered = self._read_back(core, gathered, weights, fresh)
        self._core, self._gathered = core, gathered
        self._put(fresh)
        for place, applied in zip(moved_actions, core.applied(moved_actions)):
            self._held[place].norm.applied = applied
        return changed

    def _weights(self) -> list[Tensor]:
        """The stored weights, where a step can be taken."""
        weights = [held.weight for held in self._held]
        for held, weight in zip(self._held, weights):
            if not held.norm.form.layouts and weight.device.type != "cpu":
                raise StepError(f"{held.norm.form.path} moved to {weight.device}: the view operator needs the CPU")
        return weights

    def _put(self, fresh: Mapping[int, Refreshed]) -> None:
        for place, (vectors, is_off) in fresh.items():
            self._held[place].norm.put(vectors, is_off)
        for held in self._held:
            if held.norm.probe is not None:
                held.norm.probe.grad = None

    def _refreshed(
        self, core: _core.Controller, weights: list[Tensor], places: Sequence[int]
    ) -> dict[int, Refreshed]:
        """New vectors of the weights at some places, in memory of their own: whoever holds the old ones keeps them."""
        norms = {place: self._held[place].norm for place in places}
        on_host = [place for place in places if weights[place].device.type == "cpu"]
        fresh = {place: torch.empty_like(norms[place].vectors) for place in on_host}
        are_off = core.refresh(
            team.address(),
            on_host,
            [named(weights[place]) for place in on_host],
            [norms[place].vectors.numpy() for place in on_host],
            [fresh[place].numpy() for place in on_host],
        )
        found = {place: Refreshed(fresh[place], off) for place, off in zip(on_host, are_off)}
        for device in {weights[place].device for place in places if place not in found}:
            here = [place for place in places if weights[place].device == device]
            jobs = {
                place: Job(weights[place], norms[place].vectors, norms[place].form, applied)
                for place, applied in zip(here, core.applied(here))
            }
            iterated = self._on_device[device].refreshed(jobs, core.iterations(here), core.steps)
            # Whether a cap does something is not known on the host.
            found |= {place: Refreshed(iterated[place], off) for place, off in zip(here, core.is_off(here))}
            core.note_refreshed(here)
        return found

    def _read_back(
        self, core: _core.Controller, gathered: Gathered, weights: list[Tensor], fresh: dict[int, Refreshed]
    ) -> tuple[list[Change], Gathered]:
        """Lets the rules decide that are due: the decisions that changed, and what is gathered from now on."""
        decides, needs = core.decides_now(), self.needs
        states, norms = self._read(core, weights, self._known(fresh), decides and "stable_rank" in needs)
        for place in core.lost(states, norms):
            norm, weight, (applied,) = self._held[place].norm, weights[place], core.applied([place])
            vectors = torch.tensor(_core.start(named(weight), norm.form.text, applied), device=weight.device)
            fresh[place] = Refreshed(vectors, is_off(vectors, norm.form))
            states[place] = norm.form.states_of(vectors).reshape(-1).tolist()
            core.note_refreshed([place])
        self._check_calls(core, gathered.calls)
        if not decides:
            core.read_back(states, norms, None, None, NO_SIGNALS)
            return [], gathered
        ratios = None
        if "sigma_ratio" in needs:
            ratios = [core.sigma_ratios(place, named(weight)) for place, weight in enumerate(weights)]
        gradients = gathered.gradients() if needs & {"gradients", "held_out", "growth"} else None
        text = core.read_back(states, norms, ratios, gradients, gathered.signals())
        return changes(text), gathered.anew()

    def _known(self, fresh: Mapping[int, Refreshed]) -> list[Tensor]:
        """The vectors of every weight as of its last refresh."""
        return [fresh[place].vectors if place in fresh else held.norm.vectors for place, held in enumerate(self._held)]

    def _check_calls(self, core: _core.Controller, calls: set[str]) -> None:
        core.check_observed("observe" in calls, "observe_held_out" in calls)
        for held, applied in zip(self._held, core.applied(range(len(self._held)))):
            for name, (kind, _, _, blend) in zip(held.norm.form.layers, applied):
                if kind in ("scale_update", "cap_update") and blend > 0 and "optimize" not in calls:
                    raise StepError(f"{name} has `{kind}`, which nothing applies: call control.optimize(optimizer)")

    def _read(
        self, core: _core.Controller, weights: list[Tensor], vectors: list[Tensor], with_norms: bool
    ) -> tuple[list[list[float]], list[list[float]] | None]:
        """The states and, where they are wanted, the Frobenius norms of every weight, in one copy from each device."""
        states: list[list[float]] = [[] for _ in weights]
        norms: list[list[float]] = [[] for _ in weights]
        forms = [held.norm.form for held in self._held]
        on_host = [place for place, weight in enumerate(weights) if weight.device.type == "cpu"]
        for place in on_host:
            states[place] = forms[place].states_of(vectors[place]).reshape(-1).tolist()
        if with_norms:
            found = core.norms(on_host, [named(weights[place]) for place in on_host])
            for place, norms_of in zip(on_host, found):
                norms[place] = norms_of
        for device in {weight.device for weight in weights if weight.device.type != "cpu"}:
            places = [place for place, weight in enumerate(weights) if weight.device == device]
            here = [forms[place] for place in places]
            wide = torch.float32 if device.type == "mps" else torch.float64
            rows = [torch.cat([forms[place].states_of(vectors[place]).reshape(-1) for place in places]).to(wide)]
            if with_norms:
                rows.append(block_norms([weights[place] for place in places], here, wide))
            numbers = iter(torch.cat(rows).tolist())
            for place, form in zip(places, here):
                states[place] = [next(numbers) for _ in range(form.count * STATE_LEN)]
            for place, form in zip(places, here if with_norms else []):
                norms[place] = [next(numbers) for _ in range(form.count)]
        return states, norms if with_norms else None

    @torch.no_grad()
    def report(self) -> Report:
        """What is known of every layer as of the last step; prints as a table.

        σ is brought up to date first where the last refresh was some steps ago, for the report alone: training does not
        depend on when somebody looked.
        """
        weights, core = self._weights(), self._core.copy()
        behind = [place for place, count in enumerate(core.iterations(range(len(weights)))) if count]
        vectors = self._known(self._refreshed(core, weights, behind))
        states, norms = self._read(core, weights, vectors, with_norms=True)
        return report(core.report(states, norms or []))

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
        for held, applied in zip(self._held, self._core.applied(range(len(self._held)))):
            held.norm.applied = applied
            held.norm.look()
