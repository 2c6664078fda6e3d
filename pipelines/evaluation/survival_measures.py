"""How well predicted risks and curves agree with what happened, with intervals.

Intervals are from the bootstrap over patients. A replicate is a count for each patient, so that
many replicates are one matrix (:mod:`mmtool.models.survival.statistics`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmtool.models.survival.statistics.calibration import d_calibration
from mmtool.models.survival.statistics.kaplan_meier import (
    Floats,
    Steps,
    censoring,
    product_limit,
)
from mmtool.pipelines.evaluation.binding_measures import Estimate
from mmtool.pipelines.evaluation.survival_figures import (
    Sample,
    draw,
    figures,
    references,
    sample_of,
)
from mmtool.survival import Outcome, Prediction

SCHEMA = 1
FEW_EVENTS = 10
# Name -> what it is, the DOI of the paper, and the value of a perfect model.
METHODS = {
    "harrell_c": (
        "Harrell's concordance index",
        "10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4",
        1.0,
    ),
    "uno_c": ("Uno's concordance index up to tau", "10.1002/sim.4154", 1.0),
    "auc": ("cumulative/dynamic AUC at the horizon", "10.1198/016214507000000149", 1.0),
    "mean_auc": ("mean AUC up to tau, weighted by events", "10.1177/0962280213515571", 1.0),
    "brier": (
        "Brier score at the horizon",
        "10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5",
        0.0,
    ),
    "ibs": (
        "integrated Brier score: its mean over time up to tau",
        "10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5",
        0.0,
    ),
    "observed_over_expected": (
        "share with the event by the horizon (Kaplan-Meier) over the mean predicted share",
        "10.7326/M22-0844",
        1.0,
    ),
    "calibration_slope": ("coefficient of log(-log S(tau)) in Cox", "10.7326/M22-0844", 1.0),
    "calibration_in_the_large": (
        "log of events over predicted events",
        "10.1177/0962280213497434",
        0.0,
    ),
}
_TAU = 0.9  # share of the patients whose time is before tau


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        name: One of `METHODS`.
        horizon: Time that it is of, in the unit of the outcome; None where it is of all.
        estimate: Value and interval; NaN where there is no answer.
        reference: The same of a prediction that knows no patient, the Kaplan-Meier curve for
            everybody; None where that has none.
    """

    name: str
    horizon: float | None
    estimate: Estimate
    reference: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain dict."""
        method, doi, perfect = METHODS[self.name]
        found = self.estimate
        return {
            "name": self.name,
            "horizon": self.horizon,
            "value": _number(found.value),
            "low": _number(found.low),
            "high": _number(found.high),
            "reference": None if self.reference is None else _number(self.reference),
            "perfect": perfect,
            "method": method,
            "doi": doi,
        }


@dataclass(frozen=True)
class SurvivalMeasures:
    """All that was measured.

    Attributes:
        patients: That were measured.
        events: Among them.
        unpredicted: Patients without a risk, who were not measured.
        tau: Time up to which Uno's C, the mean AUC and the integrated Brier score look.
        horizons: Times of the measures that are of one time.
        censoring: Whose censoring the weights are from, ``training`` or ``evaluated``.
        measures: In the order of `METHODS`.
        d_calibration: Statistic, p and the share of each tenth with its interval.
        replicates: Of the bootstrap.
        seed: Of its draws.
        warnings: Plain sentences.
    """

    patients: int
    events: int
    unpredicted: int
    tau: float
    horizons: tuple[float, ...]
    censoring: str
    measures: tuple[Measure, ...]
    d_calibration: dict[str, Any]
    replicates: int
    seed: int
    warnings: tuple[str, ...]

    def value(self, name: str, horizon: float | None = None) -> Estimate:
        """The estimate of a measure."""
        return next(m.estimate for m in self.measures if (m.name, m.horizon) == (name, horizon))

    def to_json(self) -> dict[str, Any]:
        """Content of ``metrics.json``."""
        return {
            "schema": SCHEMA,
            "patients": self.patients,
            "events": self.events,
            "unpredicted": self.unpredicted,
            "tau": _number(self.tau),
            "horizons": list(self.horizons),
            "censoring_from": self.censoring,
            "intervals": {
                "kind": "percentile bootstrap over patients",
                "level": 0.95,
                "replicates": self.replicates,
                "seed": self.seed,
            },
            "measures": [m.to_json() for m in self.measures],
            "d_calibration": self.d_calibration,
            "warnings": list(self.warnings),
        }


def measure_survival(
    outcome: Outcome,
    prediction: Prediction,
    *,
    training: Outcome | None = None,
    horizons: Sequence[float] = (),
    tau: float | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> SurvivalMeasures:
    """Measure a prediction.

    Args:
        outcome: Of the predicted patients.
        prediction: Of them, in the same order. Who has no risk is left out and counted.
        training: Outcome of the patients that the model was trained on: their censoring weighs
            the observed, and their Kaplan-Meier curve is the reference. The patients' own when
            None.
        horizons: Times, in the unit of the outcome; by default those by which a quarter, half
            and three quarters of the observed events had happened.
        tau: Last time that counts. By default nine tenths of the patients have a shorter time:
            beyond, the weight of the few who are left would decide. It is never later than the
            last time at which training patients were still observed.
        replicates: Of the bootstrap.
        seed: Of its draws.
    """
    there = np.isfinite(prediction.risk)
    outcome = outcome.subset(np.flatnonzero(there))
    warnings = _warnings(outcome, int((~there).sum()))
    known = training or outcome
    last, last_warnings = _last(outcome, censoring(known.time, known.event), tau)
    wanted = np.unique(np.array(horizons or _quartiles(outcome, last), np.float64))
    warnings += last_warnings + _horizon_warnings(outcome, wanted, last)
    sample = sample_of(outcome, prediction, there, wanted, last, training)
    flat = product_limit(known.time, known.event)
    point = figures(sample, np.ones((1, len(outcome))))
    reference = references(sample, flat)
    drawn, shares = draw(sample, replicates, seed)
    measures = tuple(
        Measure(key[0], key[1], _interval(float(value[0]), drawn[key]), reference.get(key))
        for key, value in point.items()
    )
    return SurvivalMeasures(
        patients=len(outcome),
        events=int(outcome.event.sum()),
        unpredicted=int((~there).sum()),
        tau=last,
        horizons=tuple(wanted.tolist()),
        censoring="training" if training else "evaluated",
        measures=tuple(sorted(measures, key=lambda m: list(METHODS).index(m.name))),
        d_calibration=_d_calibration(sample, shares),
        replicates=replicates,
        seed=seed,
        warnings=tuple(warnings),
    )


def _warnings(outcome: Outcome, unpredicted: int) -> list[str]:
    events = int(outcome.event.sum())
    out = []
    if unpredicted:
        out.append(f"{unpredicted} patients have no predicted risk and are not measured")
    if events < FEW_EVENTS:
        out.append(f"only {events} events: fewer than {FEW_EVENTS} say little about any model")
    return out


def _last(outcome: Outcome, known: Steps, tau: float | None) -> tuple[float, list[str]]:
    """Tau, and what is to be told of it."""
    if not len(outcome):
        return float("nan"), []
    observed = known.times[known.values[0] > 0]
    bound = min(float(outcome.time.max()), float(observed[-1]) if len(observed) else 0.0)
    if tau is None:
        return min(float(np.quantile(outcome.time, _TAU)), bound), []
    if tau > bound:
        return bound, [f"tau {tau:g} is after the last time observed; {bound:g} is used"]
    return tau, []


def _quartiles(outcome: Outcome, last: float) -> list[float]:
    died = outcome.time[outcome.event & (outcome.time <= last)]
    return np.quantile(died, (0.25, 0.5, 0.75)).tolist() if len(died) else []


def _horizon_warnings(outcome: Outcome, horizons: Floats, last: float) -> list[str]:
    if not len(horizons) or not outcome.event.any():
        return []
    first, end = float(outcome.time[outcome.event].min()), float(outcome.time.max())
    out = [
        f"horizon {h:g} is outside the observed times ({first:g} to {end:g}): no answer there"
        for h in horizons
        if not first <= h < end
    ]
    return out + [
        f"horizon {h:g} is after tau ({last:g}): few were observed so long"
        for h in horizons
        if last < h < end
    ]


def _interval(value: float, drawn: Floats) -> Estimate:
    """95 % percentile interval, stretched to hold the value as cards want it.

    Its ends are NaN if more than half the replicates have no answer.
    """
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or 2 * len(known) < len(drawn) or not len(known):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(known, (0.025, 0.975))
    return Estimate(value, min(float(low), value), max(float(high), value))


def _d_calibration(s: Sample, shares: Floats) -> dict[str, Any]:
    found = d_calibration(s.event, s.own)
    low, high = (
        np.quantile(shares, (0.025, 0.975), axis=0) if len(shares) else np.full((2, 10), np.nan)
    )
    return {
        "statistic": _number(found.statistic),
        "p": _number(found.p),
        "shares": [_number(v) for v in found.shares],
        "shares_low": [_number(v) for v in low],
        "shares_high": [_number(v) for v in high],
        "method": "share of the patients in each tenth of predicted S at their own time",
        "doi": "10.48550/arXiv.1811.11347",
    }


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
