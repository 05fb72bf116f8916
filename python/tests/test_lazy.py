"""A layer that nothing constrains is refreshed only where its σ is asked for, and who asks changes no bit of training.

The same as ``crates/osn/tests/all/lazy.rs``.
"""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from conftest import norm
from torch import Tensor, nn

import osn

CAP = 3.0


class Capped(osn.Rule):
    """A hard cap from the start on, with gradients observed."""

    name = "capped"
    interval = 10_000
    needs = ("gradients",)

    def decide(self, context: osn.Context) -> list[osn.Decision]:
        return [osn.Decision("cap", CAP, "from the start") for _ in context.layers]


class LetsGo(osn.Rule):
    """Normalizes to 1, lets go from step 30 on at the scale that each layer has then, and normalizes again from step 60."""

    name = "lets_go"
    interval = 10

    def decide(self, context: osn.Context) -> list[osn.Decision]:
        if not 30 <= context.step < 60:
            return [osn.Decision("normalize", 1.0, "held") for _ in context.layers]
        scales = context.memory.setdefault("scales", [1 / it.sigma for it in context.measurements])
        return [osn.Decision("keep", scale, "let go") for scale in scales]


#: Layers that are off, that are switched on and off again midway, whose updates are scaled, and that are constrained.
RULES = [
    "never",
    "cap:target=2.6,interval=7,dwell=20",
    "cap:target=2.6,interval=7,dwell=20,sharpness=8",
    "schedule:on=20,off=60,interval=10",
    "lr_over_sigma:interval=10",
    "always",
    Capped(),
    LetsGo(),
]


class Training:
    """A network whose σ is about 2 at the start, in training under a rule."""

    def __init__(self, rule: str | osn.Rule, rate: float = 3e-3, device: str = "cpu", **arguments: Any) -> None:
        torch.manual_seed(1)
        layers = [nn.Linear(24, 64), nn.Linear(64, 64), nn.Linear(64, 8)]
        for layer in layers:
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        self.rule, self.arguments = rule, arguments
        self.model = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2]).to(device)
        self.control = osn.attach(self.model, "**.weight", rule, **arguments)
        self.optimizer = torch.optim.Adam(self.model.parameters(), rate)

    def step(self) -> None:
        generator = torch.Generator().manual_seed(1000 + self.control.steps)
        x = torch.randn(32, 24, generator=generator).to(self.control.device)
        truth = x[:, :8].square() * 2 - x[:, 8:16]
        (self.model(x) - truth).square().mean().backward()
        self.control.observe()
        self.control.optimize(self.optimizer)
        self.optimizer.zero_grad()
        self.control.step()

    def look(self) -> None:
        """Asks for everything that can be asked for."""
        self.control.metrics()
        self.control.wanted()
        self.control.state_dict()
        self.model.state_dict()
        osn.bake(copy.deepcopy(self.model))
        self.model.eval()(torch.zeros(1, 24, device=self.control.device))
        self.model.train()

    def saved(self) -> Training:
        """The same training, gone on from files."""
        file = io.BytesIO()
        torch.save([self.model.state_dict(), self.control.state_dict(), self.optimizer.state_dict()], file)
        file.seek(0)
        model, control, optimizer = torch.load(file, weights_only=True)
        other = Training(self.rule, **self.arguments)
        other.model.load_state_dict(model)
        other.control.load_state_dict(control)
        other.optimizer.load_state_dict(optimizer)
        return other

    @property
    def layers(self) -> list[nn.Linear]:
        return [self.model[place] for place in (0, 2, 4)]

    @property
    def norms(self) -> list[Any]:
        return [layer.parametrizations.weight[0] for layer in self.layers]

    def weights(self) -> list[Tensor]:
        """What it trains and what it computes with."""
        stored = [layer.parametrizations.weight.original.detach().clone() for layer in self.layers]
        return stored + [layer.weight.detach().clone() for layer in self.layers]

    def vectors(self) -> list[Tensor]:
        return [it.vectors for it in self.norms]

    def exact(self) -> list[float]:
        return [norm(layer.parametrizations.weight.original) for layer in self.layers]

    def exact_effective(self) -> list[float]:
        return [norm(layer.weight) for layer in self.layers]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(a, b, strict=True))


def name(rule: str | osn.Rule) -> str:
    return rule if isinstance(rule, str) else rule.name


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_who_looks_changes_no_bit_of_the_training(rule: str | osn.Rule) -> None:
    alone, watched = Training(rule), Training(rule)
    for step in range(1, 101):
        alone.step()
        watched.step()
        watched.look()
        assert equal(alone.weights(), watched.weights()), step
    assert alone.control.state_dict() == watched.control.state_dict()
    assert equal(alone.vectors(), watched.vectors())


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_what_is_measured_for_reports_alone_changes_no_bit(rule: str | osn.Rule) -> None:
    alone, measured = Training(rule), Training(rule, measure=["gradients", "sigma_ratio"])
    for _ in range(60):
        alone.step()
        measured.step()
    assert equal(alone.weights(), measured.weights())
    assert equal(alone.vectors(), measured.vectors())


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_a_run_that_is_saved_at_any_step_goes_on_to_the_same_bits(rule: str | osn.Rule) -> None:
    uncut, resumed = Training(rule), []
    for step in range(1, 111):
        uncut.step()
        for other in resumed:
            other.step()
        if step in (1, 13, 20, 21, 49, 50, 64):
            resumed.append(uncut.saved())
    for other in resumed:
        assert equal(other.weights(), uncut.weights())
        assert equal(other.vectors(), uncut.vectors())
        assert other.control.state_dict() == uncut.control.state_dict()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device"
))])  # fmt: skip
def test_a_layer_that_is_let_go_keeps_its_scale_and_is_held_again_without_a_jump(device: str) -> None:
    training, kept = Training(LetsGo(), device=device), []
    for step in range(1, 301):
        before = [it.scale for it in training.norms]
        training.step()
        now = [it.scale for it in training.norms]
        assert step not in (31, 61) or all(abs(new / old - 1) < 0.02 for new, old in zip(now, before)), step
        if 31 <= step <= 60:
            kept = kept or now
            assert now == kept, step
            for layer, scale in zip(training.layers, now):
                assert torch.allclose(layer.weight, scale * layer.parametrizations.weight.original)
    assert training.exact_effective() == pytest.approx([1.0] * 3, rel=0.05)


def test_the_gradient_of_a_layer_that_is_let_go_is_that_of_a_constant_times_its_weight() -> None:
    training = Training(LetsGo())
    for _ in range(45):
        training.step()
    for layer, norm_of in zip(training.layers, training.norms):
        cotangent = torch.randn_like(layer.weight)
        stored = layer.parametrizations.weight.original
        (gradient,) = torch.autograd.grad(layer.weight, stored, cotangent)
        assert torch.allclose(gradient, norm_of.scale * cotangent)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device"
))])  # fmt: skip
@pytest.mark.parametrize(("rule", "expected"), [
    ("never", [50, 100]),
    ("cap:target=1e9,interval=20", [20, 40, 50, 60, 80, 100]),
    ("lr_over_sigma:interval=40", [40, 50, 80, 100]),
    ("always", list(range(1, 101))),
])  # fmt: skip
def test_a_layer_that_is_off_is_refreshed_where_its_rule_is_due_and_every_fifty_steps(
    rule: str, expected: list[int], device: str
) -> None:
    training, refreshed = Training(rule, device=device), []
    for step in range(1, 101):
        before = training.vectors()
        training.step()
        if not equal(training.vectors(), before):
            refreshed.append(step)
    assert refreshed == expected


def test_a_layer_is_refreshed_when_its_own_rule_is_due_and_not_when_another_is() -> None:
    rules = [("**.weight", "never"), ("2.weight", "cap:target=1e9,interval=10"), ("4.weight", "always")]
    training, counts = Training(rules), [0, 0, 0]  # type: ignore[arg-type]
    for _ in range(100):
        before = training.vectors()
        training.step()
        for place, (new, old) in enumerate(zip(training.vectors(), before)):
            counts[place] += not torch.equal(new, old)
    assert counts == [2, 10, 100]


def test_sigma_is_as_good_where_it_is_asked_for_as_with_a_refresh_at_each_step() -> None:
    """Off under all three, so the weights are the same."""
    trainings = [Training(rule) for rule in ("cap:target=1e9,interval=1", "cap:target=1e9,interval=10", "never")]
    mean, worst = [0.0] * 3, [0.0] * 3
    for step in range(1, 201):
        for training in trainings:
            training.step()
        if step % 10 == 0:
            for place, training in enumerate(trainings):
                pairs = zip(training.control.report(), training.exact())
                error = max(1 - layer.sigma / exact for layer, exact in pairs)
                mean[place] += error / 20
                worst[place] = max(worst[place], error)
    assert max(mean[1:]) < mean[0], mean
    assert max(worst[1:]) < worst[0], worst


def test_a_layer_that_is_switched_on_has_its_vectors_before_it_is_held() -> None:
    training = Training("schedule:on=30,interval=30")
    for _ in range(29):
        training.step()
    before = training.vectors()
    for step in (30, 31):
        training.step()
        off, on = training.exact(), training.exact_effective()
        assert (off == on) == (step == 30), "what is decided at step 30 is in force from step 31 on"
        assert all(1 - float(it.sigma) / exact < 2e-3 for it, exact in zip(training.norms, off))
    assert not equal(training.vectors(), before)


class Refreshes:
    """How much too small σ was at the last refresh of each layer, and how often there was one."""

    def __init__(self) -> None:
        self.error, self.count = [0.0] * 3, [0] * 3

    def step(self, training: Training) -> None:
        before = training.vectors()
        training.step()
        exact = training.exact()
        for layer, (new, old) in enumerate(zip(training.vectors(), before)):
            if not torch.equal(new, old):
                self.error[layer] = exact[layer] - float(training.norms[layer].sigma)
                self.count[layer] += 1


def test_a_cap_is_overshot_by_no_more_than_the_weight_moved_since_its_rule_looked() -> None:
    training = Training("cap:target=2.8,hysteresis=0,interval=10", rate=2e-2, blend_per_step=1.0)
    refreshes, moved = Refreshes(), [0.0] * 3
    for step in range(1, 121):
        before = training.weights()
        refreshes.step(training)
        after = training.weights()
        for layer, sigma in enumerate(training.exact_effective()):
            moved[layer] += float((after[layer] - before[layer]).double().norm())
            bound = 2.8 * 1.00001 + moved[layer] + refreshes.error[layer]
            assert sigma <= bound, (layer, step)
        if step % 10 == 0:
            moved = [0.0] * 3
    assert max(training.exact()) > 3.5, "a weight outgrew its cap"


def test_a_hard_cap_in_force_waits_until_sigma_may_have_reached_it() -> None:
    training, refreshes = Training(Capped()), Refreshes()
    for step in range(1, 201):
        if step == 101:
            assert max(refreshes.count) < 25, refreshes.count
            training.optimizer.param_groups[0]["lr"] = 5e-2
        refreshes.step(training)
        for layer, sigma in enumerate(training.exact_effective()):
            assert sigma <= CAP * 1.00001 + refreshes.error[layer], (layer, step)
    assert max(training.exact()) > CAP, "a weight outgrew it"


def test_a_cap_waits_for_no_weight_whose_updates_nobody_observes() -> None:
    training, refreshes = Training(Capped()), Refreshes()
    training.control.observe = lambda: None  # type: ignore[method-assign]
    for _ in range(20):
        refreshes.step(training)
    assert refreshes.count == [20] * 3


@pytest.mark.parametrize(("rule", "found_at"), [("never", 50), ("cap:target=1e9,interval=20", 20), ("always", 50)])
def test_a_weight_gone_bad_is_found_at_the_next_reading(rule: str, found_at: int) -> None:
    training = Training(rule)
    for _ in range(3):
        training.step()
    weight = training.layers[1].parametrizations.weight.original
    with torch.no_grad():
        weight[0, 0] = float("nan")
    for _ in range(4, found_at):
        training.control.step()
    before, vectors = training.control.state_dict(), training.vectors()
    with pytest.raises(osn.StepError, match=r"2\.weight is not finite since step"):
        training.control.step()
    assert training.control.steps == found_at - 1
    assert training.control.state_dict() == before and equal(training.vectors(), vectors)
    with torch.no_grad():
        weight[0, 0] = 0.1
    training.control.remeasure()
    training.step()
    assert training.control.steps == found_at
