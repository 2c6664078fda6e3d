"""How well the heads of ``mmtool report`` do on images that they were not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.models.report.model import GATE, INSIDE, KNOWN, ReportModel
from mmtool.pipelines.training.calibration import (
    BINS,
    calibration_error,
    error_by_chance,
    unbiased_error,
)
from mmtool.pipelines.training.report_fit import Rows, auc_within

_DRAWS = 1000
_COVERAGE = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)


@dataclass(frozen=True)
class Measure:
    """One figure with its 95 % interval over cases.

    Attributes:
        name: What was measured.
        value: The figure.
        low: Lower end.
        high: Upper end.
        n: Images.
        baseline: Name and figure of what is simpler, or None.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    baseline: tuple[str, float] | None = None


@dataclass(frozen=True)
class Measured:
    """All figures of a model.

    Attributes:
        measures: Accuracy, calibration, findings.
        coverage: Question -> rows of coverage and accuracy, the surest images first.
    """

    measures: tuple[Measure, ...]
    coverage: Mapping[str, tuple[tuple[float, float], ...]]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "measures": [vars(m) for m in self.measures],
            "coverage_accuracy": {k: [list(r) for r in v] for k, v in self.coverage.items()},
        }


def measure(model: ReportModel, rows: Rows, *, seed: int) -> Measured:
    """Measure a model.

    Args:
        model: The model.
        rows: Images that it was not trained on, strangers among them.
        seed: Of the draws of the intervals.
    """
    measures: list[Measure] = []
    coverage: dict[str, tuple[tuple[float, float], ...]] = {}
    for question in GATE:
        found, curve = _gate(model, question, rows, seed)
        measures += found
        coverage[question] = curve
    measures += _inside(model, rows, seed)
    measures += [_finding(model, name, rows, seed) for name in model.cuts]
    return Measured(tuple(measures), coverage)


def _gate(
    model: ReportModel, question: str, rows: Rows, seed: int
) -> tuple[list[Measure], tuple[tuple[float, float], ...]]:
    """Accuracy, calibration error and coverage-accuracy curve of one question."""
    head = model.heads[question]
    there = np.flatnonzero(rows.labels[question] != "")
    truth, groups = rows.labels[question][there], rows.groups[there]
    opinion = model.opinions(question, rows.vectors[there])
    chance = head.calibrated(opinion.probability)
    said = np.array(head.classes)[chance.argmax(1)]
    right = (said == truth).astype(float)
    _, counts = np.unique(truth, return_counts=True)
    majority = float(counts.max() / counts.sum())
    nearest = _nearest(model, question, rows.vectors[there], truth)
    sure = chance.max(1)
    measures = [
        _mean(f"{question}: accuracy", right, groups, seed, ("most frequent class", majority)),
        _mean(f"{question}: accuracy of the nearest training image", nearest, groups, seed, None),
        _drawn(
            f"{question}: calibration error (ECE, {BINS} bins)",
            lambda pick: calibration_error(sure[pick], right[pick]),
            groups,
            seed,
            ("by chance, if calibrated", error_by_chance(sure, seed)),
        ),
        _drawn(
            f"{question}: calibration error without what chance adds",
            lambda pick: unbiased_error(sure[pick], right[pick], seed),
            groups,
            seed,
        ),
    ]
    order = np.argsort(opinion.uncertainty, kind="stable")
    curve = []
    for share in _COVERAGE:
        kept = order[: max(1, round(share * len(order)))]
        curve.append((share, round(float(right[kept].mean()), 4)))
    return measures, tuple(curve)


def _nearest(
    model: ReportModel, question: str, vectors: NDArray[np.float32], truth: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Whether the most similar training image has the same class."""
    known = model.reference.classes[question]
    there = np.flatnonzero(known >= 0)
    best = there[(vectors @ model.reference.vectors[there].T).argmax(1)]
    same = np.array(model.heads[question].classes)[known[best]] == truth
    return np.asarray(same, np.float64)


def _inside(model: ReportModel, rows: Rows, seed: int) -> list[Measure]:
    """Share of known images that pass the gate, and of strangers that don't."""
    passed = []
    for vector in rows.vectors:
        inside, nearest = model.inside(vector[None])
        limits = model.thresholds
        passed.append(inside >= limits.inside and nearest >= limits.nearest)
    label, ok = rows.labels[INSIDE], np.array(passed, float)
    known, other = label == KNOWN, label == "other"
    return [
        _mean("gate: known images let through", ok[known], rows.groups[known], seed, None),
        _mean("gate: strangers kept out", 1 - ok[other], rows.groups[other], seed, None),
    ]


def _finding(model: ReportModel, name: str, rows: Rows, seed: int) -> Measure:
    """AUC of a finding among images of the same modality and region."""
    labels = rows.labels.get(name, np.full(len(rows.groups), ""))
    there = np.flatnonzero(labels != "")
    truth = labels[there] == "present"
    head = model.heads[name]
    chance = head.calibrated(model.opinions(name, rows.vectors[there]).probability)
    modality, region = (rows.labels[q][there].tolist() for q in ("modality", "region"))
    kinds = np.array([f"{m}|{r}" for m, r in zip(modality, region, strict=True)])
    score = chance[:, head.classes.index("present")]
    value, low, high = auc_within(score, truth, kinds, rows.groups[there], seed)
    value, low, high = (0.5 if np.isnan(v) else v for v in (value, low, high))
    label = f"{name}: AUC among images of the same modality and region"
    return Measure(
        label, round(value, 4), round(min(low, value), 4), round(max(high, value), 4),
        int(truth.sum()), ("chance", 0.5),
    )  # fmt: skip


def _mean(
    name: str,
    values: NDArray[np.float64],
    groups: NDArray[np.int64],
    seed: int,
    baseline: tuple[str, float] | None,
) -> Measure:
    return _drawn(name, lambda pick: float(values[pick].mean()), groups, seed, baseline)


def _drawn(
    name: str,
    figure: Any,
    groups: NDArray[np.int64],
    seed: int,
    baseline: tuple[str, float] | None = None,
) -> Measure:
    """A figure with the interval of drawing other cases."""
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    rows = {g: np.flatnonzero(groups == g) for g in names.tolist()}
    value = figure(np.arange(len(groups)))
    draws = [
        figure(np.concatenate([rows[g] for g in rng.choice(names, len(names)).tolist()]))
        for _ in range(_DRAWS)
    ]
    low, high = np.percentile(draws, (2.5, 97.5))
    low, high = min(float(low), value), max(float(high), value)
    return Measure(name, round(value, 4), round(low, 4), round(high, 4), len(groups), baseline)
