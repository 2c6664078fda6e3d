"""Statistics of time to event: against scikit-survival, plain loops, and by their properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from survival_cohort import made_cohort
from survival_facts import FACTS, computed

from mmtool.models.survival.statistics.auc import cumulative_dynamic_auc, mean_auc
from mmtool.models.survival.statistics.breslow import breslow
from mmtool.models.survival.statistics.brier import brier
from mmtool.models.survival.statistics.calibration import (
    calibration_points,
    calibration_slope,
    d_calibration,
    in_the_large,
    observed_over_expected,
)
from mmtool.models.survival.statistics.concordance import (
    concordance,
    harrell,
    uno,
    uno_weights,
)
from mmtool.models.survival.statistics.kaplan_meier import (
    censoring,
    kaplan_meier,
    product_limit,
)
from mmtool.models.survival.statistics.log_rank import log_rank

FEW = settings(max_examples=40)
Cohort = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def cohorts(draw: st.DrawFn, distinct: bool = False) -> Cohort:
    """Up to 30 patients; times and risks are few, so ties are many, or all differ."""
    n = draw(st.integers(1, 30))
    if distinct:
        time = np.array(draw(st.permutations(range(1, n + 1))), float)
        risk = np.array(draw(st.permutations(range(n))), float) / 7
    else:
        time = draw(arrays(float, n, elements=st.integers(1, 9).map(float)))
        risk = draw(arrays(float, n, elements=st.integers(-3, 3).map(float)))
    event = draw(arrays(bool, n))
    return time, event, risk


def plain_concordance(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> float:
    """Harrell's C, pair by pair."""
    agree = compared = 0.0
    for i in np.flatnonzero(event):
        for j in range(len(time)):
            if time[j] > time[i] or (time[j] == time[i] and not event[j]):
                compared += 1
                agree += 0.5 if abs(risk[j] - risk[i]) <= 1e-8 else float(risk[j] < risk[i])
    return agree / compared if compared else math.nan


@pytest.mark.parametrize("name", FACTS["made"])
def test_figures_are_those_of_the_oracle(name: str) -> None:
    found = computed(*made_cohort())[name]
    np.testing.assert_allclose(found, FACTS["made"][name], rtol=1e-8, atol=1e-8)


@FEW
@given(cohorts())
def test_concordance_is_that_of_all_pairs(cohort: Cohort) -> None:
    assert harrell(*cohort) == pytest.approx(plain_concordance(*cohort), nan_ok=True)


@FEW
@given(cohorts())
def test_concordance_knows_only_the_order_of_risks(cohort: Cohort) -> None:
    time, event, risk = cohort
    want = harrell(*cohort)
    assert harrell(time, event, np.exp(risk) + 3) == pytest.approx(want, nan_ok=True)
    mix = np.random.default_rng(0).permutation(len(time))
    assert harrell(time[mix], event[mix], risk[mix]) == pytest.approx(want, nan_ok=True)


@FEW
@given(cohorts())
def test_reversed_risks_turn_concordance_over(cohort: Cohort) -> None:
    """Ties count a half on both sides, so this holds with them as well."""
    time, event, risk = cohort
    assert harrell(time, event, -risk) == pytest.approx(1 - harrell(*cohort), nan_ok=True)
    assert uno(time, event, -risk, 8.0) == pytest.approx(1 - uno(*cohort, 8.0), nan_ok=True)


@FEW
@given(cohorts(distinct=True))
def test_without_censoring_uno_is_harrell(cohort: Cohort) -> None:
    time, event, risk = cohort
    event = np.ones_like(event)
    assert uno(time, event, risk, 99.0) == pytest.approx(harrell(time, event, risk), nan_ok=True)


@FEW
@given(cohorts(), st.integers(0, 99))
def test_a_weight_is_a_repeated_patient(cohort: Cohort, seed: int) -> None:
    """What bootstrap replicates rest on: every measure of weights is that of repeated rows."""
    time, event, risk = cohort
    draw = np.random.default_rng(seed)
    taken = draw.integers(len(time), size=len(time))
    weights = np.bincount(taken, minlength=len(time))[None, :].astype(float)
    at = np.array([2.0, 5.0])
    survival = np.stack([1 / (1 + np.exp(risk)), 0.5 / (1 + np.exp(risk))], 1)
    own = breslow(time, event, risk).curves(risk, time).diagonal()
    again = time[taken], event[taken], risk[taken]
    tau = uno_weights(time, censoring(time, event, weights), 7.0)
    for found, wanted in (
        (concordance(*cohort, weights), harrell(*again)),
        (concordance(*cohort, weights, tau), uno(*again, 7.0)),
        (
            cumulative_dynamic_auc(*cohort, at, weights=weights)[0],
            cumulative_dynamic_auc(*again, at)[0],
        ),
        (
            brier(time, event, survival, at, weights=weights),
            brier(*again[:2], survival[taken], at),
        ),
        (calibration_slope(*cohort, weights), calibration_slope(*again)),
        (in_the_large(event, own, weights), in_the_large(event[taken], own[taken])),
        (
            observed_over_expected(time, event, survival, at, weights),
            observed_over_expected(*again[:2], survival[taken], at),
        ),
    ):
        np.testing.assert_allclose(found, np.squeeze(wanted).reshape(np.shape(found)), 1e-6, 1e-9)


@FEW
@given(cohorts())
def test_curves_fall_within_their_intervals(cohort: Cohort) -> None:
    time, event, risk = cohort
    curve = kaplan_meier(time, event)
    assert (np.diff(curve.survival) <= 0).all()
    assert ((curve.low <= curve.survival) & (curve.survival <= curve.high)).all()
    assert ((curve.low >= 0) & (curve.high <= 1)).all()
    assert curve.at_risk[0] == len(time)
    assert curve.number_at_risk(np.array([0.0, 99.0])).tolist() == [len(time), 0]
    predicted = breslow(time, event, risk).curves(risk, np.arange(12.0))
    assert (np.diff(predicted, axis=1) <= 0).all()
    assert (predicted[:, 0] == 1).all()


@FEW
@given(cohorts())
def test_events_and_censoring_share_the_patients(cohort: Cohort) -> None:
    """With events first at a tie, S(t) G(t) is the share of patients still observed."""
    time, event, _ = cohort
    at = np.arange(10.0)
    both = product_limit(time, event).at(at) * censoring(time, event).at(at)
    np.testing.assert_allclose(both[0], (time[None] > at[:, None]).mean(1), atol=1e-12)


@FEW
@given(cohorts())
def test_log_rank_of_the_same_group_twice_is_nothing(cohort: Cohort) -> None:
    time, event, _ = cohort
    twice = np.tile(time, 2), np.tile(event, 2), np.repeat([4, 9], len(time))
    found = log_rank(*twice)
    assert found.groups.tolist() == [4, 9]
    assert np.isnan(found.statistic) or found.statistic == pytest.approx(0, abs=1e-9)
    assert found.observed.sum() == pytest.approx(found.expected.sum())


def test_log_rank_of_one_group_or_without_events_has_no_answer() -> None:
    time, event, _ = made_cohort()
    assert np.isnan(log_rank(time, event, np.zeros(len(time), int)).p)
    assert np.isnan(log_rank(time, np.zeros(len(time), bool), np.arange(len(time)) % 2).p)


def test_where_nobody_is_left_to_stand_for_the_censored_nothing_is_divided() -> None:
    """The last patient is censored: G is 0 there, and training times may end before ours."""
    time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, False])
    known = censoring(time, event)
    assert known.at(np.array([9.0]))[0, 0] == 0
    assert known.inverse(np.array([1.0, 9.0]))[0].tolist() == [1.0, 0.0]
    late = np.array([5.0, 6.0, 7.0, 8.0])
    risk = np.arange(4.0)
    assert np.isnan(uno(late, np.ones(4, bool), risk, 9.0, training=(time, event)))
    assert np.isnan(brier(late, event, np.ones((4, 1)) / 2, np.array([6.0]), known)).all()
    assert np.isfinite(brier(time, event, np.ones((4, 1)) / 2, np.array([3.0]))).all()


def test_times_out_of_range_have_no_auc() -> None:
    time, event, risk = made_cohort()
    at = np.array([0.0, 60.0, 1e6])
    areas = cumulative_dynamic_auc(time, event, risk, at)
    assert np.isnan(areas[0]).tolist() == [True, False, True]
    assert mean_auc(time, event, areas, at)[0] == pytest.approx(areas[0, 1])
    assert np.isnan(observed_over_expected(time, event, np.ones((80, 1)) / 2, at[2:])).all()


@pytest.mark.parametrize("event", [True, False])
def test_one_patient(event: bool) -> None:
    time, died, risk = np.array([3.0]), np.array([event]), np.array([0.2])
    curve = kaplan_meier(time, died)
    assert curve.survival.tolist() == [0.0 if event else 1.0]
    assert np.isnan(harrell(time, died, risk))
    assert np.isnan(calibration_slope(time, died, risk)).all()
    assert (breslow(time, died, risk).curves(risk, time)[0, 0] < 0.5) == event


def test_curves_of_the_true_hazards_are_calibrated() -> None:
    """Exponential times: the slope is 1, in the large 0, and the tests see nothing."""
    draw = np.random.default_rng(4)
    risk = draw.normal(size=4000)
    died = draw.exponential(10 / np.exp(risk))
    censored = draw.uniform(0, 25, 4000)
    time, event = np.minimum(died, censored), died <= censored
    own = np.exp(-time / 10 * np.exp(risk))
    at = np.exp(-8 / 10 * np.exp(risk))
    assert calibration_slope(time, event, risk)[0] == pytest.approx(1, abs=0.05)
    assert in_the_large(event, own)[0] == pytest.approx(0, abs=0.06)
    assert observed_over_expected(time, event, at[:, None], np.array([8.0]))[0, 0] == pytest.approx(
        1, abs=0.05
    )
    assert d_calibration(event, own).p > 0.05
    points = calibration_points(time, event, at, 8.0)
    assert points.p > 0.05
    assert len(points.patients) == 10
    assert ((points.low <= points.predicted) & (points.predicted <= points.high)).sum() >= 8
    # half the risk, twice the hazard: told by slope and level
    assert calibration_slope(time, event, risk / 2)[0] == pytest.approx(2, abs=0.1)
    assert in_the_large(event, own**2)[0] == pytest.approx(-math.log(2), abs=0.06)
    assert d_calibration(event, own**2).p < 1e-6
    assert calibration_points(time, event, at**2, 8.0).p < 1e-6


def test_d_calibration_spreads_the_censored() -> None:
    """A censored patient with S = 0.25 is 40 % in each whole tenth below, 20 % in the half one."""
    found = d_calibration(np.array([False, True]), np.array([0.25, 0.95]))
    wanted = np.zeros(10)
    wanted[:3], wanted[9] = (0.2, 0.2, 0.1), 0.5
    np.testing.assert_allclose(found.shares, wanted)
    assert d_calibration(np.array([False]), np.array([0.0])).shares[0] == 1


def test_d_calibration_is_that_of_survivaleval() -> None:
    """Figures of SurvivalEVAL 0.9.0."""
    time, event, risk = made_cohort()
    own = breslow(time, event, risk).curves(risk, time).diagonal()
    found = d_calibration(event, own)
    assert found.statistic == pytest.approx(4.590527232838718)
    assert found.p == pytest.approx(0.8684440478946677)
    assert found.shares[[0, -1]] * 80 == pytest.approx([8.87380161, 10.22743778])


@pytest.mark.parametrize(("n", "lost_by"), [(100, 25.0), (400, 25.0)])
def test_true_predictions_are_rarely_called_wrong(n: int, lost_by: float) -> None:
    """The share of p < 0.05 of 1-calibration is near 0.05, that of D-calibration is not above."""
    draw = np.random.default_rng(0)
    single, whole = [], []
    for _ in range(150):
        risk = draw.normal(size=n)
        died, lost = draw.exponential(10 / np.exp(risk)), draw.uniform(0, lost_by, n)
        time, event = np.minimum(died, lost), died <= lost
        at = np.exp(-8 / 10 * np.exp(risk))
        single.append(calibration_points(time, event, at, 8.0, n // 20).p)
        whole.append(d_calibration(event, np.exp(-time / 10 * np.exp(risk))).p)
    assert np.mean(np.array(single) < 0.05) < 0.12
    assert np.mean(np.array(whole) < 0.05) < 0.07


def test_risks_that_separate_the_patients_have_no_slope() -> None:
    time, risk = np.array([1.0, 2.0, 3.0, 4.0]), np.array([4.0, 3.0, 2.0, 1.0])
    assert np.isnan(calibration_slope(time, np.ones(4, bool), risk)).all()
