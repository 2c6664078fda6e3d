"""A log risk that is linear in the columns of a block: ridge Cox on their components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmtool.models.survival.cox import held_out_likelihood, ridge_path
from mmtool.models.survival.folds import assign_folds
from mmtool.survival import Floats, Outcome

COMPONENTS = 60
_PENALTIES = np.geomspace(1.0, 1e-3, 12)  # a patient, for columns of unit variance
_FOLDS = 5


@dataclass(frozen=True)
class Linear:
    """A log risk that is a sum over scaled columns.

    Attributes:
        weights: (F,) log hazard ratio of a unit of each.
    """

    weights: Floats

    def risk(self, scaled: Floats) -> Floats:
        """(N,) log risk of (N, F) scaled values; 0 for the average training patient."""
        return scaled @ self.weights

    def shifts(self, scaled: Floats) -> Floats:
        """(N, F) change of the log risk by a unit of each column."""
        return np.broadcast_to(self.weights, scaled.shape)

    def slopes(self, width: int) -> Floats:
        """(F,) gradient of the log risk."""
        del width
        return self.weights

    def contributions(self, scaled: Floats) -> Floats:
        """(N, F) what each column adds to the log risk."""
        return scaled * self.weights


def fit_linear(scaled: Floats, outcome: Outcome, seed: int, basis: Floats) -> Linear:
    """Fit a ridge Cox regression; its penalty is chosen by held-out partial likelihood.

    Args:
        scaled: (N, F) finite.
        outcome: Of the N patients, with at least one event.
        seed: Of the folds.
        basis: (F, k) directions whose scores are the columns of the regression.
    """
    scores = scaled @ basis
    best = _penalty(scores, outcome, seed)
    path = ridge_path(scores, outcome, _PENALTIES[: best + 1] * len(outcome))
    return Linear(basis @ path.coefficients[-1])


def directions(scaled: Floats, most: int = COMPONENTS) -> Floats:
    """(F, k) the columns themselves, or the first principal components if there are more.

    Components are scaled so that the first has unit variance and the others what they have beside
    it: one penalty suits blocks of ten and of ten thousand columns.
    """
    size, width = scaled.shape
    if width <= most:
        return np.eye(width)
    if size < width:
        values, vectors = np.linalg.eigh(scaled @ scaled.T)
        top = _largest(values, most)
        found = scaled.T @ vectors[:, top] / np.sqrt(values[top])
    else:
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
        found = vectors[:, _largest(values, most)]
    return np.asarray(found / np.sqrt(max(float(values.max()) / size, 1e-12)), np.float64)


def _largest(values: Floats, most: int) -> list[int]:
    floor = 1e-9 * max(float(values.max()), 1e-300)
    return [int(i) for i in np.argsort(-values, kind="stable")[:most] if values[i] > floor]


def _penalty(scores: Floats, outcome: Outcome, seed: int) -> int:
    """Place of the best penalty in the path."""
    fold = assign_folds(outcome, _FOLDS, seed)
    total = np.zeros(len(_PENALTIES))
    for held in range(_FOLDS):
        kept = np.flatnonzero(fold != held)
        inner = outcome.subset(kept)
        if inner.event.any():
            path = ridge_path(scores[kept], inner, _PENALTIES * len(kept))
            total += held_out_likelihood(path, scores, outcome, kept)
    return int(np.argmax(total))
