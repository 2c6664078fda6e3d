"""Brings the columns of a block to one scale, whatever they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtool.survival import Floats

_CLIP = 5.0  # standard deviations; z-scores of tens of thousands exist in published tables
_COUNTS = 30.0  # columns whose upper values exceed this and that have no negative ones are counts


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
    def fit(cls, values: NDArray[np.float32], counts: bool) -> Scaler:
        """Learn from (N, F) values, NaN where unknown; ``counts``: whether they may be counts."""
        log = counts and _are_counts(values)
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

    @property
    def middle(self) -> Floats:
        """(F,) median of the training patients, as tables have it."""
        return np.exp2(self.centre) - 1 if self.log else self.centre

    def only(self, places: NDArray[np.int64]) -> Scaler:
        """The scaler of some of the columns."""
        parts = (self.centre, self.scale, self.shift, self.spread)
        return Scaler(self.log, *(part[places] for part in parts))

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
