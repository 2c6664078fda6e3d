"""Survival in intervals."""

import numpy as np
import pytest
import torch

from mmtool.models.survival.network.hazards import (
    Bins,
    Calibration,
    as_if_present,
    balance,
    log_risk,
    nll,
)
from mmtool.survival import Outcome


def _outcome(patients: int = 200) -> Outcome:
    rng = np.random.default_rng(0)
    time = rng.exponential(10, patients) + 0.1
    return Outcome(time, rng.random(patients) < 0.6)


def test_intervals_are_quartiles_of_the_times_of_events() -> None:
    outcome = _outcome()
    bins = Bins.fit(outcome)
    died = outcome.time[outcome.event]
    assert bins.edges == pytest.approx(np.quantile(died, (0.25, 0.5, 0.75)))
    counts = np.bincount(bins.label(died))
    assert counts.max() - counts.min() <= 1
    censored = Outcome(np.where(outcome.event, outcome.time, 1e3), outcome.event)
    assert bins.edges == pytest.approx(Bins.fit(censored).edges)


def test_events_at_one_time_make_fewer_intervals() -> None:
    bins = Bins.fit(Outcome(np.array([1.0, 1, 1, 1, 1, 5, 9]), np.ones(7, np.bool_)))
    assert len(bins) < 4
    assert np.isfinite(bins.share).all()


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_the_likelihood_is_that_of_the_intervals(alpha: float) -> None:
    logits = torch.randn(5, 4, dtype=torch.float64)
    label = torch.tensor([0, 1, 2, 3, 3])
    event = torch.tensor([True, False, True, True, False])
    hazard = logits.sigmoid()
    left = (1 - hazard).cumprod(dim=1)
    want = []
    for i in range(5):
        before = left[i, label[i] - 1] if label[i] else torch.tensor(1.0)
        dead = -torch.log(before) - torch.log(hazard[i, label[i]])
        value = dead if event[i] else -(1 - alpha) * torch.log(left[i, label[i]])
        want.append(float(value))
    assert nll(logits, label, event, alpha).tolist() == pytest.approx(want)


def test_the_likelihood_keeps_a_gradient_where_probabilities_vanish() -> None:
    logits = torch.full((1, 4), -40.0, requires_grad=True)
    nll(logits, torch.tensor([0]), torch.tensor([True])).sum().backward()
    assert logits.grad is not None
    assert float(logits.grad[0, 0]) == pytest.approx(-1.0)


def test_curves_fall_and_meet_the_hazards_at_the_end_of_each_interval() -> None:
    outcome = _outcome()
    bins = Bins.fit(outcome)
    logits = np.random.default_rng(1).normal(size=(3, 4))
    curves = bins.curves(logits)
    assert (np.diff(curves, axis=1) <= 1e-12).all()
    ends = np.append(np.searchsorted(bins.times, bins.edges, "left") - 1, len(bins.times) - 1)
    survival = np.cumprod(1 - 1 / (1 + np.exp(-logits)), axis=1)
    assert curves[:, ends] == pytest.approx(survival)


def test_calibration_makes_as_many_events_as_there_were() -> None:
    outcome = _outcome(600)
    bins = Bins.fit(outcome)
    logits = np.random.default_rng(1).normal(size=(600, 4)) + 3.0  # far too high
    made = Calibration.fit(logits, outcome, bins)
    curves = bins.curves(made(logits))
    place = np.searchsorted(bins.times, outcome.time, "right") - 1
    expected = -np.log(np.where(place >= 0, curves[np.arange(600), place], 1.0)).sum()
    assert expected == pytest.approx(outcome.event.sum(), rel=0.15)
    assert 0.05 <= made.slope < 0.3  # the logits say nothing


def test_calibration_never_turns_the_order_round() -> None:
    outcome = _outcome(300)
    bins = Bins.fit(outcome)
    wrong = np.tile(np.where(outcome.time < np.median(outcome.time), -2.0, 2.0)[:, None], (1, 4))
    assert Calibration.fit(wrong, outcome, bins).slope == 0.05


def test_risk_is_the_published_order_on_a_log_scale() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 4))
    survival = np.cumprod(1 - 1 / (1 + np.exp(-logits)), axis=1)
    published = -survival.sum(axis=1)
    assert (np.argsort(published) == np.argsort(log_risk(logits))).all()


def test_classes_weigh_the_same() -> None:
    label, event = torch.tensor([0, 0, 0, 1]), torch.tensor([True, True, True, False])
    weight = balance(label, event)
    assert float(weight[:3].sum()) == pytest.approx(float(weight[3]))
    assert float(weight.mean()) == pytest.approx(1.0)


def test_those_who_have_a_modality_stand_for_all_of_their_class() -> None:
    label, event = torch.tensor([0, 0, 0, 1, 1]), torch.ones(5, dtype=torch.bool)
    there = torch.tensor([[True, False, False, True, True]]).T
    weight = as_if_present(label, event, there)[:, 0]
    assert weight.tolist() == [3, 0, 0, 1, 1]
    everyone = torch.ones(5, 1, dtype=torch.bool)
    assert as_if_present(label, event, everyone).flatten().tolist() == [1] * 5
