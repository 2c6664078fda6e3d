"""Every measure of a prediction on weighted samples of the patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtool.models.survival.statistics.auc import cumulative_dynamic_auc, mean_auc
from mmtool.models.survival.statistics.brier import brier, integrated_brier
from mmtool.models.survival.statistics.calibration import (
    calibration_slope,
    in_the_large,
    observed_over_expected,
    tenths,
)
from mmtool.models.survival.statistics.concordance import concordance, uno_weights
from mmtool.models.survival.statistics.kaplan_meier import Floats, Steps, censoring
from mmtool.survival import Outcome, Prediction

_GRID = 100  # times of the integrated Brier score
_AREAS = 25  # times of the mean AUC
_CELLS = 4_000_000  # weights that are held at a time
_LEAST = 1e-12  # survival is this far from 0 and 1 where its logarithm is taken

Key = tuple[str, float | None]  # measure and horizon


@dataclass(frozen=True)
class Sample:
    """Patients and their predictions where they are needed.

    ``known`` is the censoring of the training patients; None lets each replicate learn its own.
    """

    time: Floats
    event: NDArray[np.bool_]
    risk: Floats
    own: Floats
    tau: float
    horizons: Floats
    at_horizons: Floats
    grid: Floats
    at_grid: Floats
    areas: Floats
    known: Steps | None


def sample_of(
    outcome: Outcome,
    prediction: Prediction,
    there: NDArray[np.bool_],
    horizons: Floats,
    tau: float,
    training: Outcome | None,
) -> Sample:
    survival, steps = prediction.survival[there], prediction.times
    died = outcome.time[outcome.event & (outcome.time <= tau)]
    first = float(died.min()) if len(died) else tau
    seen = np.append(outcome.time[(outcome.time >= first) & (outcome.time <= tau)], tau)
    grid = np.unique(np.quantile(seen, np.linspace(0, 1, _GRID)))
    every = max(1, len(grid) // _AREAS)
    return Sample(
        time=outcome.time,
        event=outcome.event,
        risk=prediction.risk[there],
        own=curve_at(steps, survival, outcome.time[:, None])[:, 0],
        tau=tau,
        horizons=horizons,
        at_horizons=curve_at(steps, survival, horizons[None, :]),
        grid=grid,
        at_grid=curve_at(steps, survival, grid[None, :]),
        areas=grid[::every],
        known=None if training is None else censoring(training.time, training.event),
    )


def curve_at(times: Floats, survival: Floats, at: Floats) -> Floats:
    """Predicted survival where it is asked for.

    Args:
        times: (T,) ascending, of the steps.
        survival: (P, T) from each step on; 1 before the first.
        at: (P, A) or (1, A) times.

    Returns:
        (P, A).
    """
    padded = np.concatenate([np.ones((len(survival), 1)), survival], axis=1)
    place = np.broadcast_to(np.searchsorted(times, at, "right"), (len(survival), at.shape[1]))
    return np.asarray(np.take_along_axis(padded, place, axis=1), np.float64)


def figures(s: Sample, weights: Floats) -> dict[Key, Floats]:
    """Every measure of B replicates, each (B,)."""
    if not len(s.time):
        return {}
    known = s.known or censoring(s.time, s.event, weights)
    out: dict[Key, Floats] = {
        ("harrell_c", None): concordance(s.time, s.event, s.risk, weights),
        ("uno_c", None): concordance(
            s.time, s.event, s.risk, weights, uno_weights(s.time, known, s.tau)
        ),
    }
    areas = cumulative_dynamic_auc(s.time, s.event, s.risk, s.horizons, known, weights)
    scores = brier(s.time, s.event, s.at_horizons, s.horizons, known, weights)
    ratios = observed_over_expected(s.time, s.event, s.at_horizons, s.horizons, weights)
    for k, horizon in enumerate(s.horizons.tolist()):
        out["auc", horizon] = areas[:, k]
        out["brier", horizon] = np.where(np.isnan(areas[:, k]), np.nan, scores[:, k])
        out["observed_over_expected", horizon] = ratios[:, k]
    return out | _over_time(s, known, weights)


def _over_time(s: Sample, known: Steps, weights: Floats) -> dict[Key, Floats]:
    """The measures of all times up to tau."""
    unknown = np.full(len(weights), np.nan)
    out: dict[Key, Floats] = {("mean_auc", None): unknown, ("ibs", None): unknown}
    if len(s.grid) > 1:
        areas = cumulative_dynamic_auc(s.time, s.event, s.risk, s.areas, known, weights)
        out["mean_auc", None] = mean_auc(s.time, s.event, areas, s.areas, weights)
        score = brier(s.time, s.event, s.at_grid, s.grid, known, weights)
        out["ibs", None] = integrated_brier(score, s.grid)
    hazard = np.log(-np.log(s.at_grid[:, -1].clip(_LEAST, 1 - _LEAST)))
    out["calibration_slope", None] = calibration_slope(s.time, s.event, hazard, weights)
    out["calibration_in_the_large", None] = in_the_large(s.event, s.own, weights)
    return out


def references(s: Sample, flat: Steps) -> dict[Key, float]:
    """Measures of the one curve for everybody."""
    out: dict[Key, float] = {
        ("harrell_c", None): 0.5,
        ("uno_c", None): 0.5,
        ("mean_auc", None): 0.5,
    }
    out |= {("auc", h): 0.5 for h in s.horizons.tolist()}
    n = len(s.time)
    if not n:
        return out
    same = np.repeat(flat.at(s.horizons), n, axis=0)
    scores = brier(s.time, s.event, same, s.horizons, s.known)[0]
    out |= {("brier", h): float(v) for h, v in zip(s.horizons.tolist(), scores, strict=True)}
    if len(s.grid) > 1:
        score = brier(s.time, s.event, np.repeat(flat.at(s.grid), n, axis=0), s.grid, s.known)
        out["ibs", None] = float(integrated_brier(score, s.grid)[0])
    return out


def draw(s: Sample, replicates: int, seed: int) -> tuple[dict[Key, Floats], Floats]:
    """Measures of all replicates, and the shares of each tenth (replicates, 10)."""
    rng = np.random.default_rng(seed)
    n = len(s.time)
    spread = tenths(s.event, s.own)
    parts: list[dict[Key, Floats]] = []
    shares: list[Floats] = []
    step = max(1, _CELLS // max(n, 1))
    for start in range(0, replicates if n else 0, step):
        rows = min(step, replicates - start)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=rows).astype(np.float64)
        parts.append(figures(s, weights))
        shares.append(weights @ spread / n)
    if not parts:
        return {}, np.zeros((0, 10))
    return {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}, np.concatenate(
        shares
    )
