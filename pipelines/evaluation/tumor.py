"""How well ``tumor`` finds painted tumours in heads that it never saw, by a report or without."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.pipelines.evaluation.overlap import Interval, bootstrap_mean, dice_per_label
from mmtool.pipelines.evaluation.tumor_threshold import Threshold, fit_threshold
from mmtool.pipelines.training.brain import load_codes
from mmtool.pipelines.training.brain_options import split_maps
from mmtool.pipelines.training.tumor import REGIONS
from mmtool.pipelines.training.tumor_reports import write_report
from mmtool.pipelines.training.tumor_scans import TumorSample, draw_cases
from mmtool.pipelines.tumor_inference import GuidedTumorSegmenter, TumorSegmenter

_AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
_MULTIPLE = 16

Rows = dict[tuple[str, str], list[list[float]]]


@dataclass(frozen=True)
class TumorScore:
    """One line of the table.

    Attributes:
        said: The text that the network was given, or ``threshold`` for the baseline.
        region: Of the tumour.
        dice: Mean over cases, with its interval over maps.
    """

    said: str
    region: str
    dice: Interval

    def to_json(self) -> dict[str, Any]:
        """Plain dict."""
        return asdict(self)


def baseline(maps: Path, *, holdout: int = 4, seed: int = 1) -> Threshold:
    """Thresholds fitted to a case of each training map."""
    kept, _ = split_maps(maps, holdout)
    rng = np.random.default_rng([seed, 31])
    return fit_threshold([draw_cases(load_codes(path), _MULTIPLE, rng)[0] for path in kept])


def evaluate_tumor(
    segmenter: TumorSegmenter,
    maps: Path,
    *,
    holdout: int = 4,
    scans: int = 5,
    seed: int = 1,
    report: Callable[[str], None] | None = None,
) -> list[TumorScore]:
    """Segment drawn cases of held-out maps.

    Args:
        segmenter: The loaded model; texts count only for one that reads.
        maps: Folder of label maps as for training.
        holdout: As in training: every ``holdout``-th map is used.
        scans: Cases drawn from each map.
        seed: Of cases and texts.
        report: Called with a line for each case.

    Returns:
        Dice of each region with the right report, without one, with one that names the other
        side; and that of the thresholds.
    """
    _, held = split_maps(maps, holdout)
    threshold = baseline(maps, holdout=holdout, seed=seed)
    rows: Rows = {}
    for number, path in enumerate(held):
        codes = load_codes(path)
        for scan in range(scans):
            rng = np.random.default_rng([seed, 29, number, scan])
            case = draw_cases(codes, _MULTIPLE, rng)[0]
            found = _found(segmenter, case, rng)
            found["threshold"] = threshold(case.image, case.brain)
            truth = case.labels.numpy()
            for said, labels in found.items():
                for region, parts in REGIONS.items():
                    values = rows.setdefault((said, region), [[] for _ in held])
                    values[number].append(_dice(truth, labels, parts))
            if report:
                first = next(iter(found.values()))
                report(f"{path.name} {scan}: Dice {_dice(truth, first, (1, 2, 3, 4)):.3f}")
    scores = []
    for (said, region), values in rows.items():
        # A region that is neither there nor found is no case.
        known = [[v for v in own if not math.isnan(v)] for own in values]
        groups = [own for own in known if own]
        if groups:
            scores.append(TumorScore(said, region, bootstrap_mean(groups)))
    return scores


def _found(
    segmenter: TumorSegmenter, case: TumorSample, rng: np.random.Generator
) -> dict[str, NDArray[np.uint8]]:
    texts = {"no text": ""}
    if isinstance(segmenter, GuidedTumorSegmenter):
        texts = {
            "right text": write_report(case.findings, rng),
            "no text": "",
            "other side named": write_report(case.findings.other_side(), rng),
        }
    image = case.image.numpy()
    return {
        said: segmenter.segment(image, _AFFINE, text, False).labels for said, text in texts.items()
    }


def _dice(truth: NDArray[np.uint8], found: NDArray[np.uint8], parts: tuple[int, ...]) -> float:
    pair = [np.isin(m, parts).view(np.uint8) for m in (truth, found)]
    return dice_per_label(pair[0], pair[1], [1])[1]
