"""Scores of label maps against reference labels: of one case, of many, and of two models.

Conventions for empty masks: a structure that neither map has is no case (NaN everywhere, left out
of every mean). One that only one map has scores Dice 0 and surface Dice 0; its Hausdorff distance
is infinite, is left out of the mean and counted in ``hd95_missing``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import GeometryError
from mmtool.pipelines.evaluation.overlap import Interval, bootstrap_mean, dice_per_label
from mmtool.pipelines.evaluation.surface import surface_per_label

MEASURES = (
    "dice",
    "nsd_1mm",
    "nsd_2mm",
    "hd95_mm",
    "volume_error_ml",
    "abs_volume_error_percent",
)
_LESS_IS_BETTER = ("hd95_mm", "abs_volume_error_percent", "volume_error_ml")
MEAN = "mean of structures"
_SKEW = 1e-3  # cosine between voxel axes up to which mm along the axes add up as they should


@dataclass(frozen=True)
class CaseRow:
    """Scores of one structure in one case.

    Attributes:
        case: Name of the case.
        index: Label index; 0 for the mean over structures.
        name: Name of the structure.
        truth_ml: Volume in the reference, mL.
        predicted_ml: Volume in the prediction, mL.
        dice: Dice coefficient.
        nsd_1mm: Surface Dice at a tolerance of 1 mm.
        nsd_2mm: At 2 mm.
        hd95_mm: 95th percentile Hausdorff distance, mm.
        volume_error_ml: Predicted less true volume, mL.
        abs_volume_error_percent: Its size in percent of the true volume; NaN if that is 0.
    """

    case: str
    index: int
    name: str
    truth_ml: float
    predicted_ml: float
    dice: float
    nsd_1mm: float
    nsd_2mm: float
    hd95_mm: float
    volume_error_ml: float
    abs_volume_error_percent: float


@dataclass(frozen=True)
class StructureSummary:
    """One structure over all cases.

    Attributes:
        index: Label index; 0 for the mean over structures.
        name: Name of the structure.
        cases: Cases in which the reference or the prediction has it.
        measures: Measure -> mean and bootstrap interval over cases.
        hd95_missing: Cases in which only one of both maps has it.
        worst_case: Case of the lowest Dice.
        worst_dice: That Dice.
    """

    index: int
    name: str
    cases: int
    measures: dict[str, Interval]
    hd95_missing: int
    worst_case: str
    worst_dice: float

    def to_json(self) -> dict[str, Any]:
        """Plain dict; what is not finite becomes None."""
        return _plain(asdict(self))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Difference:
    """Another model less the reference model, over the cases that both have.

    Attributes:
        index: Label index; 0 for the mean over structures.
        name: Name of the structure.
        measure: One of ``MEASURES``.
        reference: Mean of the reference model over those cases.
        other: Mean of the other model.
        difference: Paired difference with its bootstrap interval over cases.
        better: Cases in which the other model is better.
    """

    index: int
    name: str
    measure: str
    reference: float
    other: float
    difference: Interval
    better: int

    def to_json(self) -> dict[str, Any]:
        """Plain dict; what is not finite becomes None."""
        return _plain(asdict(self))  # type: ignore[no-any-return]


def score_case(
    truth: NDArray[np.integer],
    predicted: NDArray[np.integer],
    affine: NDArray[np.float64],
    labels: Mapping[int, str],
    case: str = "",
) -> list[CaseRow]:
    """Score one label map.

    Args:
        truth: (I, J, K) reference labels.
        predicted: (I, J, K) labels on the same grid.
        affine: (4, 4) voxel to RAS+ mm.
        labels: Label index -> name of the structures to score.
        case: Its name.

    Returns:
        A row for each structure, in the order of ``labels``.

    Raises:
        GeometryError: The voxel axes are not at right angles.
        ValueError: The shapes differ.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"reference {truth.shape} and prediction {predicted.shape}")
    spacing = _spacing(affine, case)
    ml = math.prod(spacing) / 1000
    dice = dice_per_label(truth, predicted, labels)
    surface = surface_per_label(truth, predicted, labels, spacing, (1.0, 2.0))
    top = max(labels, default=0) + 1
    volumes = [np.bincount(m[m < top].ravel(), minlength=top) * ml for m in (truth, predicted)]
    rows = []
    for index, name in labels.items():
        true, found = (float(v[index]) for v in volumes)
        there = true > 0 or found > 0
        error = found - true if there else float("nan")
        share = 100 * abs(error) / true if true else float("nan")
        (near_1, near_2), hd95 = surface[index].dice, surface[index].hd95_mm
        measures = (dice[index], near_1, near_2, hd95, error, share)
        rows.append(CaseRow(case, index, name, true, found, *measures))
    return rows


def score_regions(
    truth: NDArray[np.integer],
    predicted: NDArray[np.integer],
    affine: NDArray[np.float64],
    regions: Mapping[str, frozenset[int]],
    case: str = "",
) -> list[CaseRow]:
    """Score unions of labels; arguments and errors as of :func:`score_case`.

    Args:
        regions: Name -> labels that make it up; regions may overlap.

    Returns:
        A row for each region, numbered from 1 in their order.
    """
    rows = []
    for number, (name, labels) in enumerate(regions.items(), start=1):
        own = [np.isin(m, list(labels)).astype(np.uint8) * number for m in (truth, predicted)]
        rows += score_case(own[0], own[1], affine, {number: name}, case)
    return rows


def _spacing(affine: NDArray[np.float64], case: str) -> tuple[float, ...]:
    axes = np.asarray(affine, np.float64)[:3, :3]
    steps = np.linalg.norm(axes, axis=0)
    cosines = np.abs((axes / steps).T @ (axes / steps) - np.eye(3))
    if cosines.max() > _SKEW:
        raise GeometryError(
            f"{case or 'label map'}: the voxel axes are not at right angles",
            "resample both label maps to a grid without shear first",
        )
    return tuple(float(s) for s in steps)


def mean_rows(rows: Iterable[CaseRow]) -> list[CaseRow]:
    """A row for each case: the mean of what is finite over its structures, volumes summed."""
    out = []
    for case, own in _by(rows, "case").items():
        means = {m: _mean([getattr(r, m) for r in own]) for m in MEASURES}
        sums = (sum(r.truth_ml for r in own), sum(r.predicted_ml for r in own))
        out.append(CaseRow(str(case), 0, MEAN, *sums, **means))
    return out


def summarise(rows: Sequence[CaseRow], *, seed: int = 0) -> list[StructureSummary]:
    """Means over cases with 95 % bootstrap intervals.

    Args:
        rows: Of :func:`score_case`, of all cases.
        seed: Of the resampling.

    Returns:
        The mean over structures first (if there are several), then each structure.
    """
    out = []
    for own in _structures(rows):
        index, name = own[0].index, own[0].name
        scored = [r for r in own if not math.isnan(r.dice)]
        worst = min(scored, key=lambda r: r.dice, default=None)
        out.append(
            StructureSummary(
                index,
                name,
                len(scored),
                {m: _interval([getattr(r, m) for r in scored], seed) for m in MEASURES},
                # For the mean over structures: every structure of every case that lacks it.
                sum(math.isinf(r.hd95_mm) for r in (rows if not index else own)),
                worst.case if worst else "",
                worst.dice if worst else float("nan"),
            )
        )
    return out


def compare(
    reference: Sequence[CaseRow], other: Sequence[CaseRow], *, seed: int = 0
) -> list[Difference]:
    """Paired comparison of two models on the same cases.

    Args:
        reference: Rows of the model that the other one is compared with.
        other: Rows of the other model.
        seed: Of the resampling.

    Returns:
        For each structure and measure the difference ``other - reference``; the volume error is
        compared by its size.
    """
    out = []
    theirs = {(r.index, r.case): r for r in (*other, *_mean_if_several(other))}
    for own in _structures(reference):
        for measure in MEASURES:
            both = [
                (_value(r, measure), _value(theirs[r.index, r.case], measure))
                for r in own
                if (r.index, r.case) in theirs
            ]
            pairs = np.array([p for p in both if all(map(math.isfinite, p))]).reshape(-1, 2)
            change = pairs[:, 1] - pairs[:, 0]
            sign = -1 if measure in _LESS_IS_BETTER else 1
            out.append(
                Difference(
                    own[0].index,
                    own[0].name,
                    measure,
                    _mean(list(pairs[:, 0])),
                    _mean(list(pairs[:, 1])),
                    _interval(list(change), seed),
                    int((sign * change > 0).sum()),
                )
            )
    return out


def _value(row: CaseRow, measure: str) -> float:
    value = float(getattr(row, measure))
    return abs(value) if measure == "volume_error_ml" else value


def _structures(rows: Sequence[CaseRow]) -> list[list[CaseRow]]:
    return [*_by((*_mean_if_several(rows), *rows), "index").values()]


def _mean_if_several(rows: Sequence[CaseRow]) -> list[CaseRow]:
    return mean_rows(rows) if len({r.index for r in rows}) > 1 else []


def _by(rows: Iterable[CaseRow], key: str) -> dict[Any, list[CaseRow]]:
    groups: dict[Any, list[CaseRow]] = {}
    for row in rows:
        groups.setdefault(getattr(row, key), []).append(row)
    return groups


def _mean(values: Sequence[float]) -> float:
    kept = [v for v in values if math.isfinite(v)]
    return float(np.mean(kept)) if kept else float("nan")


def _interval(values: Sequence[float], seed: int) -> Interval:
    kept = [v for v in values if math.isfinite(v)]
    if not kept:
        nan = float("nan")
        return Interval(nan, nan, nan, nan, 0)
    return bootstrap_mean([[v] for v in kept], seed=seed)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
