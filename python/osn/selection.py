"""Which layers to hold, and as which linear map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else [str(it) for it in value]


@dataclass(frozen=True)
class Selection:
    """Some layers, and the linear map that each of their weights is measured as.

    A layer is selected if all that is set matches it; ``Selection()`` selects every layer.

    Args:
        paths: globs over dot-separated paths of parameters: ``*`` is one segment, ``**`` any number, ``{a,b}`` one of
            several.
        exclude: globs of those to leave out.
        kind: ``linear``, ``conv``, ``conv_transpose``, ``embedding``, ``attention``, ``recurrent`` or ``other``.
        position: ``first``, ``last``, ``penultimate``, ``largest`` or an index from 0, in the order of the model.
        fact, without: facts of which one must hold and of which none may: ``normalized``, ``residual``, ``output``,
            ``embedding`` (`osn.torch.architecture` says which of them a module tree shows).
        block: of rules only, numbers from 0 of the blocks of a weight, such as heads.
        view: ``matrix``, ``reshaped``, ``bidirectional``, ``blocks:axis=0,count=3``, ``operator:size=28x28,padding=1``,
            or ``heads`` for the weights of ``MultiheadAttention``. Default: gates of recurrent layers and Q, K, V of
            ``MultiheadAttention`` as blocks, all else ``reshaped`` (Miyato et al. 2018).
        output_axis: the axis of the weight that indexes outputs. Default: that of PyTorch's own layers, 1 for
            transposed convolutions and 0 for all others.
    """

    paths: str | Sequence[str] = ()
    exclude: str | Sequence[str] = ()
    kind: str | Sequence[str] = ()
    position: str | int | Sequence[str | int] = ()
    block: int | Sequence[int] = ()
    fact: str | Sequence[str] = ()
    without: str | Sequence[str] = ()
    view: str | None = None
    output_axis: int | None = None

    def conditions(self) -> dict[str, list[Any]]:
        """The conditions as the compiled part reads them."""
        position = [self.position] if isinstance(self.position, (int, str)) else list(self.position)
        blocks = [self.block] if isinstance(self.block, int) else list(self.block)
        return {
            "paths": _listed(self.paths),
            "blocks": blocks,
            "exclude": _listed(self.exclude),
            "kinds": _listed(self.kind),
            "positions": [str(it) for it in position],
            "facts": _listed(self.fact),
            "without": _listed(self.without),
        }


Select = str | Selection | Sequence[str | Selection]


def selections(select: Select) -> list[Selection]:
    """A glob, a selection or several of them as a list."""
    several = [select] if isinstance(select, (str, Selection)) else list(select)
    for one in several:
        if not isinstance(one, (str, Selection)):
            raise TypeError(f"select holds {type(one).__name__}: expected a glob or osn.Selection")
    return [one if isinstance(one, Selection) else Selection(one) for one in several]
