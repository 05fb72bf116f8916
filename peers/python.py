"""What osn's Python package costs beside PyTorch's spectral normalization, in one run.

    python3 -m venv .venv && .venv/bin/pip install torch . && .venv/bin/python peers/python.py

For the weights of each network: one power iteration and the effective weights of all layers ("forward"), and the same
with their gradients from given ones, as dense as those of a loss ("backward"). osn's is `control.step()` and one read of
each weight; PyTorch's is one read of each weight in training mode, which iterates by itself. The two take turns, round
by round, on the same cores; medians over the rounds.
"""

import json
import os
import platform
import statistics
import time

import osn
import torch
from torch.nn.utils import parametrizations

from cost import NETWORKS, Weight

ROUNDS = 15


class Held:
    """The weights of one network, each step as a training has it."""

    def __init__(self, shapes, rule=None, device="cpu"):
        torch.manual_seed(0)
        self.model = torch.nn.ModuleList(Weight(shape) for shape in shapes).to(device)
        self.gradients = [torch.randn(shape, device=device) for shape in shapes]
        self.control = None if rule is None else osn.attach(self.model, "**.weight", rule)

    def normalized_by_torch(self):
        for layer in self.model:
            parametrizations.spectral_norm(layer)
        return self

    def read(self):
        return [layer.weight for layer in self.model]

    def step(self):
        if self.control is not None:
            self.control.step()

    def forward(self):
        self.step()
        self.read()

    def backward(self):
        torch.autograd.backward(self.read(), self.gradients)
        if self.control is not None:
            self.control.observe()
        for parameter in self.model.parameters():
            parameter.grad = None
        self.step()


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def must_agree(ours, theirs):
    """Both hold the weights at one size, or the times mean nothing."""
    for a, b in zip(ours.read(), theirs.read()):
        assert torch.allclose(a, b, rtol=0.05, atol=1e-3)


def measure(shapes):
    held = {"osn": Held(shapes, "always"), "torch": Held(shapes).normalized_by_torch()}
    works = {(name, what): getattr(it, what) for name, it in held.items() for what in ("forward", "backward")}
    times = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(ROUNDS):
        for name, work in works.items():
            times[name].append(seconds(work))
    must_agree(held["osn"], held["torch"])
    return {name: 1e3 * statistics.median(it) for name, it in times.items()}


def main():
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()}, {platform.processor()}")
    rows = []
    for network in ["resnet-50", "gpt-2-small"]:
        found = measure(NETWORKS[network])
        for what in ("forward", "backward"):
            ours, theirs = found["osn", what], found["torch", what]
            rows.append({"network": network, "what": what, "osn_ms": ours, "torch_ms": theirs})
            print(f"{network:12} {what:9} osn {ours:8.1f} ms   torch {theirs:8.1f} ms   {theirs / ours:5.2f} times")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
