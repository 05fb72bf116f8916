"""What osn's Python package costs beside PyTorch's spectral normalization, in one run.

    python3 -m venv .venv && .venv/bin/pip install torch . && .venv/bin/python peers/python.py

For the weights of each network: one power iteration and the effective weights of all layers ("forward"), and the same
with a backward from the sum of all effective weights ("backward"). osn's is `control.step()` and one read of each
weight; PyTorch's is one read of each weight in training mode, which iterates by itself. The two take turns, round by
round, on the same cores; medians over the rounds.
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

ROUNDS = 5


def layers(shapes):
    torch.manual_seed(0)
    return torch.nn.ModuleList(Weight(shape) for shape in shapes)


def read(model):
    return [layer.weight for layer in model]


def backward(model, step):
    step()
    sum(weight.sum() for weight in read(model)).backward()
    for parameter in model.parameters():
        parameter.grad = None


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(shapes):
    ours, theirs = layers(shapes), layers(shapes)
    control = osn.attach(ours, "**.weight", "always")
    for layer in theirs:
        parametrizations.spectral_norm(layer)
    works = {
        ("osn", "forward"): lambda: (control.step(), read(ours)),
        ("torch", "forward"): lambda: read(theirs),
        ("osn", "backward"): lambda: backward(ours, control.step),
        ("torch", "backward"): lambda: backward(theirs, lambda: None),
    }
    times = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(ROUNDS):
        for name, work in works.items():
            times[name].append(seconds(work))
    # Both hold the weights at one size, or the times mean nothing.
    for a, b in zip(read(ours), read(theirs)):
        assert torch.allclose(a, b, rtol=0.05, atol=1e-3)
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
