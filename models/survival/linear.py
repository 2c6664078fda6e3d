"""A linear log risk of the columns of one block: ridge Cox on its standardised components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtool.models.survival.cox import held_out_likelihood, ridge_path
from mmtool.models.survival.folds import assign_folds
from mmtool.survival import Floats, Outcome

_CLIP = 5.0  # standard deviations; z-scores of tens of thousands exist in published tables
_COUNTS = 30.0  # columns whose upper values exceed this and that have no negative ones are counts
_PENALTIES = np.geomspace(1.0, 1e-3, 12)  # a patient, for columns of unit variance
_FOLDS = 5


@dataclass(frozen=True)
class Scaler:
    """Brings columns to unit scale, robustly.

    Attributes:
        log: Whether log2(1 + x) comes first: counts and abundances.
        centre: (F,) median of the training patients; also what an unknown value is taken as.
        scale: (F,) their interquartile range in standard deviations, or their standard deviation;
            0 for a column that is the same for all: it says nothing.
        shift: (F,) mean of the clipped values.
        spread: (F,) standard deviation of the clipped values.
    """

    log: bool
    centre: Floats
    scale: Floats
    shift: Floats
    spread: Floats

    @classmethod
    def fit(cls, values: NDArray[np.float32]) -> Scaler:
        """Learn from (N, F) values, NaN where unknown."""
        log = _are_counts(values)
        x = _logged(values, log)
        quarter, centre, upper = _quartiles(x)
        known = ~np.isnan(x).all(axis=0)
        scale = (upper - quarter) / 1.349
        loose = known & (scale <= 1e-9)
        if loose.any():
            scale[loose] = np.nanstd(x[:, loose], axis=0)
        plain = cls(log, centre, scale, np.zeros_like(scale), np.ones_like(scale))
        clipped = plain(values)
        spread = clipped.std(axis=0)
        scale = np.where(spread > 1e-6, scale, 0.0)
        return cls(log, centre, scale, clipped.mean(axis=0), np.where(spread > 1e-6, spread, 1.0))

    def __call__(self, values: NDArray[np.float32]) -> Floats:
        """(N, F) float64 of (N, F) values; 0 on average, and at most some units from it."""
        x = _logged(values, self.log) - self.centre
        z = np.divide(x, self.scale, out=np.zeros_like(x), where=self.scale > 0)
        z = np.clip(np.nan_to_num(z, nan=0.0), -_CLIP, _CLIP)
        return np.where(self.scale > 0, (z - self.shift) / self.spread, 0.0)


def _quartiles(x: Floats) -> Floats:
    """(3, F) lower quartile, median and upper quartile of (N, F); 0 for an unknown column."""
    out = np.zeros((3, x.shape[1]))
    whole = ~np.isnan(x).any(axis=0)
    out[:, whole] = np.percentile(x[:, whole], (25, 50, 75), axis=0)
    partly = ~whole & ~np.isnan(x).all(axis=0)
    if partly.any():
        out[:, partly] = np.nanpercentile(x[:, partly], (25, 50, 75), axis=0)
    return out


def _logged(values: NDArray[np.float32], log: bool) -> Floats:
    x = values.astype(np.float64)
    return np.log2(1 + np.maximum(x, 0)) if log else x


def _are_counts(values: NDArray[np.float32]) -> bool:
    """Whether a block holds counts or abundances: nothing negative, and long upper tails."""
    known = values[~np.isnan(values)]
    return bool(len(known) and known.min() >= 0 and np.percentile(known, 90) > _COUNTS)


@dataclass(frozen=True)
class LinearRisk:
    """A log risk that is a sum over columns.

    Attributes:
        scaler: Of the columns.
        weights: (F,) log hazard ratio of a unit of each scaled column.
    """

    scaler: Scaler
    weights: Floats

    def risk(self, values: NDArray[np.float32]) -> Floats:
        """(N,) log risk of (N, F) values; 0 for the average training patient."""
        return self.scaler(values) @ self.weights

    def contributions(self, values: NDArray[np.float32]) -> Floats:
        """(N, F) what each column adds to the log risk."""
        return self.scaler(values) * self.weights


def fit_linear(
    values: NDArray[np.float32],
    outcome: Outcome,
    seed: int,
    *,
    components: int | None = None,
) -> LinearRisk:
    """Fit a ridge Cox regression; its penalty is chosen by held-out partial likelihood.

    Args:
        values: (N, F), NaN where unknown.
        outcome: Of the N patients, with at least two events.
        seed: Of the folds.
        components: At most so many principal components take the columns' place; None for the
            columns themselves.
    """
    scaler = Scaler.fit(values)
    z = scaler(values)
    basis = _basis(z, components)
    scores = z @ basis
    best = _penalty(scores, outcome, seed)
    path = ridge_path(scores, outcome, _PENALTIES[: best + 1] * len(outcome))
    return LinearRisk(scaler, basis @ path.coefficients[-1])


def _basis(z: Floats, components: int | None) -> Floats:
    """(F, k) directions; scores on them have the variance that they have in the data."""
    if components is None or z.shape[1] <= components:
        return np.eye(z.shape[1])
    if z.shape[0] < z.shape[1]:
        values, vectors = np.linalg.eigh(z @ z.T)
        top = np.argsort(values)[::-1][:components]
        top = top[values[top] > 1e-9 * max(values.max(), 1e-300)]
        directions = z.T @ vectors[:, top] / np.sqrt(values[top])
    else:
        values, vectors = np.linalg.eigh(z.T @ z)
        directions = vectors[:, np.argsort(values)[::-1][:components]]
    # Scaled so that one penalty suits blocks of ten and of ten thousand columns.
    first = np.sqrt(max(values.max() / len(z), 1e-12))
    return directions / first


def _penalty(scores: Floats, outcome: Outcome, seed: int) -> int:
    """Place of the best penalty in the path."""
    fold = assign_folds(outcome, _FOLDS, seed)
    total = np.zeros(len(_PENALTIES))
    for held in range(_FOLDS):
        kept = np.flatnonzero(fold != held)
        inner = outcome.subset(kept)
        if not inner.event.any():
            continue
        path = ridge_path(scores[kept], inner, _PENALTIES * len(kept))
        total += held_out_likelihood(path, scores, outcome, kept)
    return int(np.argmax(total))
