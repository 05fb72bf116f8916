"""From a model and rules to a held model, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.utils import parametrize

from osn import _core
from osn._core import AttachError
from osn.rule import Rules, entries
from osn.selection import Select, Selection, selections
from osn.torch import loading
from osn.torch.control import Control, Held
from osn.torch.discover import Found, parameters
from osn.torch.form import form
from osn.torch.host import named
from osn.torch.signals import is_distributed
from osn.torch.spectral_norm import SpectralNorm

#: What can be measured beyond what the rules read.
_MEASURABLE = frozenset({"gradients", "growth", "held_out", "sigma_ratio"})


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
    chosen = _chosen(model, selections(select), network)
    if is_distributed():
        for found, _ in chosen:
            dist.broadcast(found.weight.detach(), 0)
    if keep_step_size is not None and keep_step_size < 1:
        raise AttachError(f"keep_step_size is {keep_step_size}: expected at least 1 step")
    core, vectors = _core.Controller.attach(
        [_described(found, selection) for found, selection in chosen],
        [named(found.weight) for found, _ in chosen],
        entries(rule),
        (blend_per_step, log_target_per_step),
        keep_step_size,
        network,
        gradient,
    )
    needs = also | set(core.needs())
    held = []
    of_weights = zip(chosen, vectors, core.applied(), json.loads(core.layout()))
    for (found, _), numbers, in_force, data in of_weights:
        own, device = form(data), found.weight.device
        probe = None
        if needs & {"gradients", "growth", "held_out"}:
            numbers_of_block = 2 if "growth" in needs else 1
            with torch.enable_grad():
                probe = torch.zeros(numbers_of_block * own.count, device=device, requires_grad=True)
        norm = SpectralNorm(own, torch.tensor(numbers, device=device), in_force, probe)
        held.append(_put(found, norm))
    return Control(core, held, also)


def _chosen(model: nn.Module, several: list[Selection], network: str) -> list[tuple[Found, Selection]]:
    candidates = parameters(model)
    if not several:
        available = ", ".join(found.path for found in candidates)
        raise AttachError(f"nothing is selected: pass a glob; there are: {available}")
    described = [_candidate(found) for found in candidates]
    places = _core.choose(described, [selection.conditions() for selection in several], network)
    chosen = [(found, several[place]) for found, place in zip(candidates, places) if place is not None]
    for found, _ in chosen:
        if found.problem is not None:
            raise AttachError(f"{found.path} {found.problem}")
    return chosen


def _candidate(found: Found) -> dict[str, object]:
    has_shape = found.problem is None or not found.problem.startswith("is not initialized")
    shape = list(found.weight.shape) if has_shape and not found.weight.is_nested else [0, 0]
    return {"path": found.path, "kind": found.kind, "shape": shape}


def _described(found: Found, selection: Selection) -> dict[str, object]:
    view = found.view if selection.view is None else selection.view
    if view == "heads":
        try:
            view = found.heads()
        except ValueError as error:
            raise AttachError(str(error)) from None
    if view.startswith("operator") and found.weight.device.type != "cpu":
        raise AttachError(f"{found.path} is on {found.weight.device}: the view operator needs the CPU; use reshaped")
    axis = found.output_axis if selection.output_axis is None else selection.output_axis
    return {"candidate": _candidate(found), "view": view, "output_axis": axis}


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
        parametrize.remove_parametrizations(module, name, leave_parametrized=False)
        loading.uninstall(module)
        if keep_effective:
            getattr(module, name).copy_(effective[id(norm)])
    return model


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
