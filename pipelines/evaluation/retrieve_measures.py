"""Ranks and their shares, with intervals over cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_DRAWS = 1000


def mid_ranks(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Rank of the best right answer of each row, from 1; ties take the middle of their places.

    Args:
        scores: (N, M), higher is nearer; -inf is left out.
        right: (N, M) which answers are right; rows without any give nan.
    """
    best = np.where(right, scores, -np.inf).max(1)
    above = (scores > best[:, None]).sum(1)
    level = ((scores == best[:, None]) & ~right).sum(1)
    ranks = 1 + above + level / 2
    return np.where(right.any(1) & np.isfinite(best), ranks, np.nan)


def interval(
    values: NDArray[np.float64],
    cases: Sequence[str],
    seed: int | None,
    measure: Callable[[NDArray[np.float64]], float] = lambda v: float(v.mean()),
) -> tuple[float, float, float]:
    """A measure of rows, and the 95 % interval of a bootstrap over cases.

    Args:
        values: (N, ...) one row an item.
        cases: N names; items of a case are drawn together.
        seed: Of the draws; None for no interval, only the measure thrice.
        measure: Of rows like ``values``.
    """
    value = measure(values)
    if seed is None:
        return value, value, value
    draw = np.random.default_rng(seed)
    names, number = np.unique(np.asarray(cases), return_inverse=True)
    members = [np.flatnonzero(number == k) for k in range(len(names))]
    drawn = []
    for _ in range(_DRAWS):
        rows = np.concatenate([members[k] for k in draw.integers(len(names), size=len(names))])
        drawn.append(measure(values[rows]))
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return value, float(min(low, value)), float(max(high, value))


def auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Share of pairs in the right order, ties half (doi 10.1148/radiology.143.1.7063747)."""
    positive, negative = scores[truth], scores[~truth]
    if not len(positive) or not len(negative):
        return float("nan")
    apart = positive[:, None] - negative[None]
    return float(((apart > 0) + 0.5 * (apart == 0)).mean())
