"""Survival in a few intervals of time: labels, likelihood, calibration, curves.

Hazards by interval and their likelihood as in MCAT (10.1109/ICCV48922.2021.00398), after Zadeh and
Schmid (10.1109/TPAMI.2020.2979450). Its intervals are cut from the whole cohort, the patients of
the evaluation among them; ours from the events of the training patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from mmtool.survival import Floats, Outcome

BINS = 4
_STEPS = 50
_LEAST_SLOPE = 0.05


@dataclass(frozen=True)
class Bins:
    """Intervals of time.

    Attributes:
        edges: (K - 1,) ascending; an interval begins at its edge, the last one has no end.
        times: (U,) ascending, when a training patient had the event.
        share: (U,) how much of the interval's hazard has passed at each of them, by the
            Nelson-Aalen curve of the training patients: 1 at the last of its interval.
    """

    edges: Floats
    times: Floats
    share: Floats

    @classmethod
    def fit(cls, outcome: Outcome) -> Bins:
        """Cut at the quartiles of the times of events."""
        died = outcome.time[outcome.event]
        edges = np.unique(np.quantile(died, np.arange(1, BINS) / BINS))
        edges = edges[edges > died.min()]  # an interval without events says nothing
        times, count = np.unique(died, return_counts=True)
        ordered = np.sort(outcome.time)
        step = count / (len(ordered) - np.searchsorted(ordered, times, "left"))
        own = np.searchsorted(edges, times, "right")
        whole = np.bincount(own, step, minlength=len(edges) + 1)
        before = np.append(0.0, np.cumsum(whole))[own]
        return cls(edges, times, (np.cumsum(step) - before) / whole[own])

    def __len__(self) -> int:
        return len(self.edges) + 1

    def label(self, time: Floats) -> NDArray[np.int64]:
        """(P,) the interval of each time."""
        return np.searchsorted(self.edges, time, "right").astype(np.int64)

    def passed(self, time: Floats) -> Floats:
        """(P,) share of the hazard of its interval that has passed at each time."""
        place = np.searchsorted(self.times, time, "right")
        own = np.append(-1, np.searchsorted(self.edges, self.times, "right"))[place]
        share = np.append(0.0, self.share)[place]
        return np.asarray(np.where(own == self.label(time), share, 0.0), np.float64)

    def curves(self, logits: Floats) -> Floats:
        """(P, U) survival at `times` of (P, K) logits of hazards."""
        log_left = -np.logaddexp(0.0, logits)
        before = np.cumsum(log_left, axis=1) - log_left
        own = np.searchsorted(self.edges, self.times, "right")
        return np.asarray(np.exp(before[:, own] + self.share * log_left[:, own]), np.float64)


def nll(logits: Tensor, label: Tensor, event: Tensor, alpha: float = 0.0) -> Tensor:
    """(B,) negative log likelihood.

    The published code clamps probabilities at 1e-7, where their gradient ends; logarithms of
    sigmoids need no clamp.

    Args:
        logits: (B, K) of the hazard of each interval.
        label: (B,) long, the interval of the event or of the last sight.
        event: (B,) bool; a censored patient counts as alive throughout the interval.
        alpha: Share by which the censored weigh less than the events.
    """
    log_left = -softplus(logits)  # log(1 - h)
    total = log_left.cumsum(dim=1).gather(1, label[:, None])[:, 0]
    own = logits.gather(1, label[:, None])[:, 0]
    # Up to the event: log S of the interval before it, and log h = logit + log(1 - h) of its own.
    dead = event.to(logits.dtype)
    loss_event, loss_censored = -dead * (total + own), -(1 - dead) * total
    return (1 - alpha) * (loss_event + loss_censored) + alpha * loss_event


@dataclass(frozen=True)
class Calibration:
    """From a network's logits to hazards that fit: training draws classes evenly, life doesn't.

    Attributes:
        slope: > 0, common to all intervals and patients.
        shift: (K,) of each interval.
    """

    slope: float
    shift: Floats

    def __call__(self, logits: Floats) -> Floats:
        """(P, K) calibrated logits."""
        return self.slope * logits + self.shift

    @classmethod
    def fit(cls, logits: Floats, outcome: Outcome, bins: Bins) -> Calibration:
        """Logistic regression over the intervals that patients lived through.

        A censored patient counts in the last interval by the share of its hazard that had passed.
        The slope is drawn towards 1 and the shifts towards 0, each by the weight of one patient.

        Args:
            logits: (P, K) said of patients that the network was not fitted to.
            outcome: Of them.
            bins: The intervals.
        """
        label, count = bins.label(outcome.time), len(bins)
        places = np.arange(count)
        weight = (places[None, :] < label[:, None]).astype(np.float64)
        last = np.where(outcome.event, 1.0, bins.passed(outcome.time))
        weight[np.arange(len(label)), label] = last
        died = np.zeros_like(weight)
        died[np.arange(len(label)), label] = outcome.event
        x = np.concatenate([logits.reshape(-1, 1), np.tile(np.eye(count), (len(label), 1))], axis=1)
        start = np.append(1.0, np.zeros(count))
        free = np.ones(count + 1, np.bool_)
        found = _logistic(x, died.ravel(), weight.ravel(), start, free)
        if found[0] < _LEAST_SLOPE:
            start[0], free[0] = _LEAST_SLOPE, False
            found = _logistic(x, died.ravel(), weight.ravel(), start, free)
        return cls(float(found[0]), found[1:])


def _logistic(
    x: Floats, y: Floats, weight: Floats, start: Floats, free: NDArray[np.bool_]
) -> Floats:
    """Coefficients by Newton's method, drawn towards ``start`` with a quarter of one's weight."""
    beta = start.copy()
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        slope = x.T @ (weight * (y - p)) - 0.25 * (beta - start)
        curve = (x * (weight * p * (1 - p))[:, None]).T @ x + 0.25 * np.eye(len(beta))
        step = np.zeros_like(beta)
        step[free] = np.linalg.solve(curve[np.ix_(free, free)], slope[free])
        beta += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return beta


def log_risk(logits: Floats) -> Floats:
    """(P,) log(-log Q), Q the mean over the intervals of the probability to outlive them.

    The published risk is the sum of these probabilities with a minus. This is the same order, on
    the scale of a log hazard: where hazards are proportional, patients differ here by as much as
    their log hazards do.

    Args:
        logits: (P, K) calibrated.
    """
    survival = np.exp(-np.cumsum(np.logaddexp(0.0, logits), axis=1))
    return np.asarray(np.log(-np.log(np.clip(survival.mean(axis=1), 1e-9, 1 - 1e-9))), np.float64)


def balance(label: Tensor, event: Tensor) -> Tensor:
    """(P,) weights of mean 1 that give every class, interval x event, the same share."""
    kind = label * 2 + event.long()
    count = torch.bincount(kind)
    weight = 1.0 / count[kind].to(torch.float32)
    return weight / weight.mean()


def as_if_present(label: Tensor, event: Tensor, there: Tensor) -> Tensor:
    """(B, M) weights that make those who have a modality stand for all of their class.

    Where early deaths lack a modality more often than others, whoever has it fares better, and
    a step that is trained on them learns that. Each patient counts by the inverse of the share of
    the class (interval x event) that has the modality in the batch; 0 who lacks it.

    Args:
        label: (B,) interval.
        event: (B,) bool.
        there: (B, M) bool.
    """
    kind = label * 2 + event.long()
    same = (kind[:, None] == kind[None, :]).to(torch.float32)
    having = same @ there.to(torch.float32)
    return there * same.sum(dim=1, keepdim=True) / having.clamp(min=1)
