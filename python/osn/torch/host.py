"""What the tensors of a device are worked on with: flat arrays of NumPy on the host, Triton's kernels on CUDA."""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, numpy.dtype[Any]]

_NAMES = {
    torch.float32: "float32", torch.float64: "float64", torch.float16: "float16", torch.bfloat16: "bfloat16",
}


def named(tensor: Tensor) -> tuple[Array, str]:
    """The entries in row-major order and the name of their type; a contiguous tensor on the host is not copied."""
    flat = tensor.detach().cpu().contiguous().view(-1)
    if flat.dtype in (torch.float16, torch.bfloat16):
        # NumPy has no bfloat16: half precision goes as its bits.
        return flat.view(torch.int16).numpy().view("uint16"), _NAMES[tensor.dtype]
    return flat.numpy(), _NAMES.get(flat.dtype, str(flat.dtype))


def is_readable(dtype: torch.dtype) -> bool:
    """Whether weights of this type can be held."""
    return dtype in _NAMES


@functools.cache
def has_kernels(device: torch.device) -> bool:
    """Whether Triton, which PyTorch brings along for CUDA, can compile kernels for a device."""
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return False
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (7, 0)
