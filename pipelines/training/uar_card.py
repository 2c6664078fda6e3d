"""The card of a text generator of ``mmtool report``."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmtool import __version__
from mmtool.models.report.uar_writer import TASK, UarWriter
from mmtool.pipelines.training.report_card import MEDPIX, ReportTraining
from mmtool.pipelines.training.uar_fit import UarFit

_DRAWS = 1000


@dataclass(frozen=True)
class Chosen:
    """What was found on the cases left out.

    Attributes:
        likeness: ROUGE-L of each image.
        curve: Cross entropy by epoch, of both stages.
        epochs: That were kept, of both stages.
    """

    likeness: tuple[float, ...]
    curve: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    epochs: tuple[int, int] = (0, 0)


def card_of(
    options: ReportTraining, fit: UarFit, writer: UarWriter, chosen: Chosen, n: int, seconds: float
) -> dict[str, Any]:
    """All of the card but the hashes."""
    count = sum(value.numel() for value in writer.net.parameters())
    return {
        "task": TASK,
        "name": options.name,
        "version": __version__,
        "summary": "Writes a caption of a CT or MR image: patches as codes and words in one table "
        "and one transformer, a dual gate over an orthonormal basis, a learned mask (UAR). What it "
        "writes is no evidence.",
        "licence": "Apache-2.0",
        "use": "research",
        "data": [MEDPIX | {"n": n}],
        "training": {
            "command": f"mmtool train report --recipe uar --data {options.data.name} -o runs/uar "
            f"--seed {options.seed}",
            "seed": options.seed,
            "seconds": round(seconds),
            "hardware": f"{os.cpu_count()} cores, {platform.machine()}",
            "iterations": f"{fit.epochs[0]} and {fit.epochs[1]} epochs; kept: {chosen.epochs[0]} "
            f"and {chosen.epochs[1]}",
        },
        "metrics": [_likeness(chosen, options.seed)],
        "intended_use": [
            "To be measured beside sentences that are planned from what was found; research.",
        ],
        "limits": [
            "A sentence may be fluent and wrong: it names what captions of like images name.",
            "It saw about 1,500 images of teaching cases; words that fewer than two captions have "
            "are never written.",
            "It sees 128 x 128 pixels of one slice.",
        ],
        "size": {"parameters": count, "words": writer.vocabulary.size, "beams": writer.width},
        "cross_entropy_left_out": [
            f"stage {k + 1}: " + ", ".join(f"{v:.3f}" for v in curve)
            for k, curve in enumerate(chosen.curve)
        ],
    }


def _likeness(chosen: Chosen, seed: int) -> dict[str, Any]:
    """Mean ROUGE-L with the interval of drawing other images."""
    values = np.array(chosen.likeness)
    rng = np.random.default_rng(seed)
    draws = values[rng.integers(0, len(values), (_DRAWS, len(values)))].mean(1)
    low, high = np.quantile(draws, (0.025, 0.975))
    value = float(values.mean())
    return {
        "name": "ROUGE-L", "value": value, "low": min(float(low), value),
        "high": max(float(high), value), "n": len(values),
        "set": "training cases left out, on which epochs and beams were chosen", "baseline": None,
    }  # fmt: skip
