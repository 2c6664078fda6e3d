"""The learners of a block: each says what it should, and survives what tables hold."""

from __future__ import annotations

import numpy as np
import pytest
from survive_cohorts import simulated

from mmtool.models.survival.cox import log_likelihood, positive_cox, ridge_cox, standing
from mmtool.models.survival.folds import assign_folds
from mmtool.models.survival.forest import fit_forest
from mmtool.models.survival.linear import directions, fit_linear
from mmtool.models.survival.scaling import Scaler
from mmtool.models.survival.statistics.concordance import harrell
from mmtool.survival import Outcome

RNG = np.random.default_rng(1)


def slow_likelihood(outcome: Outcome, risk: np.ndarray) -> float:
    """Breslow's partial log likelihood, written as the formula stands."""
    total = 0.0
    for time, event, own in zip(outcome.time, outcome.event, risk, strict=True):
        if event:
            total += own - np.log(np.exp(risk[outcome.time >= time]).sum())
    return total


@pytest.fixture
def tied() -> tuple[np.ndarray, Outcome]:
    x = RNG.normal(size=(60, 4))
    time = np.ceil(RNG.exponential(5 * np.exp(-x[:, 0])))
    return x, Outcome(time, RNG.random(60) < 0.7)


def test_partial_likelihood_with_ties(tied: tuple[np.ndarray, Outcome]) -> None:
    x, outcome = tied
    for risk in (np.zeros(60), x[:, 0], 3 * x[:, 1]):
        assert log_likelihood(outcome, risk) == pytest.approx(slow_likelihood(outcome, risk))


def test_ridge_is_at_the_top_of_its_objective(tied: tuple[np.ndarray, Outcome]) -> None:
    x, outcome = tied
    beta = ridge_cox(x, outcome, 2.0)

    def objective(b: np.ndarray) -> float:
        return slow_likelihood(outcome, x @ b) - float(b @ b)

    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-4
        slope = (objective(beta + step) - objective(beta - step)) / 2e-4
        assert abs(slope) < 1e-2
    assert np.abs(ridge_cox(x, outcome, 1e6)).max() < 1e-3


def test_positive_weights_are_the_best_ones(tied: tuple[np.ndarray, Outcome]) -> None:
    x, outcome = tied
    x = np.stack([x[:, 0], -x[:, 0] + 0.1 * x[:, 1], x[:, 2]], axis=1)
    around = np.full(3, 0.1)
    weights = positive_cox(x, outcome, 5.0, around)
    assert weights.min() >= 0

    def objective(w: np.ndarray) -> float:
        return slow_likelihood(outcome, x @ w) - 2.5 * float(((w - around) ** 2).sum())

    best = objective(weights)
    for _ in range(50):
        other = np.maximum(0, weights + RNG.normal(scale=0.05, size=3))
        assert objective(other) <= best + 1e-6
    assert standing(x[:, 0], outcome) > 2 > -2 > standing(x[:, 1], outcome)


def test_penalty_by_folds_keeps_signal_and_drops_noise() -> None:
    cohort, risk = simulated(200)
    outcome = cohort.known_outcome()
    x = cohort.blocks["rnaseq"].values.astype(np.float64)
    linear = fit_linear(x, outcome, 0, directions(x))
    assert np.corrcoef(linear.risk(x), risk)[0, 1] > 0.6
    assert np.allclose(linear.contributions(x).sum(axis=1), linear.risk(x))
    noise = RNG.normal(size=(200, 30))
    silent = fit_linear(noise, outcome, 0, directions(noise)).risk(noise)
    assert silent.std() < 0.6 * linear.risk(x).std()


def test_directions_of_more_columns_than_patients() -> None:
    x = RNG.normal(size=(20, 300))
    basis = directions(x)
    scores = x @ basis
    assert basis.shape == (300, 20)
    assert scores.std(axis=0).max() == pytest.approx(1, rel=0.2)
    assert np.allclose(np.corrcoef(scores.T) - np.eye(20), 0, atol=0.5)


def test_forest_finds_what_is_not_linear() -> None:
    x = RNG.normal(size=(300, 3))
    risk = 1.5 * (x[:, 0] * x[:, 1] > 0)
    died = RNG.exponential(np.exp(-risk))
    outcome = Outcome(died, RNG.random(300) < 0.8)
    new = RNG.normal(size=(300, 3))
    truth = RNG.exponential(np.exp(-1.5 * (new[:, 0] * new[:, 1] > 0)))
    forest = fit_forest(x, outcome, 0)
    assert harrell(truth, np.ones(300, np.bool_), forest.risk(new)) > 0.58
    assert forest.risk(x).mean() == pytest.approx(0, abs=1e-6)
    gaps = forest.contributions(new).sum(axis=1) - forest.risk(new)
    assert gaps.std() < 1e-5
    assert np.array_equal(forest.risk(new), fit_forest(x, outcome, 0).risk(new))


def test_scaler_takes_what_tables_hold() -> None:
    x = RNG.normal(size=(50, 5)).astype(np.float32)
    x[3, 0] = 36_893.0  # a published z-score
    x[:, 1] = 7.0
    x[:, 2] = np.nan
    x[:, 3] = RNG.random(50) < 0.1
    x[5, 4] = np.nan
    scaler = Scaler.fit(x, counts=True)
    z = scaler(x)
    assert np.isfinite(z).all()
    assert np.abs(z).max() < 8
    assert np.abs(z[:, [0, 3, 4]].std(axis=0) - 1).max() < 1e-6
    assert not z[:, 1:3].any()
    assert np.abs(scaler(np.full((1, 5), 1e30, np.float32))).max() < 20


def test_counts_are_logged_and_clinical_numbers_are_not() -> None:
    x = RNG.exponential(300, size=(80, 4)).astype(np.float32)
    assert Scaler.fit(x, counts=True).log
    assert not Scaler.fit(x, counts=False).log
    assert not Scaler.fit(x - 50, counts=True).log


def test_folds_share_out_events_and_keep_groups() -> None:
    outcome = Outcome(RNG.exponential(size=103), RNG.random(103) < 0.3)
    fold = assign_folds(outcome, 5, 0)
    sizes = np.bincount(fold)
    events = np.bincount(fold, outcome.event)
    assert sizes.max() - sizes.min() <= 1
    assert events.max() - events.min() <= 1
    assert np.array_equal(fold, assign_folds(outcome, 5, 0))
    assert not np.array_equal(fold, assign_folds(outcome, 5, 1))
    groups = RNG.choice(["a", "b", "c", "d", "e", "f", "g"], size=103).astype(np.str_)
    grouped = assign_folds(outcome, 3, 0, groups)
    assert all(len(set(grouped[groups == g])) == 1 for g in set(groups))
    assert set(grouped) == {0, 1, 2}
