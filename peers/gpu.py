"""What osn's Python package costs on a CUDA device beside PyTorch's spectral normalization, in one run.

    python3 -m venv .venv && .venv/bin/pip install torch . && .venv/bin/python peers/gpu.py

The works are those of `python.py`. For each network: the time of a step (CUDA events around ten of them, rounds in turns, the
median), the kernels that it launches and the bytes that it copies from the device to the host, by PyTorch's profiler. A
step of osn at which no rule is due copies nothing. Without a CUDA device it says what it would measure.
"""

import json
import statistics

import osn
import torch
from torch.nn.utils import parametrizations
from torch.profiler import ProfilerActivity, profile

from cost import NETWORKS
from python import ROUNDS, backward, layers, read

STEPS = 10


def works(shapes):
    """The works of `python.py` on the device."""
    ours, theirs = layers(shapes).cuda(), layers(shapes).cuda()
    control = osn.attach(ours, "**.weight", "always")
    for layer in theirs:
        parametrizations.spectral_norm(layer)
    return {
        ("osn", "forward"): lambda: (control.step(), read(ours)),
        ("torch", "forward"): lambda: read(theirs),
        ("osn", "backward"): lambda: backward(ours, control.step),
        ("torch", "backward"): lambda: backward(theirs, lambda: None),
    }


def milliseconds(work):
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(STEPS):
        work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / STEPS


def launches(work):
    """How many kernels one call launches, and how many copies to the host it makes."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        work()
        torch.cuda.synchronize()
    names = [event.name for event in found.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    copies = sum("DtoH" in name for name in names)
    return sum("Memcpy" not in name and "Memset" not in name for name in names), copies


def measure(shapes):
    found = works(shapes)
    for work in found.values():
        work()
    times = {name: [] for name in found}
    for _ in range(ROUNDS):
        for name, work in found.items():
            times[name].append(milliseconds(work))
    return {name: (statistics.median(times[name]), *launches(work)) for name, work in found.items()}


def main():
    if not torch.cuda.is_available():
        print(
            "no CUDA device: on one this measures, for the weights of resnet-50 and gpt-2-small, the time, the kernels and "
            "the copies to the host of a step with osn and with PyTorch's spectral normalization"
        )
        return
    print(f"torch {torch.__version__}, CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}")
    rows = []
    for network in ["resnet-50", "gpt-2-small"]:
        for (library, what), (time, kernels, copies) in measure(NETWORKS[network]).items():
            row = {"network": network, "what": what, "library": library, "ms": time, "kernels": kernels, "copies": copies}
            print(f"{network:12} {what:9} {library:6} {time:8.2f} ms  {kernels:6} kernels  {copies} copies to the host")
            rows.append(row)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
