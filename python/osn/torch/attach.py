"""From a model and rules to a held model, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.utils import parametrize

from osn import _core
from osn._core import AttachError
from osn.rule import Rules, entries
from osn.selection import Select, Selection, selections
from osn.torch import loading
from osn.torch.architecture import Architecture, architectures
from osn.torch.control import Control, Held
from osn.torch.discover import Found, parameters
from osn.torch.form import form
from osn.torch.host import named
from osn.torch.signals import is_distributed
from osn.torch.spectral_norm import SpectralNorm

#: What can be measured beyond what the rules read.
_MEASURABLE = frozenset({"gradients", "growth", "held_out", "sigma_ratio"})
#: What can be stated of a weight.
_FACTS = ("normalized", "residual", "output")


class Candidate(NamedTuple):
    """A weight that may be held, and where it stands in its network."""

    found: Found
    architecture: Architecture


@torch.no_grad()
def attach(
    model: nn.Module,
    select: Select = "**.weight",
    rule: Rules = "always",
    *,
    network: str = "model",
    gradient: str = "full",
    blend_per_step: float = 0.01,
    log_target_per_step: float = 0.01,
    keep_step_size: int | None = None,
    measure: Iterable[str] = (),
    stated: Mapping[str, Mapping[str, bool]] = MappingProxyType({}),
) -> Control:
    """Has rules decide about weights of a model, and puts the first decisions in force: the first forward has them.

    Each weight W keeps its values and becomes ``parametrizations.<name>.original``; its module computes with
    ``Ŵ = s·W``. A weight that several modules share is held once. In a process group the weights of rank 0 are taken,
    as DDP does; attach before you wrap the model.

    Args:
        model: any module; it is changed in place.
        select: a glob over paths of parameters of rank 2 and more, a :class:`osn.Selection`, or several, of which the
            last one that matches applies.
        rule: ``auto``, ``always``, ``never``, ``cap:target=2``, … (``osn decide`` lists them), a file ``rules.toml``,
            an :class:`osn.Rule`, or pairs of a selection and a rule, of which the last one that matches decides.
        network: for rules and records of several networks.
        gradient: how ∂L/∂W treats σ: ``full``, ``detached`` (s is a constant) or ``inward_only``.
        blend_per_step, log_target_per_step: how fast a changed decision comes into force.
        keep_step_size: a time constant in steps. Where a decision moves the scale from s₀ to s₁, the learning rate of
            the layer is multiplied by s₀/s₁ and returns to its own value; :meth:`osn.Control.optimize` applies it.
            Under Adam a step of Ŵ then has the size that it had before.
        measure: ``gradients``, ``growth``, ``held_out`` or ``sigma_ratio``, for reports besides what the rules read.
        stated: facts that the module tree does not show (`osn.torch.architecture` says which it does), by globs of paths,
            of which the last one that matches holds: ``{"blocks.*.out.weight": {"residual": True}}``. ``normalized``,
            ``residual`` and ``output`` can be stated; rules and selections choose layers by them.

    Returns:
        The control, whose :meth:`osn.Control.step` is to be called after each optimizer step.

    Raises:
        AttachError: nothing is selected, a weight cannot be held (sparse, quantized, complex, meta, sharded, not
            finite, with a parametrization), or a rule makes no sense. Nothing has changed then.

    Example:
        >>> model = torch.nn.Linear(8, 4)
        >>> control = osn.attach(model, select="weight", rule="always")
        >>> round(float(torch.linalg.matrix_norm(model.weight, 2)), 3)
        1.0
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {type(model).__name__}: expected torch.nn.Module")
    also = frozenset(measure)
    if unknown := sorted(also - _MEASURABLE):
        raise AttachError(f"measure holds `{unknown[0]}`: expected some of {', '.join(sorted(_MEASURABLE))}")
    chosen = _chosen(model, selections(select), network, stated)
    if is_distributed():
        for (found, _), _ in chosen:
            dist.broadcast(found.weight.detach(), 0)
    if keep_step_size is not None and keep_step_size < 1:
        raise AttachError(f"keep_step_size is {keep_step_size}: expected at least 1 step")
    core, vectors = _core.Controller.attach(
        [_described(candidate, selection) for candidate, selection in chosen],
        [named(found.weight) for (found, _), _ in chosen],
        entries(rule),
        (blend_per_step, log_target_per_step),
        keep_step_size,
        network,
        gradient,
    )
    needs = also | set(core.needs())
    held = []
    of_weights = zip(chosen, vectors, core.applied(range(len(chosen))), json.loads(core.layout()))
    for ((found, _), _), numbers, in_force, data in of_weights:
        own, device = form(data), found.weight.device
        probe = None
        if needs & {"gradients", "growth", "held_out"}:
            numbers_of_block = 2 if "growth" in needs else 1
            with torch.enable_grad():
                probe = torch.zeros(numbers_of_block * own.count, device=device, requires_grad=True)
        norm = SpectralNorm(own, torch.tensor(numbers, device=device), in_force, probe)
        held.append(_put(found, norm))
    return Control(core, held, also)


def _chosen(
    model: nn.Module, several: list[Selection], network: str, stated: Mapping[str, Mapping[str, bool]]
) -> list[tuple[Candidate, Selection]]:
    found = parameters(model)
    candidates = [Candidate(*it) for it in zip(found, architectures(model, found))]
    if not several:
        available = ", ".join(it.path for it in found)
        raise AttachError(f"nothing is selected: pass a glob; there are: {available}")
    for glob, facts in stated.items():
        _state(candidates, glob, facts, network)
    described = [_as_data(candidate) for candidate in candidates]
    places = _core.choose(described, [selection.conditions() for selection in several], network)
    chosen = [(candidate, several[place]) for candidate, place in zip(candidates, places) if place is not None]
    for (weight, _), _ in chosen:
        if weight.problem is not None:
            raise AttachError(f"{weight.path} {weight.problem}")
    return chosen


def _state(candidates: list[Candidate], glob: str, facts: Mapping[str, bool], network: str) -> None:
    """Takes facts over for the weights whose path matches."""
    if unknown := sorted(set(facts) - set(_FACTS)):
        raise AttachError(f"stated has `{unknown[0]}`: expected some of {', '.join(_FACTS)}")
    places = _core.choose([_as_data(it) for it in candidates], [Selection(glob).conditions()], network)
    for candidate, place in zip(candidates, places):
        if place is not None:
            for fact, holds in facts.items():
                setattr(candidate.architecture, f"is_{fact}", bool(holds))


def _as_data(candidate: Candidate) -> dict[str, object]:
    found, architecture = candidate
    has_shape = found.problem is None or not found.problem.startswith("is not initialized")
    shape = list(found.weight.shape) if has_shape and not found.weight.is_nested else [0, 0]
    axis = found.output_axis
    return {"path": found.path, "kind": found.kind, "shape": shape, "output_axis": axis, **asdict(architecture)}


def _described(candidate: Candidate, selection: Selection) -> dict[str, object]:
    found = candidate.found
    view = found.view if selection.view is None else selection.view
    if view == "heads":
        try:
            view = found.heads()
        except ValueError as error:
            raise AttachError(str(error)) from None
    if view.startswith("operator") and found.weight.device.type != "cpu":
        raise AttachError(f"{found.path} is on {found.weight.device}: the view operator needs the CPU; use reshaped")
    axis = found.output_axis if selection.output_axis is None else selection.output_axis
    return {"candidate": _as_data(candidate), "view": view, "output_axis": axis}


def _put(found: Found, norm: SpectralNorm) -> Held:
    norm.train(found.module.training)
    for module, name in found.places:
        parametrize.register_parametrization(module, name, norm, unsafe=True)
        loading.install(module)
    return Held(norm, found.places)


@torch.no_grad()
def bake(model: nn.Module) -> nn.Module:
    """Makes every held weight an ordinary one with the values of the effective weight: the same function, no osn.

    Returns:
        The model, changed in place. A baked state dict loads into the plain model, and ``torch.export`` and ONNX see
        plain weights. The control is of no use afterwards.
    """
    return _released(model, keep_effective=True)


@torch.no_grad()
def detach(model: nn.Module) -> nn.Module:
    """Leaves the stored weights, as if osn had only watched: the function changes where a layer was constrained."""
    return _released(model, keep_effective=False)


def _released(model: nn.Module, keep_effective: bool) -> nn.Module:
    effective: dict[int, torch.Tensor] = {}
    places = [(module, *it) for module in model.modules() for it in loading.held(module)]
    for module, name, weight, norm in places:
        if id(norm) not in effective:
            effective[id(norm)] = norm(weight).detach().clone() if keep_effective else weight.detach()
    for module, name, weight, norm in places:
        if len(module.parametrizations[name]) != 1:  # type: ignore[index]
            raise AttachError(f"{norm.form.path} has another parametrization beside osn's: remove it first")
        _with_class_of_its_own(module)
        parametrize.remove_parametrizations(module, name, leave_parametrized=False)
        loading.uninstall(module)
        if keep_effective:
            getattr(module, name).copy_(effective[id(norm)])
    return model


def _with_class_of_its_own(module: nn.Module) -> None:
    """A deep copy has the class of the original, and PyTorch would take the weight out of that class for both."""
    kind = type(module)
    members = {name: it for name, it in vars(kind).items() if name not in ("__dict__", "__weakref__")}
    module.__class__ = type(kind.__name__, kind.__bases__, members)


@torch.no_grad()
def remeasure(model: nn.Module) -> None:
    """Measures every held weight of a model anew, with the actions in force.

    Call it on a copy whose weights were averaged (``AveragedModel``), or after an assignment to a held weight. For the
    attached model itself use :meth:`osn.Control.remeasure`.

    Raises:
        StepError: a weight is not finite.
    """
    for module in model.modules():
        for _name, weight, norm in loading.held(module):
            norm.measure(weight)
