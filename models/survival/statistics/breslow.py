"""Survival curves from risks: Breslow's baseline (https://doi.org/10.2307/2529620)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmtool.models.survival.statistics.kaplan_meier import Bools, Floats

_MOST = 700.0  # exp of more is no float


@dataclass(frozen=True)
class Baseline:
    """Cumulative hazard of a patient whose log risk is ``centre``.

    Attributes:
        times: (U,) ascending, times at which there was an event.
        hazard: (U,) cumulative, from each time on; 0 before the first, constant after the last.
        centre: Log risk that it belongs to.
    """

    times: Floats
    hazard: Floats
    centre: float

    def cumulative_hazard(self, log_risk: Floats, times: Floats) -> Floats:
        """(N, T) of N patients at T times."""
        place = np.searchsorted(self.times, times, "right")
        at = np.append(0.0, self.hazard)[place]
        return np.asarray(self._ratio(log_risk)[:, None] * at[None, :])

    def curves(self, log_risk: Floats, times: Floats) -> Floats:
        """(N, T) survival of N patients at T times, each row falling.

        Args:
            log_risk: (N,) log of the hazard ratio, on the scale of the fit.
            times: (T,) in the unit of the fit.
        """
        return np.asarray(np.exp(-self.cumulative_hazard(log_risk, times)), np.float64)

    def _ratio(self, log_risk: Floats) -> Floats:
        away = np.asarray(log_risk, np.float64) - self.centre
        return np.asarray(np.exp(np.clip(away, -_MOST, _MOST)), np.float64)


def breslow(time: Floats, event: Bools, log_risk: Floats) -> Baseline:
    """Fit the baseline to patients whose log risks are known.

    Args:
        time: (N,), any unit.
        event: (N,) False where censored.
        log_risk: (N,) finite, log of the hazard ratio: higher is worse.
    """
    centre = float(np.mean(log_risk)) if len(log_risk) else 0.0
    ratio = np.exp(np.clip(np.asarray(log_risk, np.float64) - centre, -_MOST, _MOST))
    order = np.argsort(time, kind="stable")
    ordered = np.asarray(time, np.float64)[order]
    left = np.cumsum(ratio[order][::-1])[::-1]
    times, died = np.unique(ordered[event[order]], return_counts=True)
    at_risk = left[np.searchsorted(ordered, times, "left")]
    return Baseline(times, np.cumsum(died / at_risk), centre)
