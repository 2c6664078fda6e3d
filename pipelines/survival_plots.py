"""The pictures of survival: curves by risk group, and predicted against observed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmtool.io.writers.calibration_figure import ObservedGroup, write_calibration
from mmtool.io.writers.km_figure import CurveOfGroup, write_km
from mmtool.models.survival.statistics.calibration import (
    calibration_points,
    observed_over_expected,
)
from mmtool.models.survival.statistics.kaplan_meier import Floats, kaplan_meier
from mmtool.models.survival.statistics.log_rank import log_rank
from mmtool.pipelines.evaluation.survival_figures import curve_at
from mmtool.survival import Outcome, Prediction

GROUPS = {
    1: ("all patients",),
    2: ("low risk", "high risk"),
    3: ("low risk", "middle risk", "high risk"),
    4: ("lowest risk", "low risk", "high risk", "highest risk"),
}
_FEWEST = 5  # patients of a group of risk
_OBSERVED = 10  # groups of the calibration, and patients of each at least


def risk_cuts(risk: Floats, groups: int) -> Floats:
    """Risks that part patients into groups of equal size; fewer groups if patients are few.

    Args:
        risk: (N,), of the training patients where they are known; NaN is left out.
        groups: 1 to 4.
    """
    known = risk[np.isfinite(risk)]
    groups = max(1, min(groups, len(known) // _FEWEST))
    return np.quantile(known, np.arange(1, groups) / groups) if groups > 1 else np.empty(0)


def draw_km(
    path: Path,
    outcome: Outcome,
    risk: Floats,
    *,
    cuts: Sequence[float] | Floats,
    unit: str = "",
    title: str = "Survival by predicted risk",
) -> float:
    """Write ``km.png``.

    Args:
        path: Target.
        outcome: Of N patients.
        risk: (N,) higher is worse; patients with NaN are left out.
        cuts: Ascending risks that part the groups, at most three (:func:`risk_cuts`).
        unit: Of time.
        title: Above the plot.

    Returns:
        P of the log-rank test; NaN when there is one group, or no event.
    """
    there = np.flatnonzero(np.isfinite(risk))
    outcome, member = outcome.subset(there), np.searchsorted(cuts, risk[there], "right")
    names = GROUPS[len(cuts) + 1]
    curves = [_group(names[k], outcome, member == k) for k in np.unique(member)]
    p = log_rank(outcome.time, outcome.event, member).p
    write_km(path, curves, title=title, unit=unit, caption=_of_p(p))
    return p


def _group(name: str, outcome: Outcome, inside: NDArray[np.bool_]) -> CurveOfGroup:
    time, event = outcome.time[inside], outcome.event[inside]
    curve = kaplan_meier(time, event)
    return CurveOfGroup(
        name, curve.times, curve.survival, curve.low, curve.high, time, time[~event]
    )


def _of_p(p: float) -> str:
    if not np.isfinite(p):
        return "no log-rank test: one group, or no event"
    return "log-rank p < 0.0001" if p < 1e-4 else f"log-rank p = {p:.2g}"


def draw_calibration(
    path: Path, outcome: Outcome, prediction: Prediction, horizon: float, unit: str = ""
) -> None:
    """Write ``calibration.png``.

    Args:
        path: Target.
        outcome: Of the predicted patients; those without a risk are left out.
        prediction: Of them.
        horizon: Time by which the event is predicted.
        unit: Of time.
    """
    there = np.flatnonzero(np.isfinite(prediction.risk))
    outcome = outcome.subset(there)
    at = np.array([horizon])
    survival = curve_at(prediction.times, prediction.survival[there], at[None, :])
    count = max(1, min(_OBSERVED, len(outcome) // _OBSERVED))
    points = calibration_points(outcome.time, outcome.event, survival[:, 0], horizon, count)
    ratio = float(observed_over_expected(outcome.time, outcome.event, survival, at)[0, 0])
    words = [f"n = {len(outcome)}, events = {int(outcome.event.sum())}"]
    if np.isfinite(ratio):
        words.append(f"O/E = {ratio:.2f}")
    if np.isfinite(points.p):
        words.append(f"1-calibration p = {points.p:.2g}")
    columns = (points.patients, points.predicted, points.observed, points.low, points.high)
    groups = [ObservedGroup(int(n), *map(float, rest)) for n, *rest in zip(*columns, strict=True)]
    title = f"Event by {horizon:.4g} {unit}".rstrip()
    write_calibration(path, groups, 1 - survival[:, 0], title=title, caption="; ".join(words))
