"""What spectral normalization costs by itself, beside PyTorch's, in one run.

    python3 -m venv .venv && .venv/bin/pip install torch numpy
    .venv/bin/python peers/cost.py

For the weights of each network: one power iteration and the effective weights of all layers
("forward"), and the same with a backward from the sum of all effective weights ("backward"). Most of a backward is the
sum's and the memory of the gradients, which training pays without spectral normalization too: "holding" is the backward
less that of the sum of the plain weights in the same round.
The two libraries take turns, round by round, on the same cores; medians over the rounds.

Below each network stands how near osn is to the memory: the bytes that its work moves at least, at the speed of a
copy of the weights in the same round, divided by its time. The refresh reads each weight once; reading an effective
weight reads the weight and writes as many bytes. The copy is PyTorch's, into memory that is there already.
"""

import json
import math
import os
import platform
import statistics
import subprocess
import time

import torch
from torch.nn.utils import parametrizations

ROUNDS, REPEATS = 5, 5


def resnet_50():
    shapes, before = [(64, 3, 7, 7)], 64
    for n_blocks, width in [(3, 64), (4, 128), (6, 256), (3, 512)]:
        for block in range(n_blocks):
            shapes += [(width, before, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)]
            if block == 0:
                shapes.append((4 * width, before, 1, 1))
            before = 4 * width
    return shapes + [(1000, 2048)]


NETWORKS = {
    "recipe-d": [(1, 3136), (16, 1, 4, 4), (32, 16, 4, 4), (64, 32, 3, 3)],
    "resnet-50": resnet_50(),
    "gpt-2-small": [(2304, 768), (768, 768), (3072, 768), (768, 3072)] * 12,
}


class Weight(torch.nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = torch.nn.Parameter(0.02 * torch.randn(shape))


def median_ms(work):
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def torch_round(shapes):
    layers = [parametrizations.spectral_norm(Weight(shape)) for shape in shapes]

    def forward():
        return [layer.weight for layer in layers]

    def backward():
        for layer in layers:
            layer.zero_grad()
        sum(weight.sum() for weight in forward()).backward()

    plain = [Weight(shape) for shape in shapes]

    def plain_backward():
        for layer in plain:
            layer.zero_grad()
        sum(layer.weight.sum() for layer in plain).backward()

    both = median_ms(backward)
    return {"forward": median_ms(forward), "backward": both,
            "holding": both - median_ms(plain_backward)}


def copy_round(shapes):
    """Bytes a millisecond of a copy of all weights, reads and writes counted."""
    sources = [torch.randn(shape) for shape in shapes]
    targets = [torch.empty(shape) for shape in shapes]

    def copy():
        for target, source in zip(targets, sources):
            target.copy_(source)

    return 2 * n_bytes(shapes) / median_ms(copy)


def n_bytes(shapes):
    return 4 * sum(math.prod(shape) for shape in shapes)


def build_osn():
    # The whole workspace, so that Burn is built with the features that the other commands use.
    build = ["cargo", "build", "--release", "--quiet", "--workspace", "--example", "cost"]
    subprocess.run(build, check=True)


def osn_round(network):
    command = ["target/release/examples/cost", network, str(REPEATS)]
    out = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    backward = out["refresh"] + out["read_backward"]
    return {"forward": out["refresh"] + out["read"], "backward": backward,
            "holding": backward - out["plain_backward"], **out}


def main():
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    build_osn()
    torch.manual_seed(0)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, "
          f"median of {ROUNDS} rounds of {REPEATS}")
    print(f"{'network':12} {'what':9} {'osn ms':>9} {'torch ms':>9} {'torch/osn':>10}")
    for network, shapes in NETWORKS.items():
        ours, theirs, speeds = [], [], []
        for _ in range(ROUNDS):
            ours.append(osn_round(network))
            theirs.append(torch_round(shapes))
            speeds.append(copy_round(shapes))
        middle = lambda rounds, key: statistics.median(r[key] for r in rounds)
        for what in ["forward", "backward", "holding"]:
            a, b = middle(ours, what), middle(theirs, what)
            print(f"{network:12} {what:9} {a:9.3f} {b:9.3f} {b / a:10.2f}")
        parts = ", ".join(f"{key} {middle(ours, key):.3f}"
                          for key in ["refresh", "read", "read_backward", "plain_backward"])
        print(f"{'':12} of which {parts}")
        speed, size = statistics.median(speeds), n_bytes(shapes)
        floors = {"refresh": size, "read": 2 * size}
        shares = ", ".join(f"{key} {100 * moved / speed / middle(ours, key):.0f} %"
                           for key, moved in floors.items())
        print(f"{'':12} of the memory floor at {speed / 1e6:.1f} GB/s, a copy: {shares}")


if __name__ == "__main__":
    main()
