"""State that nobody can damage: copies, state dicts, casts, averages, checkpoints of others."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import norm
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

import osn


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5))


def attached(rule: str = "always") -> tuple[nn.Module, osn.Control]:
    model = network()
    return model, osn.attach(model, rule=rule)


def moved(model: nn.Module, control: osn.Control, steps: int = 3) -> None:
    for _ in range(steps):
        with torch.no_grad():
            for weight in model.parameters():
                weight += 0.02 * torch.randn_like(weight)
        control.step()


def test_a_deep_copy_is_frozen_and_of_its_own() -> None:
    model, control = attached()
    twin, x = copy.deepcopy(model), torch.randn(2, 3, 8, 8)
    before = model(x)
    assert torch.equal(twin(x), before)
    moved(model, control)
    assert torch.equal(twin(x), before)
    assert not torch.equal(model(x), before)


def test_a_state_dict_of_a_file_brings_weights_and_vectors(tmp_path: Path) -> None:
    model, control = attached("cap:target=0.5")
    moved(model, control, 20)
    torch.save({"model": model.state_dict(), "control": control.state_dict()}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    other, resumed = attached("cap:target=0.5")
    other.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["control"])
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(other(x), model(x))
    for pair in ((model, control), (other, resumed)):
        torch.manual_seed(4)
        moved(*pair, 30)
    assert torch.equal(other(x), model(x))
    assert str(resumed.report()) == str(control.report())


def test_the_state_is_a_tensor_that_any_format_takes() -> None:
    model, _ = attached()
    assert all(isinstance(value, torch.Tensor) for value in model.state_dict().values())


def test_a_control_of_other_layers_rules_or_rates_is_refused() -> None:
    _, control = attached()
    saved = control.state_dict()
    layer = nn.Linear(4, 4)
    with pytest.raises(ValueError, match="attach to the same layers|lacks layers"):
        osn.attach(layer, "weight").load_state_dict(saved)
    with pytest.raises(ValueError, match="rules"):
        attached("never")[1].load_state_dict(saved)
    with pytest.raises(ValueError, match="rates"):
        osn.attach(network(), blend_per_step=0.5).load_state_dict(saved)
    with pytest.raises(ValueError, match="lacks core"):
        control.load_state_dict({})


@pytest.mark.parametrize("part", ["observed", "means"])
def test_a_damaged_control_is_refused_and_nothing_has_changed(part: str) -> None:
    _, control = attached("observe:interval=5")
    saved = control.state_dict()
    for _ in range(3):
        control.step(train_loss=1.0)
    damaged = {"observed": {**saved["observed"], "updates": [([1.0, 2.0, 3.0], 1), None]},
               "means": {**saved["means"], "train_loss": ([1.0], 0)}}
    with pytest.raises(ValueError, match="damaged"):
        control.load_state_dict({**saved, part: damaged[part]})
    assert control.steps == 3
    control.load_state_dict(saved)
    assert control.steps == 0


@pytest.mark.parametrize("cast", [nn.Module.half, nn.Module.bfloat16, nn.Module.double])
def test_a_cast_of_the_model_leaves_the_state_in_single_precision(cast: Callable[[nn.Module], nn.Module]) -> None:
    model, control = attached()
    before = [it.clone() for it in (model[0].parametrizations.weight[0].vectors,)]
    cast(model)
    state = model[0].parametrizations.weight[0].vectors
    assert state.dtype == torch.float32 and torch.equal(state, before[0])
    control.step()
    assert norm(model[0].weight) == pytest.approx(1, rel=2e-2)


def test_an_average_with_its_buffers_damages_nothing() -> None:
    model, control = attached()
    average = torch.optim.swa_utils.AveragedModel(model, use_buffers=True)
    before = average.module[0].parametrizations.weight[0].vectors.clone()
    for _ in range(3):
        moved(model, control)
        average.update_parameters(model)
    assert torch.equal(average.module[0].parametrizations.weight[0].vectors, before)
    osn.remeasure(average.module)
    for layer in (average.module[0], average.module[2]):
        assert norm(layer.weight) == pytest.approx(1, rel=1e-3)


def test_an_average_of_state_dicts_is_measured_anew() -> None:
    model, control = attached()
    first = copy.deepcopy(model.state_dict())
    moved(model, control, 30)
    second = model.state_dict()
    model.load_state_dict({name: (first[name] + second[name]) / 2 for name in first})
    for layer in (model[0], model[2]):
        assert norm(layer.weight) == pytest.approx(1, rel=1e-2)


def _by_parametrization() -> nn.Module:
    model = network()
    parametrizations.spectral_norm(model[0])
    parametrizations.spectral_norm(model[2])
    return model


def _by_hook() -> nn.Module:
    model = network()
    spectral_norm(model[0])
    spectral_norm(model[2])
    return model


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [network, _by_parametrization, _by_hook])
def test_checkpoints_of_others_load_into_an_attached_model(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(8)
    source = make()
    source(torch.randn(2, 3, 8, 8))
    model, control = attached()
    file = io.BytesIO()
    torch.save(source.state_dict(), file)
    file.seek(0)
    loaded = model.load_state_dict(torch.load(file, weights_only=True))
    assert not loaded.missing_keys and not loaded.unexpected_keys
    parametrized = getattr(source[2], "parametrizations", None)
    stored = source[2].weight_orig if hasattr(source[2], "weight_orig") else (
        parametrized.weight.original if parametrized else source[2].weight
    )
    assert torch.equal(model[2].parametrizations.weight.original, stored)
    assert norm(model[2].weight) == pytest.approx(1, rel=1e-3)
    control.step()


def test_a_baked_model_is_the_same_function_and_loads_anywhere() -> None:
    model, control = attached()
    moved(model, control)
    x = torch.randn(2, 3, 8, 8)
    before = model(x)
    assert osn.bake(model) is model
    assert torch.equal(model(x), before)
    plain = network()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(plain(x), before)
    assert type(model[0]) is nn.Conv2d and not model[0]._load_state_dict_pre_hooks
    with pytest.raises(osn.StepError, match="no longer held"):
        control.step()


def test_detaching_leaves_the_stored_weights() -> None:
    model = network()
    before = model[0].weight.detach().clone()
    osn.attach(model)
    osn.detach(model)
    assert torch.equal(model[0].weight, before)
    assert set(model.state_dict()) == set(network().state_dict())


def test_a_baked_model_can_be_pickled_and_attached_again() -> None:
    model, _ = attached()
    osn.bake(model)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert osn.attach(again, rule="never").report()[0].sigma == pytest.approx(1, rel=1e-3)


def test_an_assigned_weight_is_stored_and_can_be_measured() -> None:
    layer = nn.Linear(4, 4)
    control = osn.attach(layer, "weight", "always")
    value = 3 * torch.eye(4)
    layer.weight = value
    assert torch.equal(layer.parametrizations.weight.original, value)
    control.remeasure()
    assert torch.allclose(layer.weight, torch.eye(4), atol=1e-5)


def test_weights_that_a_load_assigns_are_followed() -> None:
    model, control = attached()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(state, assign=True)
    moved(model, control, 30)
    assert norm(model[0].weight) == pytest.approx(1, rel=5e-2)


def any_extra(model: nn.Module) -> Any:
    return model[0].parametrizations.weight[0].get_extra_state()


def test_changing_a_state_dict_changes_no_model() -> None:
    model, _ = attached()
    before = any_extra(model)
    for value in model.state_dict().values():
        value.detach().mul_(1.0)
    any_extra(model).zero_()
    assert torch.equal(any_extra(model), before)
