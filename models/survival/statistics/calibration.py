"""Do predicted probabilities come true?

Slope, observed against expected: McLernon et al. (https://doi.org/10.7326/M22-0844); in the
large, by cumulative hazards: Crowson et al. (https://doi.org/10.1177/0962280213497434).
D-calibration and 1-calibration: Haider et al. (https://doi.org/10.48550/arXiv.1811.11347).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from mmtool.models.survival.statistics.kaplan_meier import (
    Bools,
    Floats,
    kaplan_meier,
    product_limit,
    quotient,
)

_LEAST = 1e-12  # survival below it counts as this
_STEPS = 30  # of Newton
_NONE = 1e-9  # information that is rounding, of risks that are at most 1 apart from their mean


@dataclass(frozen=True)
class DCalibration:
    """Are the predicted survival probabilities at the observed times uniform, as they should be?

    Attributes:
        statistic: Chi-squared against equal shares.
        p: Probability of such a departure by chance; small means not calibrated. NaN without
            patients.
        shares: (bins,) of the patients in each tenth of survival, from 0 to 1.
    """

    statistic: float
    p: float
    shares: Floats


def d_calibration(event: Bools, survival: Floats, bins: int = 10) -> DCalibration:
    """Test whether a tenth of the events fall in each tenth of predicted survival.

    A censored patient is spread over the bins that the event could still fall in.

    Args:
        event: (N,) False where censored.
        survival: (N,) predicted for each patient at the patient's own time.
        bins: How many.
    """
    n = len(event)
    shares = tenths(event, survival, bins).sum(0) / max(n, 1)
    statistic = float(n * bins * np.square(shares - 1 / bins).sum())
    p = float(chdtrc(bins - 1, statistic)) if n else float("nan")
    return DCalibration(statistic, p, shares)


def tenths(event: Bools, survival: Floats, bins: int = 10) -> Floats:
    """(N, bins) how much of each patient belongs to each bin; rows sum to 1. Arguments as above."""
    survival = np.clip(survival, 0.0, 1.0)
    lower = np.arange(bins) / bins
    own = np.minimum((survival * bins).astype(np.int64), bins - 1)
    exact = np.eye(bins)[own]
    part = np.clip(survival[:, None] - lower, 0.0, 1 / bins)  # of [0, survival] in each bin
    total = part.sum(1, keepdims=True)
    spread = (total > 0) & ~event[:, None]
    return np.where(spread, part / np.where(spread, total, 1.0), exact)


def calibration_slope(
    time: Floats, event: Bools, log_risk: Floats, weights: Floats | None = None
) -> Floats:
    """(B,) coefficient of a Cox model whose only variable is the predicted log risk.

    1 is right; below 1 the predictions are too extreme, as after overfitting. Ties are handled
    after Breslow.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        log_risk: (N,) finite, predicted log hazard ratio, or log(-log S) at a horizon.
        weights: (B, N) how often each patient was drawn; once when None.

    Returns:
        NaN if risks are all the same, or separate the patients so that there is no maximum.
    """
    order = np.argsort(time, kind="stable")
    ordered, died = time[order], event[order]
    x = log_risk[order] - log_risk.mean() if len(order) else log_risk
    drawn = np.ones((1, len(time))) if weights is None else weights[:, order]
    place = np.searchsorted(ordered, ordered[died], "left")
    deaths = drawn[:, died]
    slope = np.zeros(len(drawn))
    scale = float(np.abs(x).max(initial=0.0))
    if not scale > 0 or not died.any():
        return np.full(len(drawn), np.nan)
    x = x / scale
    gain = np.full(len(drawn), np.inf)
    for _ in range(_STEPS):
        ratio = drawn * np.exp(slope[:, None] * x)
        zero, one, two = (_left(ratio * x**k)[:, place] for k in range(3))
        mean = quotient(one, zero, 0.0)
        spread = quotient(two, zero, 0.0) - mean**2
        score = (deaths * (x[died] - mean)).sum(1)
        information = (deaths * spread).sum(1)
        step = np.where(information > _NONE, quotient(score, information), np.nan)
        slope = slope + np.clip(step, -5, 5)
        gain = np.abs(step)
        if not (gain > 1e-10).any():
            break
    return np.where(gain < 1e-6, slope / scale, np.nan)


def _left(values: Floats) -> Floats:
    """Sums over each place and all later ones, (B, N)."""
    return np.asarray(np.cumsum(values[:, ::-1], axis=1)[:, ::-1], np.float64)


def in_the_large(event: Bools, survival: Floats, weights: Floats | None = None) -> Floats:
    """(B,) log of the events that happened over those predicted up to each patient's own time.

    0 is right; above 0 more happened than was predicted. What is predicted is the cumulative
    hazard, -log S.

    Args:
        event: (N,) False where censored.
        survival: (N,) predicted for each patient at the patient's own time.
        weights: (B, N) how often each patient was drawn; once when None.

    Returns:
        NaN without an event, or if none is predicted.
    """
    drawn = np.ones((1, len(event))) if weights is None else weights
    happened = drawn @ event.astype(np.float64)
    predicted = drawn @ -np.log(np.clip(survival, _LEAST, 1.0))
    ratio = quotient(happened, predicted)
    ratio[happened == 0] = np.nan
    return np.log(ratio)


def observed_over_expected(
    time: Floats, event: Bools, survival: Floats, at: Floats, weights: Floats | None = None
) -> Floats:
    """(B, T) share with the event by T times, by Kaplan-Meier, over the mean predicted share.

    1 is right; above 1 more happened than was predicted.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        survival: (N, T) predicted at the times.
        at: (T,) times in the same unit.
        weights: (B, N) how often each patient was drawn; once when None.

    Returns:
        NaN at times after the last one observed, or where nothing is predicted to happen.
    """
    drawn = np.ones((1, len(time))) if weights is None else weights
    observed = 1 - product_limit(time, event, weights).at(at)
    expected = (drawn @ (1 - survival)) / np.maximum(drawn.sum(1, keepdims=True), 1)
    last = np.where(drawn > 0, time, -np.inf).max(1, initial=-np.inf)
    return np.where(at[None, :] <= last[:, None], quotient(observed, expected), np.nan)


@dataclass(frozen=True)
class CalibrationPoints:
    """Groups of patients of like prediction at one time.

    What was observed is NaN in a group of which nobody was followed for so long.

    Attributes:
        patients: (G,) in each group.
        predicted: (G,) mean predicted probability of the event by then, ascending.
        observed: (G,) by Kaplan-Meier in the group.
        low: (G,) lower end of the interval of what was observed.
        high: (G,) upper end.
        p: 1-calibration: probability of such differences by chance if the predictions, made
            without these patients, were true. NaN if nothing can be compared.
    """

    patients: NDArray[np.int64]
    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    p: float


def calibration_points(
    time: Floats, event: Bools, survival: Floats, at: float, groups: int = 10, level: float = 0.95
) -> CalibrationPoints:
    """Compare predicted and observed probability of the event by a time, in groups.

    Groups are of equal size by predicted probability; patients of the same prediction stay
    together, so there may be fewer.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        survival: (N,) predicted at that time.
        at: The time.
        groups: How many.
        level: Of the intervals.
    """
    predicted = 1 - np.asarray(survival, np.float64)
    order = np.argsort(predicted, kind="stable")
    cuts = np.unique(predicted[order][np.arange(1, groups) * len(order) // groups])
    member = np.searchsorted(cuts, predicted, "right")
    rows = []
    for group in np.unique(member):
        inside = member == group
        curve = kaplan_meier(time[inside], event[inside], level)
        alive, low, high = (float(v[0]) for v in curve.at(np.array([at])))
        if alive > 0 and at > curve.times[-1]:
            alive = low = high = np.nan
        variance = np.append(0.0, curve.variance)[np.searchsorted(curve.times, at, "right")]
        seen = int((event[inside] | (time[inside] > at)).sum())
        counts = alive * (1 - alive) / variance if variance > 0 else max(seen, 1)
        mean = float(predicted[inside].mean())
        rows.append((int(inside.sum()), mean, 1 - alive, 1 - high, 1 - low, counts))
    n, means, observed, lows, highs, effective = np.array(rows, np.float64).reshape(-1, 6).T
    p = _one_calibration(effective, means, observed)
    return CalibrationPoints(n.astype(np.int64), means, observed, lows, highs, p)


def _one_calibration(n: Floats, predicted: Floats, observed: Floats) -> float:
    """P of Hosmer and Lemeshow's test on what Kaplan-Meier observed.

    As in the test of Demler et al. (https://doi.org/10.1002/sim.6428) the variance knows of the
    censoring: a group counts as many patients as would give its Greenwood variance uncensored. But
    it is that of the prediction, which is what is tested: of samples for which the
    prediction was true, 5 to 8 % had p < 0.05 with 10 to 100 patients a group, against 8 to 16 %;
    if most are censored before the time, 10 to 12 %. Each group is free, as nothing was fitted to
    these patients.

    Args:
        n: (G,) patients that each group counts for.
        predicted: (G,).
        observed: (G,).
    """
    spread = predicted * (1 - predicted)
    known = np.isfinite(observed) & (spread > 0)
    if not known.any():
        return float("nan")
    gaps = np.square(observed - predicted)[known] * n[known] / spread[known]
    return float(chdtrc(int(known.sum()), gaps.sum()))
