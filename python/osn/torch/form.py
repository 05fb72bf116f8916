"""How a held weight is cut into blocks, and which linear maps each block is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: σ, scale s, elasticity γ, residual and the first step that met a weight which is not finite.
STATE_LEN = 5
SIGMA, SCALE, ELASTICITY, RESIDUAL, BAD_STEP = range(STATE_LEN)

#: What the effective weight needs of a form, as numbers and tuples alone, which ``torch.compile`` can see.
Plain = tuple[int, int, int, tuple[tuple[int, int, int], ...], str, int, int]

#: The smallest normal number of single precision: at or below it a weight is zero.
SIGMA_FLOOR = 1.1754943508222875e-38


@dataclass(frozen=True)
class Form:
    """Everything about a held weight that does not change while it trains.

    A row-major weight is seen as ``[outer, count, inner]``, with a block at each place of the middle axis. A block is
    a matrix ``[lo, rows, li]`` with its rows in the middle, or both reshapings of a kernel, or a convolution, whose
    ``∂σ/∂W`` is kept beside its vectors (``kernel`` numbers).
    """

    path: str
    text: str
    outer: int
    count: int
    inner: int
    layouts: tuple[tuple[int, int, int], ...]
    gradient: str
    rows: int
    cols: int
    layers: tuple[str, ...]

    @property
    def states_at(self) -> int:
        """Where the states begin among the vectors."""
        return self.count * (self.rows + self.cols)

    def states_of(self, vectors: Tensor) -> Tensor:
        """σ, s, γ, residual and bad step of each block among such vectors, ``[count, 5]``."""
        return vectors[self.states_at :][: self.count * STATE_LEN].view(self.count, STATE_LEN)

    @property
    def plain(self) -> Plain:
        """What the effective weight needs."""
        return (self.outer, self.count, self.inner, self.layouts, self.gradient, self.rows, self.cols)


def form(data: dict[str, Any]) -> Form:
    """A form as the compiled part describes it."""
    of_map = data["form"]["maps"]
    matrices = [of_map["Matrix"]] if "Matrix" in of_map else of_map.get("Reshapings", [])
    cut = data["form"]["cut"]
    return Form(
        path=data["path"],
        text=json.dumps(data["form"]),
        outer=cut["outer"],
        count=cut["count"],
        inner=cut["inner"],
        layouts=tuple((it["outer"], it["rows"], it["inner"]) for it in matrices),
        gradient=data["form"]["gradient"],
        rows=data["rows"],
        cols=data["cols"],
        layers=tuple(data["layers"]),
    )
