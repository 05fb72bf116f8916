"""Scores of runs compared, as ``osn compare`` compares arms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from osn import _core


@dataclass(frozen=True)
class ConfidenceInterval:
    """A number and the 95 % interval around it, by the stratified bootstrap."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Comparison:
    """The scores of two arms, compared (Agarwal et al. 2021).

    Attributes:
        first, second: the interquartile mean of each.
        difference: first − second, in the unit of the scores.
        probability_of_improvement: that a run of the first is better than one of the second.
        wins, ties, losses: of the first, seed by seed.
        p: of an exact sign-flip test over the pairs; with n pairs at least 2¹⁻ⁿ.
    """

    first: ConfidenceInterval
    second: ConfidenceInterval
    difference: ConfidenceInterval
    probability_of_improvement: ConfidenceInterval
    wins: int
    ties: int
    losses: int
    p: float


def compare_scores(
    first: Sequence[float] | Sequence[Sequence[float]],
    second: Sequence[float] | Sequence[Sequence[float]],
    *,
    higher_is_better: bool,
) -> Comparison:
    """Compares the scores of two arms, paired by seed.

    Args:
        first, second: scores in the order of the seeds; or for each regime a list of them.
        higher_is_better: as of accuracies; not as of distances.

    Raises:
        ValueError: the arms have other numbers of scores, or one is not finite.
    """
    data = json.loads(_core.score_sets(_strata(first), _strata(second), higher_is_better))
    return Comparison(
        first=ConfidenceInterval(**data["first"]),
        second=ConfidenceInterval(**data["second"]),
        difference=ConfidenceInterval(**data["difference"]),
        probability_of_improvement=ConfidenceInterval(**data["probability_of_improvement"]),
        **data["wins"],
        p=data["p"],
    )


def _strata(scores: Sequence[Any]) -> list[list[float]]:
    scores = list(scores)
    if scores and not hasattr(scores[0], "__len__"):
        scores = [scores]
    return [[float(score) for score in stratum] for stratum in scores]
