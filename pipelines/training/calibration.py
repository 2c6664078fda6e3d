"""How far told probabilities are from the shares that come true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15
_DRAWS = 500
Floats = NDArray[np.float64]


def calibration_error(sure: Floats, right: Floats) -> float:
    """Expected calibration error over bins of equal width (10.1609/aaai.v29i1.9602).

    Args:
        sure: (N,) probabilities of the answers.
        right: (N,) 1 for a right answer, else 0.
    """
    shares, told, found = _bins(sure, right)
    return float(shares @ np.abs(found - told))


def error_by_chance(sure: Floats, seed: int) -> float:
    """Mean error of as many answers that are right exactly as often as their (N,) ``sure`` says.

    It is above 0: few answers fall into a bin.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.random((_DRAWS, len(sure))) < sure
    return float(np.mean([calibration_error(sure, row.astype(np.float64)) for row in drawn]))


def unbiased_error(sure: Floats, right: Floats, seed: int) -> float:
    """The error less what chance adds to it, at least 0 (10.48550/arXiv.1909.10155).

    What chance adds is seen by drawing the share of right answers of each bin anew.
    """
    shares, told, found = _bins(sure, right)
    counts = shares * len(sure)
    rng = np.random.default_rng(seed)
    spread = np.sqrt(found * (1 - found) / counts)
    again = rng.normal(found, spread, (_DRAWS, len(found)))
    plain = shares @ np.abs(found - told)
    added = (np.abs(again - told) @ shares).mean() - plain
    return float(max(0.0, plain - added))


def _bins(sure: Floats, right: Floats) -> tuple[Floats, Floats, Floats]:
    """Of each bin with answers: its share of them, mean probability, share that is right."""
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    there = count > 0
    told, found = (np.bincount(place, v, BINS)[there] / count[there] for v in (sure, right))
    return count[there] / len(sure), told, found
