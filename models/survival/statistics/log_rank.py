"""Do groups differ in survival? The log-rank test of k groups.

Mantel (1966) and Peto and Peto (https://doi.org/10.2307/2344317).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from mmtool.models.survival.statistics.kaplan_meier import Bools, Floats, count, quotient


@dataclass(frozen=True)
class LogRank:
    """Result of the test.

    Attributes:
        statistic: Chi-squared; NaN when fewer than two groups or no event can be compared.
        p: Probability of such a difference by chance; NaN likewise.
        groups: (K,) the distinct groups, sorted.
        observed: (K,) events.
        expected: (K,) events if survival were the same.
    """

    statistic: float
    p: float
    groups: NDArray[np.int64]
    observed: Floats
    expected: Floats


def log_rank(time: Floats, event: Bools, group: NDArray[np.integer]) -> LogRank:
    """Compare the survival of the groups.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        group: (N,) number of the group of each patient.
    """
    groups, place = np.unique(group, return_inverse=True)
    members = (place[None, :] == np.arange(len(groups))[:, None]).astype(np.float64)
    found = count(time, event, members)
    happened = found.events.sum(0) > 0
    at_risk, events = found.at_risk[:, happened], found.events[:, happened]
    n, d = at_risk.sum(0), events.sum(0)
    share = at_risk / n
    observed, expected = events.sum(1), (share * d).sum(1)
    spread = quotient(d * (n - d), n - 1, 0.0)
    variance = np.diag((share * spread).sum(1)) - (share * spread) @ share.T
    gap = (observed - expected)[:-1]
    freedom = int(np.linalg.matrix_rank(variance)) if len(groups) > 1 else 0
    if not freedom:
        nothing = float("nan")
        return LogRank(nothing, nothing, groups.astype(np.int64), observed, expected)
    statistic = float(gap @ np.linalg.pinv(variance[:-1, :-1]) @ gap)
    p = float(chdtrc(freedom, statistic))
    return LogRank(statistic, p, groups.astype(np.int64), observed, expected)
