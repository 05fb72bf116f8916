"""The largest singular value of one array."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from osn import _core
from osn.arrays import as_array


@dataclass(frozen=True)
class Interval:
    """A value and two bounds between which the true one is certain to lie, rounding included."""

    value: float
    lower: float
    upper: float

    def __float__(self) -> float:
        return self.value

    def __contains__(self, number: float) -> bool:
        return self.lower <= number <= self.upper

    @property
    def relative_width(self) -> float:
        """(upper − lower)/upper, between 0 and 1."""
        return (self.upper - self.lower) / self.upper if self.upper else 0.0


@dataclass(frozen=True)
class Measured:
    """The measurement of one weight, or of one block of it.

    Attributes:
        sigma: the largest singular value.
        shape: of the weight, or of the block.
        frobenius: the Frobenius norm ‖W‖_F.
        stable_rank: ‖W‖²_F/σ²; ``None`` for a convolution as an operator.
        leading: the largest singular values, as many as were asked for.
    """

    sigma: Interval
    shape: tuple[int, ...]
    frobenius: float
    stable_rank: float | None
    leading: tuple[float, ...]


def sigma(
    array: Any,
    view: str = "reshaped",
    *,
    output_axis: int | None = None,
    tolerance: float = 1e-6,
) -> Interval:
    """The largest singular value σ of a weight, in an interval that is certain to hold it.

    The weight is a matrix ``[rows, columns]`` or a kernel ``[out, in, k₁, k₂]``; a kernel is seen as the matrix
    ``[out, in·k₁·k₂]`` (Miyato et al. 2018, section 2.1) unless ``view`` says otherwise. The lower bound is a Rayleigh
    quotient, the upper one a Cholesky factorization that succeeded (docs of ``osn_core::measure::bounds``).

    Args:
        array: anything with the buffer protocol, ``__dlpack__`` or ``__array__``, of rank 2 or more.
        view: ``matrix``, ``reshaped``, ``bidirectional`` or ``operator:size=28x28,padding=1``; for blocks see
            :func:`measure`.
        output_axis: the axis that indexes outputs. Default: the first.
        tolerance: the relative width that is aimed at.

    Raises:
        TypeError: no array of real numbers.
        ValueError: a wrong rank or view, no entries, or an entry that is not finite.

    Example:
        >>> import numpy, osn
        >>> s = osn.sigma(numpy.diag([3.0, 1.0]))
        >>> 3.0 in s and s.relative_width < 1e-5
        True
    """
    found = measure(array, view, output_axis=output_axis, tolerance=tolerance)
    if len(found) != 1:
        raise ValueError(f"view {view} has {len(found)} blocks: use osn.measure.measure, which returns each")
    return found[0].sigma


def measure(
    array: Any,
    view: str = "reshaped",
    *,
    output_axis: int | None = None,
    tolerance: float = 1e-6,
    leading: int = 0,
) -> list[Measured]:
    """Measures a weight: one measurement, or one for each block of ``blocks:axis=0,count=3``.

    Args and errors are those of :func:`sigma`; ``leading`` is how many of the largest singular values to find.
    """
    entries = as_array(array)
    text = _core.sigma(entries.reshape(-1), list(entries.shape), view, output_axis, tolerance, leading)
    return [_measured(it) for it in json.loads(text)]


def _measured(it: dict[str, Any]) -> Measured:
    return Measured(
        sigma=interval(it["sigma"]),
        shape=tuple(it["shape"]),
        frobenius=it["frobenius"],
        stable_rank=it["stable_rank"],
        leading=tuple(it["leading"]),
    )


def interval(data: dict[str, float | None]) -> Interval:
    """An interval from JSON, which has no infinity."""
    value, lower, upper = (data[name] for name in ("value", "lower", "upper"))
    infinite = float("inf")
    return Interval(*(infinite if it is None else it for it in (value, lower, upper)))
