"""Kaplan-Meier curves of events and of censoring (https://doi.org/10.1080/01621459.1958.10501452).

What is computed for many bootstrap replicates at once takes a weight for each patient, (B, N):
how often each was drawn. One row of ones is the sample itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def quotient(top: Floats, bottom: Floats, otherwise: float = np.nan) -> Floats:
    """``top / bottom`` where ``bottom`` is above 0, else ``otherwise``; shapes are the same."""
    out = np.full(np.shape(bottom), otherwise)
    np.divide(top, bottom, out=out, where=bottom > 0)
    return out


@dataclass(frozen=True)
class Steps:
    """Curves that are 1 at first and step at known times; they hold their last value.

    Attributes:
        times: (U,) ascending.
        values: (B, U) from each time on, that time included.
    """

    times: Floats
    values: Floats

    def at(self, times: Floats) -> Floats:
        """(B, T) values at T times."""
        first = np.ones((len(self.values), 1))
        place = np.searchsorted(self.times, times, "right")
        return np.concatenate([first, self.values], 1)[:, place]

    def inverse(self, times: Floats) -> Floats:
        """(B, T) of 1 / value: weights against censoring. Where the curve is 0 they are 0.

        There nobody is left who could stand for the censored, and an infinite weight would let
        one patient decide alone.
        """
        values = self.at(times)
        return quotient(np.ones_like(values), values, 0.0)


@dataclass(frozen=True)
class Counts:
    """What happened at each distinct time.

    Attributes:
        times: (U,) ascending, all times that occur.
        at_risk: (B, U) patients with this time or a later one.
        events: (B, U).
        censored: (B, U).
    """

    times: Floats
    at_risk: Floats
    events: Floats
    censored: Floats


def count(time: Floats, event: Bools, weights: Floats | None = None) -> Counts:
    """Tell how many are at risk, die and are censored at each distinct time.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        weights: (B, N); one row of ones when None.
    """
    drawn = np.ones((1, len(time))) if weights is None else weights
    times, place = np.unique(time, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(times)))
    ordered, events = drawn[:, order], event[order]
    if not len(times):
        empty = np.zeros((len(drawn), 0))
        return Counts(times, empty, empty, empty)
    all_of = np.add.reduceat(ordered, starts, axis=1)
    died = np.add.reduceat(ordered * events, starts, axis=1)
    at_risk = np.cumsum(all_of[:, ::-1], axis=1)[:, ::-1]
    return Counts(times, at_risk, died, all_of - died)


def product_limit(time: Floats, event: Bools, weights: Floats | None = None) -> Steps:
    """Survival of B weighted samples; arguments as in :func:`count`."""
    found = count(time, event, weights)
    return Steps(found.times, _product(found.events, found.at_risk))


def censoring(time: Floats, event: Bools, weights: Floats | None = None) -> Steps:
    """Probability to be still observed, the censoring being the event: G(t) = P(C > t).

    Of an event and a censoring at the same time the event comes first, so who died at a time is
    not at risk to be censored at it. Arguments as in :func:`count`.
    """
    found = count(time, event, weights)
    return Steps(found.times, _product(found.censored, found.at_risk - found.events))


def _product(events: Floats, at_risk: Floats) -> Floats:
    return np.asarray(np.cumprod(1 - quotient(events, at_risk, 0.0), axis=1), np.float64)


@dataclass(frozen=True)
class KaplanMeier:
    """The curve of one sample with its interval.

    Attributes:
        times: (U,) ascending, all times that occur.
        at_risk: (U,) patients just before each time.
        events: (U,).
        censored: (U,).
        survival: (U,) from each time on.
        low: (U,) lower end of the interval of survival.
        high: (U,) upper end.
        variance: (U,) of survival, Greenwood's; 0 where survival is 1 or 0.
    """

    times: Floats
    at_risk: Floats
    events: Floats
    censored: Floats
    survival: Floats
    low: Floats
    high: Floats
    variance: Floats

    def at(self, times: Floats) -> tuple[Floats, Floats, Floats]:
        """Survival and both ends of its interval at T times, each (T,)."""
        steps = Steps(self.times, np.stack([self.survival, self.low, self.high]))
        survival, low, high = steps.at(np.asarray(times, np.float64))
        return survival, low, high

    def number_at_risk(self, times: Floats) -> NDArray[np.int64]:
        """(T,) patients with a time of at least each of T times."""
        place = np.searchsorted(self.times, times, "left")
        return np.append(self.at_risk, 0)[place].astype(np.int64)

    def quantile(self, share: float) -> float:
        """First time by which this share has had the event; NaN if that was not seen."""
        reached = np.flatnonzero(self.survival <= 1 - share + 1e-12)
        return float(self.times[reached[0]]) if len(reached) else float("nan")


def kaplan_meier(time: Floats, event: Bools, level: float = 0.95) -> KaplanMeier:
    """Survival of one sample with pointwise intervals.

    The variance is Greenwood's, the interval is symmetric on the scale of log(-log S), so it
    stays within 0 and 1 (Kalbfleisch and Prentice, https://doi.org/10.1002/9781118032985).
    Before the first event it is [1, 1]; where the curve has come to 0, the variance is undefined
    and the interval runs from 0 to the last upper end.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        level: Confidence.
    """
    found = count(time, event)
    at_risk, events, censored = found.at_risk[0], found.events[0], found.censored[0]
    survival = _product(found.events, found.at_risk)[0]
    summed = np.cumsum(quotient(events, at_risk * (at_risk - events), 0.0))
    inside = (survival > 0) & (survival < 1)
    logs = np.log(survival, out=np.full_like(survival, -1.0), where=inside)
    spread = ndtri((1 + level) / 2) * np.sqrt(summed) / logs
    low = np.where(inside, survival ** np.exp(-spread), survival)
    high = np.where(inside, survival ** np.exp(spread), survival)
    ended = survival <= 0
    if ended.any() and not ended.all():
        high[ended] = high[~ended][-1]
    elif ended.any():
        high[ended] = 1.0
    variance = survival**2 * summed
    return KaplanMeier(found.times, at_risk, events, censored, survival, low, high, variance)
