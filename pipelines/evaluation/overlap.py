"""Overlap of label maps, and intervals for their means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def dice_per_label(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], labels: Iterable[int]
) -> dict[int, float]:
    """Dice coefficient (Dice 1945, 10.2307/1932409) of each label.

    Args:
        truth: Label map.
        predicted: Label map of the same shape.
        labels: Label indices, >= 0.

    Returns:
        Label -> Dice; NaN where neither map has the label.
    """
    top = int(max(truth.max(initial=0), predicted.max(initial=0))) + 1
    in_truth = np.bincount(truth.ravel(), minlength=top)
    in_predicted = np.bincount(predicted.ravel(), minlength=top)
    both = np.bincount(truth[truth == predicted].ravel(), minlength=top)
    out = {}
    for label in labels:
        total = int(in_truth[label] + in_predicted[label]) if label < top else 0
        out[label] = 2 * int(both[label]) / total if total else float("nan")
    return out


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % bootstrap interval, the standard deviation and the count."""

    mean: float
    low: float
    high: float
    sd: float
    n: int


def bootstrap_mean(
    groups: Sequence[Sequence[float]], *, seed: int = 0, draws: int = 2000
) -> Interval:
    """Mean over all values, resampling whole groups.

    Args:
        groups: One sequence of values for each independent case (several scans of one label map
            are not independent).
        seed: Of the resampling.
        draws: Number of resamples.

    Returns:
        Percentile interval (Efron 1979, 10.1214/aos/1176344552).
    """
    means = np.array([np.nanmean(g) for g in groups])
    rng = np.random.default_rng(seed)
    resampled = means[rng.integers(len(means), size=(draws, len(means)))].mean(1)
    low, high = np.percentile(resampled, (2.5, 97.5))
    values = np.concatenate([np.asarray(g, float) for g in groups])
    return Interval(
        float(means.mean()), float(low), float(high), float(np.nanstd(values)), len(values)
    )
