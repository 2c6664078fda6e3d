"""``mmtool evaluate segment --data``: models of the head on scans drawn from label maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmtool.errors import ModelError
from mmtool.models.store import ModelFiles
from mmtool.pipelines.evaluation.brain import evaluate_brain
from mmtool.pipelines.evaluation.text import evaluate_text
from mmtool.pipelines.evaluation.tumor import TumorScore, evaluate_tumor
from mmtool.pipelines.inference import BrainSegmenter
from mmtool.pipelines.segmenters import load_segmenter
from mmtool.pipelines.text_inference import BrainTextSegmenter
from mmtool.pipelines.tumor_inference import TumorSegmenter


@dataclass(frozen=True)
class Table:
    """A table for people, and the same for programs."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    records: list[dict[str, Any]]


def synthetic_table(
    files: ModelFiles,
    device: torch.device,
    maps: Path,
    *,
    holdout: int,
    scans: int,
    seed: int,
    report: Callable[[str], None],
) -> Table:
    """Score a model of the head.

    Args:
        files: The model.
        device: Where to work.
        maps: Label maps as for training.
        holdout: Every ``holdout``-th map is scored.
        scans: Scans drawn from each map (and contrast).
        seed: Of the drawn scans.
        report: Called with a line of progress.

    Raises:
        ModelError: The model is not one of the head.
    """
    segmenter = load_segmenter(files, device)
    if isinstance(segmenter, BrainTextSegmenter):
        obeyed = evaluate_text(
            segmenter, maps, holdout=holdout, scans=scans, seed=seed, report=report
        )
        columns: tuple[str, ...] = ("said", "measure", "mean", "low", "high", "sd", "n")
        rows = []
        for s in obeyed:
            numbers = _numbers(s.value.mean, s.value.low, s.value.high, s.value.sd)
            rows.append((s.test, s.measure, *numbers, str(s.value.n)))
        return Table(columns, rows, [s.to_json() for s in obeyed])
    if isinstance(segmenter, TumorSegmenter):
        return _tumor_table(
            evaluate_tumor(segmenter, maps, holdout=holdout, scans=scans, seed=seed, report=report)
        )
    if not isinstance(segmenter, BrainSegmenter):
        raise ModelError(
            f"model '{files.name}' is not one of the head",
            "score it on scans with labels: --images with --labels",
        )
    scores = evaluate_brain(segmenter, maps, holdout=holdout, scans=scans, seed=seed, report=report)
    columns = ("contrast", "Dice", "low", "high", "sd", "atlas", "scans", "swapped_sides")
    rows = [
        (
            s.contrast,
            *_numbers(s.model.mean, s.model.low, s.model.high, s.model.sd, s.atlas.mean),
            str(s.model.n),
            f"{s.swapped_sides:.5f}",
        )
        for s in scores
    ]
    return Table(columns, rows, [s.to_json() for s in scores])


def _tumor_table(scores: list[TumorScore]) -> Table:
    columns = ("said", "region", "Dice", "low", "high", "sd", "n")
    rows: list[tuple[str, ...]] = []
    for s in scores:
        numbers = _numbers(s.dice.mean, s.dice.low, s.dice.high, s.dice.sd)
        rows.append((s.said, s.region, *numbers, str(s.dice.n)))
    return Table(columns, rows, [s.to_json() for s in scores])


def _numbers(*values: float) -> tuple[str, ...]:
    return tuple(f"{v:.3f}" for v in values)
