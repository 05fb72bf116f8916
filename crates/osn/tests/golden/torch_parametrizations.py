"""What `torch.nn.utils.parametrizations.spectral_norm` computes of the weights of the other golden file.

    python3 torch_parametrizations.py

The cases are those whose iteration begins at `v` (several rows, one behind the other). Weights, cotangents and starts
are read from `torch_spectral_norm.safetensors`; `torch_parametrizations.safetensors` gets them and, of three
refreshes, `u`, `v`, sigma and the effective weight, and the gradient of the last. PyTorch 2.15 made the stored file.
"""

import json
import struct

import torch
from torch.nn.utils import parametrizations

CASES = ["linear_wide", "linear_tall", "embedding", "conv1d", "conv2d", "conv2d_1x1", "conv2d_even",
         "conv2d_grouped", "conv3d"]


def read(path):
    data = open(path, "rb").read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = torch.frombuffer(bytearray(data[start + begin:start + end]), dtype=torch.float32)
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def write(path, tensors):
    header, data = {}, b""
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    open(path, "wb").write(struct.pack("<Q", len(header)) + header + data)


class Weight(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(weight.clone())


def refreshes(weight, cotangent, u, v):
    layer = parametrizations.spectral_norm(Weight(weight), dim=0)
    norm = layer.parametrizations.weight[0]
    norm._u.copy_(u)
    norm._v.copy_(v)
    made = {"weight": weight, "cotangent": cotangent, "u0": u, "v0": v}
    for number in ["1", "2", "3"]:
        layer.zero_grad()
        effective = layer.weight
        (effective * cotangent).sum().backward()
        sigma = norm._u @ weight.flatten(1) @ norm._v
        made |= {"u" + number: norm._u.clone(), "v" + number: norm._v.clone(),
                 "sigma" + number: sigma.reshape(1), "effective" + number: effective.detach()}
    return made | {"grad": layer.parametrizations.weight.original.grad}


def main():
    stored, made = read("torch_spectral_norm.safetensors"), {}
    for case in CASES:
        weight, cotangent, u, v = (stored[f"{case}.{name}"] for name in ["weight", "cotangent", "u0", "v0"])
        for name, tensor in refreshes(weight, cotangent, u, v).items():
            made[f"{case}.{name}"] = tensor
    write("torch_parametrizations.safetensors", made)


if __name__ == "__main__":
    main()
