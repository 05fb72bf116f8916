"""Memory that a layer's effective weights use again and again.

The system hands out large pieces of memory page by page, which takes as long as to write a weight into them.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, numpy.dtype[Any]]

#: Fewer entries than these come out of memory that the process has already.
_WORTH_KEEPING = 1 << 14

#: So many pieces are kept while nobody has them: an effective weight's and its gradient's.
_MAX_FREE = 2


class Memory:
    """Lends tensors like a weight on the host; a piece is lent again when PyTorch has let go of its last tensor."""

    def __init__(self) -> None:
        self._free: list[Array] = []

    def like(self, weight: Tensor) -> Tensor | None:
        """A tensor of the weight's shape with any entries; nothing where it is not worth it."""
        is_plain = weight.dtype == torch.float32 and weight.device.type == "cpu" and weight.is_contiguous()
        if not is_plain or weight.numel() < _WORTH_KEEPING:
            return None
        try:
            piece = self._free.pop()
        except IndexError:
            piece = torch.empty(weight.numel()).numpy()
        if len(piece) != weight.numel():
            return None
        # The tensor's storage has the only reference to this view of the piece.
        view = piece.reshape(weight.shape)
        weakref.finalize(view, self._take_back, piece)
        return torch.from_numpy(view)

    def _take_back(self, piece: Array) -> None:
        if len(self._free) < _MAX_FREE:
            self._free.append(piece)

    def __reduce__(self) -> tuple[type[Memory], tuple[()]]:
        """A copy has memory of its own."""
        return Memory, ()
