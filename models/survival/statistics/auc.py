"""Who has had the event by a time, and who not yet: the area under the cumulative/dynamic ROC.

Hung and Chiang (https://doi.org/10.1002/cjs.10046), Uno et al.
(https://doi.org/10.1198/016214507000000149), the mean over time by Lambert and Chevret
(https://doi.org/10.1177/0962280213515571).
"""

from __future__ import annotations

import numpy as np

from mmtool.models.survival.statistics.concordance import TIED
from mmtool.models.survival.statistics.kaplan_meier import (
    Bools,
    Floats,
    Steps,
    censoring,
    product_limit,
    quotient,
)


def cumulative_dynamic_auc(
    time: Floats,
    event: Bools,
    risk: Floats,
    at: Floats,
    known: Steps | None = None,
    weights: Floats | None = None,
) -> Floats:
    """(B, T) AUC at T times of B weighted samples.

    Cases had the event by then and count 1 / G at their time; controls are still without it.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        risk: (N,) or (N, T) finite; higher is worse.
        at: (T,) times in the same unit.
        known: Censoring of the training patients, or of each sample (B curves); learned from the
            samples themselves when None.
        weights: (B, N) how often each patient was drawn; once when None.

    Returns:
        NaN where there is no case or no control: before the first event, after the last time.
    """
    drawn = np.ones((1, len(time))) if weights is None else weights
    curve = censoring(time, event, weights) if known is None else known
    cases = drawn * event * curve.inverse(time)
    out = np.empty((len(drawn), len(at)))
    for k, t in enumerate(at):
        own = risk if risk.ndim == 1 else risk[:, k]
        out[:, k] = _area(cases * (time <= t), drawn * (time > t), own)
    return out


def _area(cases: Floats, controls: Floats, risk: Floats) -> Floats:
    """(B,) probability that a case has a higher risk than a control, ties counting a half."""
    order = np.argsort(-risk, kind="stable")
    ends = np.append(np.flatnonzero(-np.diff(risk[order]) > TIED), len(risk) - 1)
    start = np.zeros((len(cases), 1))
    hit = np.concatenate([start, np.cumsum(cases[:, order], 1)[:, ends]], 1)
    false = np.concatenate([start, np.cumsum(controls[:, order], 1)[:, ends]], 1)
    area = (np.diff(false, axis=1) * (hit[:, 1:] + hit[:, :-1]) / 2).sum(1)
    return quotient(area, hit[:, -1] * false[:, -1])


def mean_auc(
    time: Floats, event: Bools, auc: Floats, at: Floats, weights: Floats | None = None
) -> Floats:
    """(B,) mean of the AUC over time, weighted by the events that fall between the times.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        auc: (B, T) at the times; those that are NaN are left out.
        at: (T,) ascending.
        weights: (B, N) how often each patient was drawn; once when None.
    """
    survival = product_limit(time, event, weights).at(at)
    fall = -np.diff(np.concatenate([np.ones((len(survival), 1)), survival], 1), axis=1)
    fall = np.where(np.isfinite(auc), fall, 0.0)
    return quotient((np.nan_to_num(auc) * fall).sum(1), fall.sum(1))
