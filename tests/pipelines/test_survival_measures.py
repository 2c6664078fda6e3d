"""Measures of survival with intervals: values, honesty of the intervals, and hard outcomes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from survival_cohort import made_cohort
from survival_facts import FACTS

from mmtool.models.survival.statistics.breslow import breslow
from mmtool.pipelines.evaluation.survival_figures import curve_at
from mmtool.pipelines.evaluation.survival_measures import (
    METHODS,
    SurvivalMeasures,
    measure_survival,
)
from mmtool.survival import Outcome, Prediction


def predicted(risk: np.ndarray, times: np.ndarray, survival: np.ndarray) -> Prediction:
    """A prediction of one modality."""
    return Prediction(
        risk, times, survival, ("clinical",), np.ones((len(risk), 1), bool), risk[:, None]
    )


def cohort(n: int, seed: int = 0) -> tuple[Outcome, Prediction]:
    """Patients with exponential times, some censored, and the true prediction."""
    draw = np.random.default_rng(seed)
    risk = draw.normal(size=n)
    died, lost = draw.exponential(10 / np.exp(risk)), draw.uniform(0, 30, n)
    times = np.linspace(0.1, 30, 200)
    survival = np.exp(-times[None] / 10 * np.exp(risk)[:, None])
    return Outcome(np.minimum(died, lost), died <= lost), predicted(risk, times, survival)


def made() -> tuple[Outcome, Prediction]:
    """The cohort of the oracle, its prediction fitted to itself as there."""
    time, event, risk = made_cohort()
    times = np.unique(time)
    return Outcome(time, event), predicted(
        risk, times, breslow(time, event, risk).curves(risk, times)
    )


def test_values_are_those_of_the_oracle() -> None:
    outcome, prediction = made()
    horizons = np.quantile(outcome.time, [0.1, 0.25, 0.5, 0.75, 0.9]).tolist()
    found = measure_survival(
        outcome, prediction, horizons=horizons, tau=horizons[-1], replicates=20
    )
    want = FACTS["made"]
    assert found.value("harrell_c").value == pytest.approx(want["harrell"])
    assert found.value("uno_c").value == pytest.approx(want["uno"])
    assert [found.value("auc", h).value for h in horizons] == pytest.approx(want["auc"])
    assert [found.value("brier", h).value for h in horizons] == pytest.approx(want["brier"])
    assert found.value("calibration_slope").value == pytest.approx(want["slope"])


def test_tau_leaves_a_tenth_of_the_patients_beyond() -> None:
    outcome, prediction = made()
    found = measure_survival(outcome, prediction, replicates=2)
    assert (outcome.time > found.tau).mean() == pytest.approx(0.1, abs=0.02)
    assert len(found.horizons) == 3


def test_content_of_metrics_json() -> None:
    outcome, prediction = made()
    text = measure_survival(outcome, prediction, replicates=50).to_json()
    again = measure_survival(outcome, prediction, replicates=50).to_json()
    assert json.dumps(text, allow_nan=False) == json.dumps(again)
    assert {m["name"] for m in text["measures"]} == set(METHODS)
    for m in text["measures"]:
        assert m["low"] <= m["value"] <= m["high"]
    assert text["events"] == 48
    assert text["patients"] == 80
    assert text["censoring_from"] == "evaluated"
    assert text["intervals"]["replicates"] == 50
    assert sum(text["d_calibration"]["shares"]) == pytest.approx(1)


def test_the_truth_is_calibrated_and_better_than_no_prediction() -> None:
    outcome, prediction = cohort(600)
    train, _ = cohort(400, seed=1)
    found = measure_survival(outcome, prediction, training=train, replicates=200)
    assert found.censoring == "training"
    for name in ("calibration_slope", "calibration_in_the_large"):
        estimate = found.value(name)
        assert estimate.low <= METHODS[name][2] <= estimate.high
    assert found.value("harrell_c").low > 0.65
    ibs = next(m for m in found.measures if m.name == "ibs")
    assert ibs.reference is not None
    assert ibs.estimate.high < ibs.reference
    assert found.d_calibration["p"] > 0.01
    assert not found.warnings


def test_intervals_hold_what_other_samples_show() -> None:
    """The spread of the bootstrap is about that of C over fresh cohorts."""
    values = [
        measure_survival(*cohort(120, seed=s), replicates=1).value("uno_c").value for s in range(60)
    ]
    estimate = measure_survival(*cohort(120), replicates=300).value("uno_c")
    assert estimate.high - estimate.low == pytest.approx(3.92 * np.std(values), rel=0.35)


def test_patients_without_a_risk_are_left_out_and_told() -> None:
    outcome, prediction = made()
    risk = prediction.risk.copy()
    risk[::8] = np.nan
    found = measure_survival(
        outcome, predicted(risk, prediction.times, prediction.survival), replicates=5
    )
    assert found.unpredicted == 10
    assert found.patients == 70
    assert "10 patients have no predicted risk" in found.warnings[0]


def nothing_but(found: SurvivalMeasures) -> set[str]:
    """Measures that have an answer."""
    return {m.name for m in found.measures if np.isfinite(m.estimate.value)}


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_patients(n: int) -> None:
    outcome, prediction = cohort(200)
    few = np.flatnonzero(outcome.event)[:n]
    some = predicted(prediction.risk[few], prediction.times, prediction.survival[few])
    found = measure_survival(outcome.subset(few), some, replicates=20)
    assert f"only {n} events" in found.warnings[0]
    json.dumps(found.to_json(), allow_nan=False)


def test_all_censored_leaves_only_what_needs_no_event() -> None:
    outcome, prediction = cohort(50)
    none = Outcome(outcome.time, np.zeros(50, bool))
    found = measure_survival(none, prediction, replicates=20)
    assert found.horizons == ()
    assert nothing_but(found) <= {"ibs"}
    json.dumps(found.to_json(), allow_nan=False)


def test_one_event() -> None:
    outcome, prediction = cohort(50)
    event = np.zeros(50, bool)
    event[np.argsort(outcome.time)[20]] = True
    found = measure_survival(Outcome(outcome.time, event), prediction, replicates=50)
    assert "only 1 events" in found.warnings[0]
    assert np.isfinite(found.value("harrell_c").value)
    json.dumps(found.to_json(), allow_nan=False)


def test_horizons_and_tau_out_of_range_are_answered() -> None:
    outcome, prediction = made()
    found = measure_survival(
        outcome, prediction, horizons=(0.5, 90.0, 9000.0), tau=1e9, replicates=20
    )
    assert found.tau <= outcome.time.max()
    assert np.isnan(found.value("brier", 9000.0).value)
    assert np.isnan(found.value("auc", 0.5).value)
    assert np.isfinite(found.value("auc", 90.0).value)
    assert sum("outside the observed times" in w for w in found.warnings) == 2
    assert any("tau 1e+09 is after" in w for w in found.warnings)


def test_training_patients_who_were_watched_for_less_time_bound_tau() -> None:
    outcome, prediction = cohort(100)
    short = Outcome(np.minimum(outcome.time, 3.0), outcome.event & (outcome.time <= 3.0))
    found = measure_survival(outcome, prediction, training=short, replicates=20)
    assert found.tau < 3.0
    assert np.isfinite(found.value("uno_c").value)
    assert np.isfinite(found.value("ibs").value)


def test_curves_are_steps() -> None:
    survival = np.array([[0.8, 0.5]])
    at = np.array([[0.5, 1.0, 1.5, 2.0, 9.0]])
    found = curve_at(np.array([1.0, 2.0]), survival, at)
    assert found.tolist() == [[1.0, 0.8, 0.8, 0.5, 0.5]]
