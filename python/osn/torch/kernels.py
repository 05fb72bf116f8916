"""Triton kernels for weights on a CUDA device: one power iteration of all of them, and the backward of one.

A map is read as ``W[p, q]`` at ``(p // k)·q_len·k + q·k + p mod k`` behind its first entry: with ``k = 1`` a row-major
matrix, else the reshaping ``[p_len/k, q_len, k]`` of a kernel. An iteration is ``y = W x``, ``x' = Wᵀ y / ‖y‖``. Sums are
taken in f32 in an order that depends on the shapes alone, so the results of two runs are the same bits.
"""

# mypy: ignore-errors
# Triton compiles these functions; its language is no Python that a type checker knows.

from __future__ import annotations

import torch
import triton
import triton.language as tl

from osn.torch.form import SIGMA_FLOOR as _FLOOR
from osn.torch.form import STATE_LEN as _STATE_LEN

#: Columns of the table of maps (`osn.torch.batch` writes it): the address of W, its sizes, where x and y are among the
#: vectors, where the work on y, the largest entries and the partial sums of x' are, and the number of these sums.
MAP = tl.constexpr(10)
#: Columns of the table of blocks: the first map, the one behind the last, and where the state is among the vectors.
BLOCK = tl.constexpr(3)
#: Columns of the table of work: the map, where its part begins in p and in q, and which sum it is.
ITEM = tl.constexpr(4)
#: What the first two kernels find of a map: ‖W x‖ and the largest entry of W.
NUMBERS = 2

SIGMA_FLOOR = tl.constexpr(_FLOOR)
STATE_LEN = tl.constexpr(_STATE_LEN)
N = tl.constexpr(NUMBERS)

#: Parts of W that one program reads at a time.
ROW_TILE = (4, 512)
COLUMN_TILE = (16, 128)
#: Entries of a vector that one program reads at a time.
VECTOR = 4096
#: Entries of a gradient that one program reads at a time.
GRADIENT = 1024


def element(dtype: torch.dtype) -> tl.dtype:
    """The type of a weight's entries in a kernel."""
    return getattr(tl, str(dtype).removeprefix("torch."))


@triton.jit
def first_products(items, maps, old, work, ELEMENT: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """``y = W x`` of some rows, and their largest entries."""
    item = items + ITEM * tl.program_id(0)
    one = maps + MAP * tl.load(item)
    weight = tl.load(one).to(tl.pointer_type(ELEMENT))
    p_len, q_len, k = tl.load(one + 1), tl.load(one + 2), tl.load(one + 3)
    x, y, largest = old + tl.load(one + 4), work + tl.load(one + 6), work + tl.load(one + 7)
    p = tl.load(item + 1) + tl.arange(0, ROWS)
    rows = weight + (p // k) * q_len * k + p % k
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    most = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, q_len, COLUMNS):
        q = start + tl.arange(0, COLUMNS)
        here = (p < p_len)[:, None] & (q < q_len)[None, :]
        w = tl.load(rows[:, None] + (q * k)[None, :], mask=here, other=0.0).to(tl.float32)
        total += w * tl.load(x + q, mask=q < q_len, other=0.0)[None, :]
        most = tl.maximum(most, tl.abs(w))
    tl.store(y + p, tl.sum(total, 1), mask=p < p_len)
    tl.store(largest + p, tl.max(most, 1), mask=p < p_len)


@triton.jit
def first_norms(maps, work, numbers, VECTOR: tl.constexpr):
    """``y / ‖y‖`` of one map, ``‖y‖`` and the largest entry of W."""
    place = tl.program_id(0)
    one = maps + MAP * place
    p_len = tl.load(one + 1)
    y, of_rows = work + tl.load(one + 6), work + tl.load(one + 7)
    entries = tl.zeros((VECTOR,), tl.float32)
    for start in range(0, p_len, VECTOR):
        p = start + tl.arange(0, VECTOR)
        entries = tl.maximum(entries, tl.load(of_rows + p, mask=p < p_len, other=0.0))
    tl.store(numbers + N * place, _normalize(y, p_len, VECTOR))
    tl.store(numbers + N * place + 1, tl.max(entries, 0))


@triton.jit
def _normalize(vector, length, VECTOR: tl.constexpr):
    """Divides a vector by its norm, the largest entry first so that no square overflows; returns the norm."""
    most = tl.zeros((VECTOR,), tl.float32)
    for start in range(0, length, VECTOR):
        at = start + tl.arange(0, VECTOR)
        most = tl.maximum(most, tl.abs(tl.load(vector + at, mask=at < length, other=0.0)))
    largest = tl.maximum(tl.max(most, 0), SIGMA_FLOOR)
    squares = tl.zeros((VECTOR,), tl.float32)
    for start in range(0, length, VECTOR):
        at = start + tl.arange(0, VECTOR)
        part = tl.load(vector + at, mask=at < length, other=0.0) / largest
        squares += part * part
    norm = tl.sqrt(tl.sum(squares, 0))
    unit = tl.maximum(norm, SIGMA_FLOOR)
    # What one thread writes another may read, here before and afterwards.
    tl.debug_barrier()
    for start in range(0, length, VECTOR):
        at = start + tl.arange(0, VECTOR)
        tl.store(vector + at, tl.load(vector + at, mask=at < length, other=0.0) / largest / unit, mask=at < length)
    tl.debug_barrier()
    return norm * largest


@triton.jit
def second_products(items, maps, work, ELEMENT: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The part of ``Wᵀ y`` of some columns that comes from some rows."""
    item = items + ITEM * tl.program_id(0)
    one = maps + MAP * tl.load(item)
    weight = tl.load(one).to(tl.pointer_type(ELEMENT))
    p_len, q_len, k = tl.load(one + 1), tl.load(one + 2), tl.load(one + 3)
    y, sums, n_sums = work + tl.load(one + 6), work + tl.load(one + 8), tl.load(one + 9)
    q = tl.load(item + 2) + tl.arange(0, COLUMNS)
    sum_place = tl.load(item + 3)
    height = tl.cdiv(p_len, n_sums)
    begin = sum_place * height
    end = tl.minimum(begin + height, p_len)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(begin, end, ROWS):
        p = start + tl.arange(0, ROWS)
        here = (p < end)[:, None] & (q < q_len)[None, :]
        rows = weight + (p // k) * q_len * k + p % k
        w = tl.load(rows[:, None] + (q * k)[None, :], mask=here, other=0.0).to(tl.float32)
        total += w * tl.load(y + p, mask=p < end, other=0.0)[:, None]
    tl.store(sums + sum_place * q_len + q, tl.sum(total, 0), mask=q < q_len)


@triton.jit(do_not_specialize=["step"])
def new_states(blocks, maps, actions, old, new, work, numbers, step, VECTOR: tl.constexpr):
    """New vectors and the new state of one block, from the products with each of its maps."""
    block = blocks + BLOCK * tl.program_id(0)
    first_map, behind, state_at = tl.load(block), tl.load(block + 1), tl.load(block + 2)
    sigma = tl.full((), 0.0, tl.float32)
    lowest = tl.full((), 1.0, tl.float32)
    is_moved = tl.full((), 1, tl.int1)
    is_finite = tl.full((), 1, tl.int1)
    for place in range(first_map, behind):
        first, second = tl.load(numbers + N * place), _second_norm(maps + MAP * place, work, VECTOR)
        sigma += second
        lowest = tl.minimum(lowest, tl.maximum(first / tl.maximum(second, SIGMA_FLOOR), 0.0))
        is_moved = is_moved & (first > SIGMA_FLOOR) & (second > SIGMA_FLOOR)
        is_finite = is_finite & (tl.abs(first) < float("inf")) & (tl.abs(second) < float("inf"))
    sigma = tl.where(is_moved, sigma / (behind - first_map).to(tl.float32), 0.0)
    residual = tl.where(is_moved, tl.sqrt(tl.maximum(1.0 - lowest * lowest, 0.0)), 0.0)
    is_zero = tl.load(numbers + N * first_map + 1) <= SIGMA_FLOOR
    before, after = old + state_at, new + state_at
    scale, elasticity = _scale_and_elasticity(sigma, actions + 4 * tl.program_id(0))
    is_measured = is_finite & (is_moved | is_zero)
    tl.store(after, tl.where(is_measured, sigma, tl.load(before)))
    tl.store(after + 1, tl.where(is_measured, scale, tl.load(before + 1)))
    tl.store(after + 2, tl.where(is_measured, elasticity, tl.load(before + 2)))
    kept = tl.where(is_finite, 1.0, tl.load(before + 3))
    tl.store(after + 3, tl.where(is_measured, residual, kept))
    bad_step = tl.load(before + 4)
    tl.store(after + 4, tl.where(is_finite | (bad_step != 0), bad_step, step))
    for place in range(first_map, behind):
        _put_vectors(maps + MAP * place, is_moved & is_finite, old, new, work, VECTOR)


@triton.jit
def _second_norm(one, work, VECTOR: tl.constexpr):
    """``‖Wᵀ y‖`` of one map, from its partial sums; in place of the first of them ``Wᵀ y`` divided by its norm."""
    q_len, sums, n_sums = tl.load(one + 2), work + tl.load(one + 8), tl.load(one + 9)
    for start in range(0, q_len, VECTOR):
        q = start + tl.arange(0, VECTOR)
        total = tl.zeros((VECTOR,), tl.float32)
        for place in range(0, n_sums):
            total += tl.load(sums + place * q_len + q, mask=q < q_len, other=0.0)
        tl.store(sums + q, total, mask=q < q_len)
    tl.debug_barrier()
    return _normalize(sums, q_len, VECTOR)


@triton.jit
def _put_vectors(one, is_new, old, new, work, VECTOR: tl.constexpr):
    p_len, q_len = tl.load(one + 1), tl.load(one + 2)
    x_at, y_at = tl.load(one + 4), tl.load(one + 5)
    y, x = work + tl.load(one + 6), work + tl.load(one + 8)
    for start in range(0, p_len, VECTOR):
        p = start + tl.arange(0, VECTOR)
        here = p < p_len
        found = tl.where(is_new, tl.load(y + p, mask=here), tl.load(old + y_at + p, mask=here))
        tl.store(new + y_at + p, found, mask=here)
    for start in range(0, q_len, VECTOR):
        q = start + tl.arange(0, VECTOR)
        here = q < q_len
        found = tl.where(is_new, tl.load(x + q, mask=here), tl.load(old + x_at + q, mask=here))
        tl.store(new + x_at + q, found, mask=here)


@triton.jit
def _scale_and_elasticity(sigma, action):
    """The table of ``osn_core::act::Action``: kind (1 normalizes, 2 caps, 3 keeps a scale, 0 is any other), ln
    target or scale, sharpness, blend."""
    kind, ln_target, sharpness, blend = tl.load(action), tl.load(action + 1), tl.load(action + 2), tl.load(action + 3)
    excess = tl.log(tl.maximum(sigma, SIGMA_FLOOR)) - ln_target
    is_hard = sharpness == float("inf")
    # Of a hard cap the product would be inf or NaN; it is not taken then.
    steep = excess * tl.where(is_hard, 1.0, sharpness)
    soft = (tl.maximum(steep, 0.0) + tl.log(1.0 + tl.exp(-tl.abs(steep)))) / tl.where(is_hard, 1.0, sharpness)
    capped = tl.where(is_hard, tl.maximum(excess, 0.0), soft)
    cap_elasticity = tl.where(is_hard, (excess > 0).to(tl.float32), tl.sigmoid(steep))
    ln_scale = tl.where(kind == 3.0, -ln_target, tl.where(kind == 1.0, excess, capped)) * -blend
    elasticity = tl.where(kind == 3.0, 0.0, tl.where(kind == 1.0, 1.0, cap_elasticity)) * blend
    is_nothing = (kind == 0.0) | (blend == 0.0) | (sigma <= SIGMA_FLOOR)
    return tl.where(is_nothing, 1.0, tl.exp(ln_scale)), tl.where(is_nothing, 0.0, elasticity)


@triton.jit
def _entry(index, length, inner, count, block):
    """Where entry ``index`` of a block of ``[outer, count, inner]`` is."""
    return (index // inner) * (count * inner) + block * inner + index % inner


@triton.jit
def partial_products(
    grad, weight, vectors, partial, length, inner, count, rows, cols, n_parts, height_0, behind_0, height_1, behind_1,
    N_MAPS: tl.constexpr, HAS_GROWTH: tl.constexpr, GRADIENT: tl.constexpr,
):  # fmt: skip
    """The part of ``⟨G, W⟩``, ``⟨G, D⟩`` and ``⟨D, D⟩`` of one block that one program adds up."""
    block, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    u, v = vectors + block * rows, vectors + count * rows + block * cols
    total = tl.zeros((GRADIENT,), tl.float32)
    grown = tl.zeros((GRADIENT,), tl.float32)
    square = tl.zeros((GRADIENT,), tl.float32)
    for start in range(part * GRADIENT, length, n_parts * GRADIENT):
        index = start + tl.arange(0, GRADIENT)
        here = index < length
        at = _entry(index, length, inner, count, block)
        g = tl.load(grad + at, mask=here, other=0.0).to(tl.float32)
        total += g * tl.load(weight + at, mask=here, other=0.0).to(tl.float32)
        if HAS_GROWTH:
            d = _direction(u, v, index, here, length, height_0, behind_0, height_1, behind_1, N_MAPS)
            grown += g * d
            square += d * d
    at = partial + block * n_parts + part
    tl.store(at, tl.sum(total, 0))
    if HAS_GROWTH:
        tl.store(at + count * n_parts, tl.sum(grown, 0))
        tl.store(at + 2 * count * n_parts, tl.sum(square, 0))


@triton.jit
def gradient_at_weight(
    grad, vectors, partial, at_weight, at_probe, length, inner, count, rows, cols, n_parts,
    height_0, behind_0, height_1, behind_1,
    N_MAPS: tl.constexpr, HAS_GROWTH: tl.constexpr, MODE: tl.constexpr, PARTS: tl.constexpr, GRADIENT: tl.constexpr,
):  # fmt: skip
    """``s·G − (γ/σ)·⟨G, Ŵ⟩·D`` of one block (`osn.torch.effective_weight`), and what the probe gets."""
    block, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    state = vectors + count * (rows + cols) + block * STATE_LEN
    sigma, scale, elasticity = tl.load(state), tl.load(state + 1), tl.load(state + 2)
    sums = partial + block * n_parts
    along = scale * _sum(sums, n_parts, PARTS)
    tl.store(at_probe + block, along, mask=part == 0)
    if HAS_GROWTH:
        square = _sum(sums + 2 * count * n_parts, n_parts, PARTS)
        growth = -_sum(sums + count * n_parts, n_parts, PARTS) / tl.maximum(square, SIGMA_FLOOR)
        tl.store(at_probe + count + block, growth, mask=part == 0)
    inward = tl.where(along > 0, 0.0, along) if MODE == 2 else along
    factor = inward * elasticity / tl.maximum(sigma, SIGMA_FLOOR)
    u, v = vectors + block * rows, vectors + count * rows + block * cols
    for start in range(part * GRADIENT, length, n_parts * GRADIENT):
        index = start + tl.arange(0, GRADIENT)
        here = index < length
        at = _entry(index, length, inner, count, block)
        found = tl.load(grad + at, mask=here, other=0.0).to(tl.float32) * scale
        if MODE != 0:
            found -= factor * _direction(u, v, index, here, length, height_0, behind_0, height_1, behind_1, N_MAPS)
        tl.store(at_weight + at, found.to(at_weight.dtype.element_ty), mask=here)


@triton.jit
def _sum(parts, n_parts, PARTS: tl.constexpr):
    at = tl.arange(0, PARTS)
    return tl.sum(tl.load(parts + at, mask=at < n_parts, other=0.0), 0)


@triton.jit
def _direction(u, v, index, here, length, height_0, behind_0, height_1, behind_1, N_MAPS: tl.constexpr):
    """The entries of ``D = ∂σ/∂W`` at places of a block: the mean of u vᵀ of its one or two maps."""
    found = _outer(u, v, index, here, height_0, behind_0)
    if N_MAPS == 2:
        found += _outer(u + height_0, v + length // height_0, index, here, height_1, behind_1)
        found *= 0.5
    return found


@triton.jit
def _outer(u, v, index, here, height, behind):
    """The entries of ``u vᵀ`` at places of a block seen as ``[before, height, behind]``."""
    column = index // (height * behind) * behind + index % behind
    row = index // behind % height
    return tl.load(u + row, mask=here, other=0.0) * tl.load(v + column, mask=here, other=0.0)
