"""The OpenMP team that PyTorch computes with, found so that the compiled part can work on its threads."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

#: Names that the runtime has where PyTorch does not bring one along.
_OF_SYSTEM = ("libgomp.so.1", "libomp.so.5", "libomp.so", "libiomp5.so")


@functools.cache
def address() -> int:
    """Where ``GOMP_parallel`` of PyTorch's own OpenMP runtime is; 0 where there is none, or it has another interface."""
    if sys.platform != "linux" or not torch.backends.openmp.is_available():  # type: ignore[no-untyped-call]
        return 0
    for name in _names():
        try:
            # Only a runtime that is loaded already: a second one would have threads of its own.
            library = ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
            return ctypes.cast(library.GOMP_parallel, ctypes.c_void_p).value or 0
        except (OSError, AttributeError):
            continue
    return 0


def _names() -> Iterator[str]:
    folders = Path(torch.__file__).parent / "lib", Path(torch.__file__).parent.parent / "torch.libs"
    for folder in folders:
        for kind in ("libgomp", "libomp", "libiomp5"):
            yield from map(str, sorted(folder.glob(f"{kind}*.so*")))
    yield from _OF_SYSTEM
