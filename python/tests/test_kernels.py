"""Triton's kernels: equal to PyTorch's operations, and few launches for many weights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from conftest import HERE
from torch import nn
from torch.profiler import ProfilerActivity, profile

import osn

#: So many launches a step may have, however many weights there are.
HANDFUL = 16

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_kernels_are_equal_to_pytorchs_operations_for_weights_of_every_form(device: str) -> None:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1" if device == "cpu" else "0"}
    command = [sys.executable, "-W", "ignore", str(HERE / "kernels_of_all_forms.py"), device]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.stdout == "equal\n", run.stderr


def networks(rule: str, n_layers: int) -> tuple[nn.Module, nn.Module, list[osn.Control]]:
    """The same network on the host and on the device, each held."""
    torch.manual_seed(0)
    host = nn.Sequential(*(nn.Sequential(nn.Linear(48, 48), nn.Tanh()) for _ in range(n_layers)))
    device = nn.Sequential(*(nn.Sequential(nn.Linear(48, 48), nn.Tanh()) for _ in range(n_layers)))
    device.load_state_dict(host.state_dict())
    device.cuda()
    return host, device, [osn.attach(it, "**.weight", rule) for it in (host, device)]


def launches(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> Counter[str]:
    """The kernels and copies that a call starts, counted by what they are; ``before`` comes before it."""
    before()
    work()
    before()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        work()
        torch.cuda.synchronize()
    names = [event.name for event in found.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return Counter("to host" if "DtoH" in name else "kernel" if "Mem" not in name else "other" for name in names)


def train(model: nn.Module, control: osn.Control, x: torch.Tensor) -> torch.Tensor:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(20):
        loss = (model(x) - x.roll(1, 0)).square().mean()
        loss.backward()
        control.observe()
        optimizer.step()
        optimizer.zero_grad()
        control.step(train_loss=loss, held_out_loss=loss)
    return loss.detach()


@needs_cuda
@pytest.mark.parametrize("rule", ["always", "cap:target=1.2,sharpness=8", "auto"])
def test_a_training_on_the_device_is_that_on_the_host(rule: str) -> None:
    host, device, controls = networks(rule, 6)
    x = torch.randn(32, 48)
    losses = [train(model, control, x.to(control.device)) for model, control in zip((host, device), controls)]
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-4)
    for on_host, on_device in zip(controls[0].report(), controls[1].report()):
        assert on_device.sigma == pytest.approx(on_host.sigma, rel=1e-4)
        assert on_device.scale == pytest.approx(on_host.scale, rel=1e-4)
        assert on_device.decision == on_host.decision


@needs_cuda
@pytest.mark.parametrize("rule", ["always", "cap:target=1.2", "auto", "observe:interval=1000"])
def test_a_step_has_a_handful_of_launches_for_any_number_of_weights_and_copies_nothing(rule: str) -> None:
    found = []
    for n_layers in (4, 60):
        _, model, (_, control) = networks(rule, n_layers)
        x = torch.randn(32, 48, device="cuda")
        train(model, control, x)

        def backward(model: nn.Module = model, x: torch.Tensor = x) -> None:
            model.zero_grad()
            model(x).sum().backward()

        def observed(control: osn.Control = control, backward: Callable[[], None] = backward) -> None:
            backward()
            control.observe()

        # Neither of the next two steps reads, which copies to the host.
        assert not control._core.reads_next()
        for counted in (launches(control.observe, backward), launches(control.step, observed)):
            assert counted["to host"] == 0
            found.append(counted["kernel"])
    assert max(found) <= HANDFUL


@needs_cuda
def test_a_backward_adds_three_launches_a_weight() -> None:
    _, model, (_, control) = networks("always", 8)
    plain = nn.Sequential(*(nn.Sequential(nn.Linear(48, 48), nn.Tanh()) for _ in range(8))).cuda()
    x = torch.randn(32, 48, device="cuda")

    def launched(model: nn.Module) -> int:
        return launches(lambda: model(x).sum().backward())["kernel"]

    assert launched(model) - launched(plain) <= 8 * 3
