"""Writes torch_convolutions.json: layers with whole-number weights, inputs, and PyTorch"s outputs.

    python torch_convolutions.py
"""

import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
CONV = [F.conv1d, F.conv2d, F.conv3d]
TRANSPOSED = [F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d]
layers = []


def whole_numbers(*shape):
    return torch.randint(-4, 5, shape).double()


def record(name, shape, size, stride, padding, dilation, groups, circular, transposed, w, x, y):
    flat = lambda tensor: [int(value) for value in tensor.flatten()]
    layers.append(dict(
        name=name, weight_shape=shape, size=size, stride=stride, padding=padding, dilation=dilation,
        groups=groups, circular=circular, transposed=transposed, weight=flat(w), x=flat(x), y=flat(y),
        output=list(y.shape[2:])))


def conv(name, size, shape, stride, padding, dilation, groups, circular=False):
    w, x = whole_numbers(*shape), whole_numbers(1, shape[1] * groups, *size)
    function = CONV[len(size) - 1]
    if circular:
        both_sides = [count for count in reversed(padding) for _ in range(2)]
        padded = F.pad(x, both_sides, mode="circular")
        y = function(padded, w, stride=stride, dilation=dilation, groups=groups)
    else:
        y = function(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)
    record(name, shape, size, stride, padding, dilation, groups, circular, None, w, x, y)


def transposed(name, size, shape, stride, padding, added, dilation, groups):
    w, x = whole_numbers(*shape), whole_numbers(1, shape[0], *size)
    y = TRANSPOSED[len(size) - 1](
        x, w, stride=stride, padding=padding, output_padding=added, dilation=dilation, groups=groups)
    record(name, shape, size, stride, padding, dilation, groups, False, added, w, x, y)


conv("conv1d, even kernel, stride 2", [7], [3, 2, 4], [2], [1], [1], 1)
conv("conv1d, dilated, 3 groups of 1 to 2", [9], [6, 1, 3], [1], [2], [2], 3)
conv("conv2d, stride 2 and 1, kernel 4 by 3", [6, 5], [3, 2, 4, 3], [2, 1], [1, 0], [1, 1], 1)
conv("conv2d, 2 groups of 3 to 1, dilation 1 and 2", [4, 6], [2, 3, 2, 3], [1, 2], [1, 2], [1, 2], 2)
conv("conv2d, circular", [4, 5], [2, 3, 3, 4], [1, 2], [1, 3], [1, 1], 1, True)
conv("conv3d, every dimension different", [3, 4, 5], [2, 2, 2, 1, 3], [1, 2, 2], [1, 0, 1], [1, 1, 2], 1)
transposed("conv_transpose1d, stride 3, output padding 2", [4], [2, 3, 3], [3], [1], [2], [1], 1)
transposed("conv_transpose2d, stride 2 and 3, 2 groups", [3, 2], [4, 1, 4, 3], [2, 3], [1, 0], [0, 2], [1, 1], 2)
transposed("conv_transpose2d, dilated, output padding 1", [2, 3], [2, 2, 2, 3], [2, 2], [0, 1], [1, 0], [2, 1], 1)
transposed("conv_transpose3d", [2, 2, 3], [2, 1, 2, 3, 2], [1, 2, 2], [0, 1, 1], [0, 1, 1], [1, 1, 1], 1)
lines = ",\n".join(json.dumps(layer, separators=(",", ":")) for layer in layers)
pathlib.Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n")
