"""How far are predicted curves from what happened? Brier score over time.

Graf et al. (https://doi.org/10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5).
"""

from __future__ import annotations

import numpy as np

from mmtool.models.survival.statistics.kaplan_meier import Bools, Floats, Steps, censoring


def brier(
    time: Floats,
    event: Bools,
    survival: Floats,
    at: Floats,
    known: Steps | None = None,
    weights: Floats | None = None,
) -> Floats:
    """(B, T) Brier score at T times of B weighted samples; lower is better.

    Without censoring it is the mean squared distance of the predicted survival to 1 for those who
    are still without the event and 0 for the rest. The censored count nothing after their time;
    those who are observed stand for them.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        survival: (N, T) predicted at the times.
        at: (T,) times in the same unit.
        known: Censoring of the training patients, or of each sample (B curves); learned from the
            samples themselves when None.
        weights: (B, N) how often each patient was drawn; once when None.

    Returns:
        NaN at times by which everybody who could still be observed was censored.
    """
    drawn = np.ones((1, len(time))) if weights is None else weights
    curve = censoring(time, event, weights) if known is None else known
    left = time[:, None] > at[None, :]
    died = ~left & event[:, None]
    gone = (drawn * curve.inverse(time)) @ (np.square(survival) * died)
    still = drawn @ (np.square(1 - survival) * left) * curve.inverse(at)
    score = (gone + still) / drawn.sum(1, keepdims=True)
    return np.where(curve.at(at) > 0, score, np.nan)


def integrated_brier(score: Floats, at: Floats) -> Floats:
    """(B,) mean of the score over time, by trapezia.

    Args:
        score: (B, T) at the times.
        at: (T,) ascending; at least two.

    Returns:
        NaN if the score is at one of the times.
    """
    return np.asarray(np.trapezoid(score, at, axis=1) / (at[-1] - at[0]), np.float64)
