"""Reading, stepping, and what a step may change."""

from __future__ import annotations

import math
import pytest
import torch
from conftest import norm
from torch import nn

import osn


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))


def train(model: nn.Module, control: osn.Control, steps: int, rate: float = 0.1) -> None:
    optimizer = torch.optim.SGD(model.parameters(), rate)
    for _ in range(steps):
        loss = model(torch.randn(4, 3, 8, 8)).square().mean()
        loss.backward()
        control.observe()
        optimizer.step()
        optimizer.zero_grad()
        control.step(train_loss=loss, held_out_loss=loss)


def vectors(model: nn.Module) -> list[torch.Tensor]:
    return [value for name, value in model.state_dict().items() if name.endswith("_extra_state")]


def test_reading_moves_no_state_and_two_forwards_see_one_weight() -> None:
    model, x = network(), torch.randn(2, 3, 8, 8)
    osn.attach(model)
    before, first = vectors(model), model(x)
    model.eval()
    model(x)
    model.train()
    assert torch.equal(model(x), first)
    assert all(torch.equal(a, b) for a, b in zip(vectors(model), before))


def test_evaluation_before_any_training_is_normalized() -> None:
    model = network().eval()
    osn.attach(model, rule="always:target=2")
    assert norm(model[0].weight) == pytest.approx(2, rel=1e-3)


def test_the_stored_weight_is_the_optimizers_alone() -> None:
    model = network()
    stored = model[0].weight
    before = stored.detach().clone()
    control = osn.attach(model)
    assert model[0].parametrizations.weight.original is stored
    assert torch.equal(stored, before)
    for _ in range(60):
        control.step()
    assert torch.equal(stored, before)


def test_sigma_stays_at_the_target_while_weights_move() -> None:
    model = network()
    control = osn.attach(model, rule="always")
    train(model, control, 120)
    for layer in (model[0], model[3]):
        assert norm(layer.weight) == pytest.approx(1, rel=2e-2)
    assert all(layer.residual < 0.3 for layer in control.report())


def test_two_forwards_before_one_backward() -> None:
    model = network()
    control = osn.attach(model)
    a, b = model(torch.randn(2, 3, 8, 8)), model(torch.randn(2, 3, 8, 8))
    (a.sum() + b.sum()).backward()
    assert model[0].parametrizations.weight.original.grad.isfinite().all()
    control.step()


def test_a_step_between_forward_and_backward_leaves_the_gradient_of_the_forward() -> None:
    def gradient(steps: bool) -> torch.Tensor:
        torch.manual_seed(3)
        model, x = network(), torch.randn(2, 3, 8, 8)
        control = osn.attach(model)
        loss = model(x).square().sum()
        if steps:
            control.step()
        loss.backward()
        return model[0].parametrizations.weight.original.grad

    assert torch.equal(gradient(False), gradient(True))


def test_a_zero_weight_stays_zero_and_is_found_when_it_leaves_zero() -> None:
    layer = nn.Linear(4, 4)
    nn.init.zeros_(layer.weight)
    control = osn.attach(layer, "weight", "always")
    for _ in range(60):
        control.step()
        assert not layer.weight.any()
    with torch.no_grad():
        layer.parametrizations.weight.original += torch.randn(4, 4)
    for _ in range(60):
        control.step()
    assert norm(layer.weight) == pytest.approx(1, rel=1e-3)


def test_a_weight_that_is_not_finite_is_named_and_nothing_has_happened() -> None:
    layer = nn.Linear(4, 4)
    control = osn.attach(layer, "weight", "always")
    with torch.no_grad():
        layer.parametrizations.weight.original[0, 0] = float("nan")
    with pytest.raises(osn.StepError, match="weight is not finite since step"):
        for _ in range(60):
            control.step()
    assert control.steps == 49
    with torch.no_grad():
        layer.parametrizations.weight.original[0, 0] = 0.5
    control.remeasure()
    for _ in range(60):
        control.step()
    assert norm(layer.weight) == pytest.approx(1, rel=1e-3)


def test_a_step_that_fails_is_not_counted_in_what_the_rules_read() -> None:
    layer = nn.Linear(4, 4)
    control = osn.attach(layer, "weight", "observe:interval=5")
    layer(torch.ones(1, 4)).sum().backward()
    for _ in range(4):
        control.step(train_loss=1.0)
    control.observe()
    before = control.state_dict()
    with torch.no_grad():
        layer.parametrizations.weight.original[0, 0] = float("nan")
    with pytest.raises(osn.StepError, match="not finite"):
        control.step(train_loss=7.0, metrics={"score": 1.0})
    assert control.state_dict() == before


def test_frozen_weights_are_held_and_get_no_gradient() -> None:
    model = network()
    model[0].weight.requires_grad_(False)
    control = osn.attach(model)
    train(model, control, 5)
    assert model[0].parametrizations.weight.original.grad is None
    assert norm(model[0].weight) == pytest.approx(1, rel=1e-3)


def test_never_changes_no_bit_of_the_training() -> None:
    def trained(rule: str | None) -> torch.Tensor:
        torch.manual_seed(5)
        model = network()
        if rule is None:
            optimizer = torch.optim.SGD(model.parameters(), 0.1)
            for _ in range(30):
                model(torch.randn(4, 3, 8, 8)).square().mean().backward()
                optimizer.step()
                optimizer.zero_grad()
            return model[3].weight
        train(model, osn.attach(model, rule=rule), 30)
        return model[3].parametrizations.weight.original

    assert torch.equal(trained(None), trained("never"))
    assert torch.equal(trained(None), trained("observe"))


def test_a_report_has_the_number_that_the_rule_decides_by() -> None:
    control = osn.attach(nn.Linear(16, 16), "weight", "auto:task=classify,interval=1")
    assert control.report()[0].evidence is None
    control.step(train_loss=0.25, held_out_loss=1.0)
    evidence = control.report()[0].evidence
    assert isinstance(evidence, osn.Evidence)
    assert (evidence.value, evidence.thresholds) == (0.75, [0.4])
    assert osn.attach(nn.Linear(16, 16), "weight", "cap").report()[0].evidence is None


def test_a_switch_does_not_jump() -> None:
    layer = nn.Linear(16, 16)
    control = osn.attach(layer, "weight", "schedule:target=0.3,on=20,off=60,interval=10")
    scales = []
    for _ in range(300):
        control.step()
        scales.append(control.report()[0].scale)
    moves = [abs(b / a - 1) for a, b in zip(scales, scales[1:])]
    assert max(moves) < 0.03
    assert min(scales) < 0.8
    assert scales[-1] == pytest.approx(1)


def test_gradients_reach_the_rules() -> None:
    model = network()
    control = osn.attach(model, rule="observe:interval=5")
    assert "gradients" in control.needs
    train(model, control, 5)
    gradient = control.report()[0].gradient
    assert gradient is not None
    assert gradient["mean_norm"] > 0 and gradient["mean_update"] == pytest.approx(0.1 * gradient["mean_norm"], rel=1e-3)


def test_the_sensitivity_is_the_derivative_by_the_logarithm_of_the_scale() -> None:
    model, x = nn.Linear(6, 3, bias=False), torch.randn(5, 6)
    control = osn.attach(model, "weight", "observe:interval=1", gradient="full")
    model(x).square().sum().backward()
    effective = model.weight.detach().requires_grad_()
    (x @ effective.T).square().sum().backward()
    expected = float((effective.grad * effective.detach()).sum())
    control.observe()
    control.step()
    assert control.report()[0].gradient["sensitivity"] == pytest.approx(abs(expected), rel=1e-4)


def test_what_is_measured_for_reports_alone_is_there() -> None:
    model = network()
    control = osn.attach(model, rule="cap:target=1,interval=5", measure=["gradients", "sigma_ratio"])
    train(model, control, 5)
    layer = control.report()[0]
    assert layer.gradient is not None and 0 < layer.sigma_ratio < 1


def test_accumulated_gradients_count_as_those_of_one_step() -> None:
    def sensitivity(parts: int) -> float:
        torch.manual_seed(1)
        model, x = nn.Linear(6, 3, bias=False), torch.randn(8, 6)
        control = osn.attach(model, "weight", "observe:interval=1")
        for part in x.chunk(parts):
            model(part).square().sum().backward()
        control.observe()
        control.step()
        return control.report()[0].gradient["sensitivity"]

    assert sensitivity(4) == pytest.approx(sensitivity(1), rel=1e-4)


def test_a_held_out_loss_changes_no_gradient() -> None:
    model = network()
    control = osn.attach(model, rule="learned:interval=1")
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    control.observe()
    before = model[0].parametrizations.weight.original.grad.clone()
    control.observe_held_out(model(torch.randn(2, 3, 8, 8)).square().mean())
    assert torch.equal(model[0].parametrizations.weight.original.grad, before)
    control.step()


def test_a_layer_whose_growth_does_not_pay_on_held_out_data_is_capped() -> None:
    """Labels by chance: whatever is learned of them is worth nothing on others."""
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
    control = osn.attach(model, rule="pay")
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    (x, held_out), (y, of_held_out) = torch.randn(2, 64, 16), torch.randint(4, (2, 64))
    for _ in range(400):
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
        if control.steps % 5 == 0:
            control.observe_held_out(nn.functional.cross_entropy(model(held_out), of_held_out))
        control.step()
    report = control.report()
    assert any("has not paid" in layer.reason and layer.scale < 1 for layer in report), report


def test_a_rule_that_needs_a_call_which_never_was_says_which() -> None:
    model = network()
    control = osn.attach(model, rule="learned:interval=10")
    with pytest.raises(osn.StepError, match=r"control\.observe"):
        for _ in range(10):
            control.step()
    assert control.steps == 9


def test_the_update_is_scaled_where_the_action_says_so() -> None:
    layer = nn.Linear(4, 4, bias=False)
    control = osn.attach(layer, "weight", "lr_over_sigma")
    stored = layer.parametrizations.weight.original
    before, sigma = stored.detach().clone(), control.report()[0].sigma
    optimizer = torch.optim.SGD(layer.parameters(), 0.5)
    layer(torch.ones(1, 4)).sum().backward()
    control.optimize(optimizer)
    assert torch.allclose(before - stored.detach(), torch.full((4, 4), 0.5 / sigma), rtol=1e-4)
    assert optimizer.param_groups[0]["lr"] == 0.5
    control.step()


def test_an_update_that_nothing_scales_is_an_error() -> None:
    layer = nn.Linear(4, 4)
    control = osn.attach(layer, "weight", "lr_over_sigma")
    with pytest.raises(osn.StepError, match="control.optimize"):
        for _ in range(50):
            control.step()


def test_the_kept_step_size_undoes_the_change_of_scale_and_lets_go() -> None:
    layer = nn.Linear(6, 4, bias=False)
    control = osn.attach(layer, "weight", "schedule:off=4,interval=2", blend_per_step=1.0, keep_step_size=200)
    for _ in range(4):
        control.step()
        assert control.update_factors() == {"weight": 1.0}
    before = control.report()[0].scale
    control.step()
    after, kept = control.report()[0].scale, control.update_factors()["weight"]
    assert after == 1.0 and abs(before - 1) > 0.01
    assert kept * after == pytest.approx(before, rel=1e-5)
    other = osn.attach(nn.Linear(6, 4, bias=False), "weight", "schedule:off=4,interval=2", blend_per_step=1.0, keep_step_size=10)
    with pytest.raises(ValueError, match="keep_step_size"):
        other.load_state_dict(control.state_dict())
    for _ in range(200):
        control.step()
    assert math.log(control.update_factors()["weight"]) == pytest.approx(math.log(kept) / math.e)


def test_a_kept_step_size_that_nothing_applies_is_an_error() -> None:
    layer = nn.Linear(6, 4, bias=False)
    with pytest.raises(osn.AttachError, match="keep_step_size is 0"):
        osn.attach(layer, "weight", keep_step_size=0)
    control = osn.attach(layer, "weight", "schedule:off=2,interval=2", keep_step_size=10)
    with pytest.raises(osn.StepError, match="weight has `keep_step_size`"):
        for _ in range(4):
            control.step()
    assert control.steps == 3


def test_metrics_wait_for_the_rule() -> None:
    layer = nn.Linear(4, 4)
    control = osn.attach(layer, "weight", "plateau:metric=loss,every=1,patience=1,interval=10")
    control.step(metrics={"loss": 3.0})
    for _ in range(9):
        control.step()
    assert "loss 3" in control.report()[0].reason


def test_the_metrics_are_flat_numbers() -> None:
    control = osn.attach(nn.Linear(4, 4), "weight")
    metrics = control.metrics()
    assert metrics["osn/weight/effective_sigma"] == pytest.approx(1)
    assert set(metrics) == {f"osn/weight/{it}" for it in ("sigma", "scale", "effective_sigma")}


class Ratchet(osn.Rule):
    """Caps every layer at twice the smallest σ that it had."""

    name = "ratchet"
    interval = 5

    def decide(self, context: osn.Context) -> list[osn.Decision]:
        least = context.memory.setdefault("least", [it.sigma for it in context.measurements])
        least[:] = [min(a, it.sigma) for a, it in zip(least, context.measurements)]
        return [osn.Decision("cap", 2 * it, f"least {it:.4f}, step {context.step}") for it in least]


def test_a_rule_of_ones_own_decides_and_is_resumed() -> None:
    def begun() -> tuple[nn.Module, osn.Control]:
        torch.manual_seed(2)
        model = network()
        return model, osn.attach(model, rule=Ratchet())

    model, control = begun()
    train(model, control, 7)
    other, resumed = begun()
    other.load_state_dict(model.state_dict())
    resumed.load_state_dict(control.state_dict())
    torch.manual_seed(9)
    train(model, control, 20)
    torch.manual_seed(9)
    train(other, resumed, 20)
    assert str(control.report()) == str(resumed.report())
    assert "least" in control.report()[0].reason


def test_what_a_rule_raises_comes_out_of_the_step() -> None:
    class Broken(osn.Rule):
        name = "broken"
        interval = 1

        def decide(self, context: osn.Context) -> list[osn.Decision]:
            if context.step:
                raise ZeroDivisionError("by hand")
            return [osn.Decision("off")] * len(context.layers)

    control = osn.attach(nn.Linear(4, 4), "weight", Broken())
    with pytest.raises(ZeroDivisionError, match="by hand"):
        control.step()
    assert control.steps == 0


def test_a_rule_with_too_few_decisions_is_refused() -> None:
    class Short(osn.Rule):
        name = "short"

        def decide(self, context: osn.Context) -> list[osn.Decision]:
            return []

    with pytest.raises(osn.AttachError, match="0 decisions for 1 layers"):
        osn.attach(nn.Linear(4, 4), "weight", Short())
