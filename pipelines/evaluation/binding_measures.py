"""How well scores rank binders above the rest: of one epitope, and of many, with intervals.

Intervals are from the bootstrap. A replicate is a weight for each row, so that many replicates
are one matrix, and several models are measured on the same replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEASURES = ("auc", "auc01", "ap")
_MOST_FALSE = 0.1  # false positive rate up to which auc01 looks
_CELLS = 4_000_000  # weights that are held at a time

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Replicates:
    """A measure of one epitope.

    Attributes:
        value: On the rows as they are.
        drawn: (B,) on rows drawn with replacement, positives and negatives each among themselves.
    """

    value: float
    drawn: Floats


def measure(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> dict[str, float]:
    """AUC, standardised partial AUC and average precision of N scores.

    ``auc01`` is the area up to a false positive rate of 0.1, brought to the scale on which 0.5 is
    chance and 1 is perfect (McClish, https://doi.org/10.1177/0272989X8900900307).

    Args:
        scores: (N,) finite.
        labels: (N,), both kinds are there.
    """
    ones = np.ones((1, len(scores)))
    return {name: float(values[0]) for name, values in _weighted(scores, labels, ones).items()}


def resample(
    scores: NDArray[np.floating], labels: NDArray[np.bool_], times: int, seed: int
) -> dict[str, Replicates]:
    """As :func:`measure`, with replicates; the same seed and labels give the same draws."""
    draw = np.random.default_rng(seed)
    point = measure(scores, labels)
    step = max(1, _CELLS // len(scores))
    parts = []
    for start in range(0, times, step):
        weights = np.zeros((min(step, times - start), len(scores)))
        for rows in (np.flatnonzero(labels), np.flatnonzero(~labels)):
            share = np.full(len(rows), 1 / len(rows))
            weights[:, rows] = draw.multinomial(len(rows), share, size=len(weights))
        parts.append(_weighted(scores, labels, weights))
    return {m: Replicates(point[m], np.concatenate([p[m] for p in parts])) for m in MEASURES}


def _weighted(
    scores: NDArray[np.floating], labels: NDArray[np.bool_], weights: Floats
) -> dict[str, Floats]:
    """Each measure as (B,), for B sets of weights (B, N) of the rows."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    ordered, marks = weights[:, order], labels[order]
    start = np.zeros((len(weights), 1))
    hits = np.concatenate([start, np.cumsum(ordered * marks, 1)[:, ends]], 1)
    false = np.concatenate([start, np.cumsum(ordered * ~marks, 1)[:, ends]], 1)
    recall, rate = hits / hits[:, -1:], false / false[:, -1:]
    found = hits + false
    precision = np.divide(hits, found, out=np.zeros_like(hits), where=found > 0)
    part = _area(np.minimum(rate, _MOST_FALSE), _up_to(rate, recall))
    least = _MOST_FALSE**2 / 2
    return {
        "auc": _area(rate, recall),
        "auc01": (1 + (part - least) / (_MOST_FALSE - least)) / 2,
        "ap": (np.diff(recall, axis=1) * precision[:, 1:]).sum(1),
    }


def _area(x: Floats, y: Floats) -> Floats:
    return np.asarray((np.diff(x, axis=1) * (y[:, 1:] + y[:, :-1]) / 2).sum(1), np.float64)


def _up_to(rate: Floats, recall: Floats) -> Floats:
    """Recall where each point is drawn back along the curve to a rate of `_MOST_FALSE`.

    Only the first point beyond it counts for the area; the others then have no width.
    """
    step = np.diff(rate, axis=1)
    share = np.divide(
        _MOST_FALSE - rate[:, :-1], step, out=np.ones_like(step), where=step > 0
    ).clip(0, 1)
    drawn = recall[:, :-1] + share * np.diff(recall, axis=1)
    return np.concatenate([recall[:, :1], drawn], 1)


def interval(value: float, drawn: Floats) -> Estimate:
    """The value with the 2.5th and 97.5th percentile of its replicates."""
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(value, float(low), float(high))


def macro(epitopes: Sequence[Replicates], seed: int) -> Estimate:
    """Mean over epitopes, with the interval of drawing other epitopes.

    An epitope's value holds the chance of its rows already, so its rows are not drawn anew.

    Args:
        epitopes: At least one, all with as many replicates.
        seed: Of the draw of epitopes; the same seed and number of epitopes give the same draws.
    """
    values = np.array([e.value for e in epitopes])
    times = len(epitopes[0].drawn)
    taken = np.random.default_rng(seed).integers(len(values), size=(times, len(values)))
    return interval(float(values.mean()), values[taken].mean(1))


def less(one: Replicates, other: Replicates) -> Replicates:
    """The second less the first, replicate by replicate."""
    return Replicates(other.value - one.value, other.drawn - one.drawn)


def macro_of_rows(epitopes: Sequence[Replicates]) -> Estimate:
    """Mean over these very epitopes; its replicates draw rows only."""
    drawn = np.stack([e.drawn for e in epitopes])
    return interval(float(np.mean([e.value for e in epitopes])), drawn.mean(0))
