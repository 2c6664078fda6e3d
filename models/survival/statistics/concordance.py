"""Do those at higher risk have the event earlier? Harrell's and Uno's concordance index.

Harrell et al. (https://doi.org/10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4),
Uno et al. (https://doi.org/10.1002/sim.4154).

A pair is compared when one had an event and the other was still without it at that time; who is
censored at that very time was. The pair counts 1 if the one with the event has the higher risk,
and a half if risks differ by no more than 1e-8. Higher risk means worse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmtool.models.survival.statistics.kaplan_meier import Bools, Floats, Steps, censoring, quotient

TIED = 1e-8  # risks that are no further apart are the same

Ints = NDArray[np.int64]


def harrell(time: Floats, event: Bools, risk: Floats) -> float:
    """Harrell's C; NaN if no pair can be compared.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        risk: (N,) finite; higher is worse.
    """
    return float(concordance(time, event, risk)[0])


def uno(
    time: Floats,
    event: Bools,
    risk: Floats,
    tau: float,
    training: tuple[Floats, Bools] | None = None,
) -> float:
    """Uno's C up to a time: does not depend on how the patients happened to be censored.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        risk: (N,) finite; higher is worse.
        tau: Only events before it count. Late on few are observed, and the weight of one of
            them could be more than that of all others, so it should lie where a tenth or so of
            the patients still is.
        training: Times and events that censoring is learned from; the patients themselves when
            None.

    Returns:
        NaN if no pair can be compared.
    """
    known = censoring(*(training or (time, event)))
    return float(concordance(time, event, risk, pair_weights=uno_weights(time, known, tau))[0])


def uno_weights(time: Floats, known: Steps, tau: float) -> Floats:
    """(B, N) of 1 / G^2 at each patient's time, 0 from ``tau`` on."""
    return np.square(known.inverse(time)) * (time < tau)


def concordance(
    time: Floats,
    event: Bools,
    risk: Floats,
    weights: Floats | None = None,
    pair_weights: Floats | None = None,
) -> Floats:
    """(B,) share of concordant pairs of B weighted samples, in O(B N log N).

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        risk: (N,) finite; higher is worse.
        weights: (B, N) how often each patient was drawn; once when None.
        pair_weights: (B, N) or (1, N) what a pair counts by its patient with the event; 1 when
            None.
    """
    order = np.lexsort((~event, time))  # at one time, events come before the censored
    time, event, risk = time[order], event[order], risk[order]
    drawn = np.ones((1, len(time))) if weights is None else weights[:, order]
    first = np.flatnonzero(event)
    later = _after_tied(time, event)[first]
    ranked = np.sort(risk, kind="stable")
    rank = np.empty(len(risk), np.int64)
    rank[np.argsort(risk, kind="stable")] = np.arange(len(risk))
    lower = np.searchsorted(ranked, risk[first] - TIED, "left")
    as_low = np.searchsorted(ranked, risk[first] + TIED, "right")
    below = _sum_of_suffix(rank, drawn, np.tile(later, 2), np.append(lower, as_low))
    suffix = np.concatenate([np.cumsum(drawn[:, ::-1], 1)[:, ::-1], np.zeros((len(drawn), 1))], 1)
    outer = drawn[:, first]
    if pair_weights is not None:
        outer = outer * pair_weights[:, order][:, first]
    half = (below[:, : len(first)] + below[:, len(first) :]) / 2
    compared = (outer * suffix[:, later]).sum(1)
    agree = (outer * half).sum(1)
    return quotient(agree, compared)


def _after_tied(time: Floats, event: Bools) -> Ints:
    """(N,) for a sorted sample, the place after the last event at each patient's time."""
    starts = np.searchsorted(time, time, "left")
    died = np.append(0, np.cumsum(event))
    return np.asarray(starts + died[np.searchsorted(time, time, "right")] - died[starts])


def _sum_of_suffix(rank: Ints, weights: Floats, start: Ints, below: Ints) -> Floats:
    """(B, Q) sums of weights over places from ``start`` on whose rank is less than ``below``.

    The places are cut into blocks of 1, 2, 4, ... and each block is sorted by rank; a suffix is
    made of at most one block of each size, and a cumulated sum of a sorted block answers.

    Args:
        rank: (N,) rank of each place, all different.
        weights: (B, N).
        start: (Q,) first place, at least 1.
        below: (Q,).
    """
    n = len(rank)
    levels = max(1, int(n - 1).bit_length())
    size = 1 << levels
    rank = np.append(rank, np.arange(n, size))
    weights = np.concatenate([weights, np.zeros((len(weights), size - n))], 1)
    start, out = start.copy(), np.zeros((len(weights), len(start)))
    for level in range(levels):
        asked = np.flatnonzero((start >> level) & 1)
        if not len(asked):
            continue
        key = (np.arange(size) >> level) * size + rank
        order = np.argsort(key)
        summed = np.concatenate(
            [np.zeros((len(weights), 1)), np.cumsum(weights[:, order], axis=1)], axis=1
        )
        block = start[asked] >> level
        end = np.searchsorted(key[order], block * size + below[asked], "left")
        out[:, asked] += summed[:, end] - summed[:, block << level]
        start[asked] += 1 << level
    return out
