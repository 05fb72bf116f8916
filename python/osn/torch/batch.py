"""One power iteration of all weights on a CUDA device in four launches per type of number; nothing is read back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from osn.torch import kernels
from osn.torch.form import STATE_LEN, Form
from osn.torch.spectral_norm import Applied

#: Rows of a map whose products with a column one program adds up, and how many such sums a column has at most.
_SUM_ROWS, _MAX_SUMS = 128, 64

#: How a kernel knows the kinds of actions that scale a weight.
_KINDS = {"normalize": 1.0, "cap": 2.0, "keep": 3.0}


class Batch:
    """The weights on one device with their tables, which stay while the weights stay where they are."""

    def __init__(self, forms: Sequence[Form], weights: Sequence[Tensor]) -> None:
        self._forms = list(forms)
        self._dtypes = [weight.dtype for weight in weights]
        self._device = weights[0].device
        self._lengths = [form.count * (form.rows + form.cols + STATE_LEN) for form in forms]
        self._layout()
        self._addresses: list[int] = []
        self._applied: list[Applied] = []
        #: The vectors of the last step in one piece, and the part of each weight.
        self._last: tuple[Tensor, list[Tensor]] | None = None

    def fits(self, forms: Sequence[Form], weights: Sequence[Tensor]) -> bool:
        """Whether it was made for such weights."""
        is_here = all(weight.device == self._device for weight in weights)
        return is_here and self._forms == list(forms) and self._dtypes == [weight.dtype for weight in weights]

    def refreshed(
        self, weights: Sequence[Tensor], old: Sequence[Tensor], applied: Sequence[Sequence[Applied]], step: int
    ) -> list[Tensor]:
        """The vectors of each weight one iteration on, from those of the last one, in memory of their own."""
        blocks = [_by_block(weight, form) for weight, form in zip(weights, self._forms)]
        self._locate(blocks)
        self._act([it for of_weight in applied for it in of_weight])
        before = self._gathered(old)
        after = torch.empty_like(before)
        work = torch.empty(self._work_len, device=self._device)
        numbers = torch.empty(len(self._maps) * kernels.NUMBERS, device=self._device)
        rows, columns = kernels.ROW_TILE, kernels.COLUMN_TILE
        with _on(self._device):
            for dtype, (items, _) in self._items.items():
                kernels.first_products[(len(items),)](items, self._table, before, work, kernels.element(dtype), *rows)
            kernels.first_norms[(len(self._maps),)](self._table, work, numbers, kernels.VECTOR)
            for dtype, (_, items) in self._items.items():
                kernels.second_products[(len(items),)](items, self._table, work, kernels.element(dtype), *columns)
            kernels.new_states[(len(self._blocks),)](
                self._blocks, self._table, self._actions, before, after, work, numbers, step, kernels.VECTOR
            )
        parts = list(torch.split(after, self._lengths))
        self._last = after, parts
        return list(parts)

    def _layout(self) -> None:
        """The tables of maps (without addresses), of blocks and of work."""
        maps: list[tuple[int, ...]] = []
        blocks: list[tuple[int, ...]] = []
        work_at = 0
        items: dict[torch.dtype, tuple[list[Any], list[Any]]] = {}
        start = 0
        for form, dtype, length in zip(self._forms, self._dtypes, self._lengths):
            first, second = items.setdefault(dtype, ([], []))
            for block in range(form.count):
                blocks.append((len(maps), len(maps) + len(form.layouts), start + form.states_at + block * STATE_LEN))
                for sizes, x_at, y_at in _maps(form, block):
                    p_len, q_len, _ = sizes
                    n_sums = min(_MAX_SUMS, math.ceil(p_len / _SUM_ROWS))
                    of_work = (work_at, work_at + p_len, work_at + 2 * p_len, n_sums)
                    work_at += 2 * p_len + n_sums * q_len
                    place = len(maps)
                    first += [(place, p, 0, 0) for p in range(0, p_len, kernels.ROW_TILE[0])]
                    columns = range(0, q_len, kernels.COLUMN_TILE[1])
                    second += [(place, 0, q, part) for part in range(n_sums) for q in columns]
                    maps.append((0, *sizes, start + x_at, start + y_at, *of_work))
            start += length
        self._maps, self._work_len = torch.tensor(maps), work_at
        self._blocks = torch.tensor(blocks, device=self._device)
        self._items = {
            dtype: tuple(torch.tensor(it, device=self._device) for it in pair) for dtype, pair in items.items()
        }

    def _locate(self, blocks: Sequence[Tensor]) -> None:
        """Writes where the blocks are, if it is elsewhere than at the last step."""
        addresses = [
            blocks_of.data_ptr() + block * blocks_of.element_size() * form.outer * form.inner
            for blocks_of, form in zip(blocks, self._forms)
            for block in range(form.count)
            for _ in form.layouts
        ]
        if addresses != self._addresses:
            self._addresses = addresses
            self._maps[:, 0] = torch.tensor(addresses)
            self._table = self._maps.to(self._device)

    def _act(self, applied: list[Applied]) -> None:
        """Writes the actions in force, if they are others than at the last step."""
        if applied != self._applied:
            self._applied = applied
            rows = [
                (_KINDS.get(kind, 0.0), math.log(target) if target > 0 else 0.0, sharpness, blend)
                for kind, target, sharpness, blend in applied
            ]
            self._actions = torch.tensor(rows, dtype=torch.float32, device=self._device)

    def _gathered(self, old: Sequence[Tensor]) -> Tensor:
        """The vectors of all weights in one piece, which they are already after a step."""
        if self._last is not None:
            flat, parts = self._last
            if all(it is part for it, part in zip(old, parts)):
                return flat
        return torch.cat([it.reshape(-1) for it in old])


def _maps(form: Form, block: int) -> Iterator[tuple[tuple[int, int, int], int, int]]:
    """Each map of a block: the sizes p, q and k, and where x and y are among the vectors of the weight."""
    row, column = block * form.rows, form.count * form.rows + block * form.cols
    for before, height, behind in form.layouts:
        if before == 1 and behind > 1 and height > 1:
            yield (height, behind, 1), column, row
        else:
            yield (before * behind, height, behind), row, column
        row, column = row + height, column + before * behind


def _by_block(weight: Tensor, form: Form) -> Tensor:
    """The weight with its blocks one behind the other: itself, unless they lie interleaved."""
    blocks = weight.detach()
    if form.outer > 1 and form.count > 1:
        blocks = blocks.reshape(form.outer, form.count, form.inner).transpose(0, 1)
    return blocks.contiguous()


def _on(device: torch.device) -> Any:
    """Kernels are launched on the current device."""
    return torch.cuda.device(device) if device.type == "cuda" else torch.no_grad()
