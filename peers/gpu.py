"""What osn's Python package costs on a CUDA device beside PyTorch's spectral normalization, in one run.

    python3 -m venv .venv && .venv/bin/pip install torch . && .venv/bin/python peers/gpu.py

The weights are those of `cost.py`. "Forward" is one power iteration and the effective weights of all layers; "backward"
adds their gradients from given ones. "plain" are the weights alone, and "osn auto" is a step in which the rule reads
gradients and decides nothing. For each: the time (CUDA events around ten calls, rounds in turns, the median), the kernels
launched and the copies from the device to the host, by PyTorch's profiler. Without a CUDA device it says what it would
measure.
"""

import json
import statistics

import torch
from torch.profiler import ProfilerActivity, profile

from cost import NETWORKS
from python import Held, must_agree

ROUNDS, STEPS = 5, 10


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
    held = {
        "plain": Held(shapes, device="cuda"),
        "osn": Held(shapes, "always", "cuda"),
        "osn auto": Held(shapes, "auto:interval=1000", "cuda"),
        "torch": Held(shapes, device="cuda").normalized_by_torch(),
    }
    works = {(name, "forward"): it.forward for name, it in held.items() if name in ("osn", "torch")}
    works |= {(name, "backward"): it.backward for name, it in held.items()}
    for work in works.values():
        work()
        work()
    times = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            times[name].append(milliseconds(work))
    must_agree(held["osn"], held["torch"])
    return {name: (statistics.median(times[name]), *launches(work)) for name, work in works.items()}


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
            print(f"{network:12} {what:9} {library:9} {time:8.2f} ms  {kernels:6} kernels  {copies} copies to the host")
            rows.append(row)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
