"""The card of a model of ``mmtool report``."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmtool import __version__
from mmtool.models.report.model import INSIDE, KNOWN
from mmtool.pipelines.training.report_fit import FindingChance, Fitted, Rows
from mmtool.pipelines.training.report_measure import Measured

MEDPIX = {
    "name": "MedPix 2.0",
    "source": "https://github.com/CHILab1/MedPix-2.0 (10.1007/s41019-025-00297-8)",
    "licence": "not stated",
    "use": "research",
}
_SET = "20 % of the film patients, and the development split of MedPix-2.0 by its table"


@dataclass(frozen=True)
class ReportTraining:
    """Options of a run.

    Attributes:
        data: Folder with ``medpix2`` and ``covid_cxr``.
        encoder: Name or folder of the encoder.
        out: Folder of the run; the model is in ``model``.
        name: Of the model.
        seed: Of folds, draws and made images.
    """

    data: Path
    encoder: str
    out: Path
    name: str = "default"
    seed: int = 0


def card_of(
    options: ReportTraining, fitted: Fitted, found: Measured, rows: Rows, seconds: float
) -> dict[str, Any]:
    """All of the card but the hashes."""
    findings = [c for c in fitted.findings if c.name in fitted.model.cuts]
    told = ", ".join(c.name for c in findings) or "none"
    return {
        "task": "report",
        "name": options.name,
        "version": __version__,
        "summary": "Says what a radiological image is, which findings it may show, and when to be "
        "silent: evidential heads over the vectors of an encoder, fused with votes of neighbours.",
        "licence": "Apache-2.0",
        "use": "research",
        "data": _data(rows),
        "training": {
            "command": f"mmtool train report --data {options.data.name} --encoder "
            f"{Path(options.encoder).name} -o runs/report --seed {options.seed}",
            "seed": options.seed,
            "seconds": round(seconds),
            "hardware": f"{os.cpu_count()} cores, {platform.machine()}",
            "iterations": "to convergence (L-BFGS)",
        },
        "metrics": [_metric(m) for m in found.measures],
        "intended_use": [
            "Preliminary reports of CT, MR and chest X-ray images that a clinician reads.",
        ],
        "limits": [
            f"It tells these findings and no others: {told}.",
            "Labels of findings come from captions: what a caption does not name counts as absent.",
            "The encoder may have seen the development images without their labels.",
            "Teaching images of MedPix show disease; their frequencies are not those of a clinic.",
            "All chest films are of suspected pneumonia; a normal film is nothing it knows.",
            "No child, no pregnancy, no ultrasound, no nuclear medicine, no mammogram.",
        ],
        "findings_chosen_on_training_folds": [
            f"{c.name}: {c.cases} cases, AUC {c.auc:.2f} ({c.low:.2f} to {c.high:.2f}), "
            + _verdict(c, fitted)
            for c in fitted.findings
        ],
        "coverage_and_accuracy": [
            f"{question}: " + ", ".join(f"{share:.0%} {right:.3f}" for share, right in curve)
            for question, curve in found.coverage.items()
        ],
        "thresholds": [f"{k}: {v}" for k, v in vars(fitted.model.thresholds).items()],
    }


def _verdict(chance: FindingChance, fitted: Fitted) -> str:
    """What became of a finding that was tried."""
    if not chance.kept:
        return "not told"
    return "told" if chance.name in fitted.model.cuts else "not confirmed on other images, not told"


def _data(rows: Rows) -> list[dict[str, Any]]:
    known = rows.labels[INSIDE] == KNOWN
    films = int(((rows.labels["modality"] == "XR") & known).sum())
    slices = int(known.sum()) - films
    return [
        MEDPIX | {"n": slices},
        {
            "name": "COVID-19 chest X-ray lung bounding boxes",
            "source": "https://github.com/GeneralBlockchain/"
            "covid-19-chest-xray-lung-bounding-boxes-dataset",
            "licence": "by image: CC BY, CC BY-SA, CC BY-NC-SA, Apache-2.0",
            "use": "research",
            "n": films,
        },
    ]


def _metric(m: Any) -> dict[str, Any]:
    base = None if m.baseline is None else {
        "name": m.baseline[0], "value": round(m.baseline[1], 4),
    }  # fmt: skip
    return {
        "name": m.name, "value": m.value, "low": m.low, "high": m.high, "n": m.n,
        "set": _SET, "baseline": base,
    }  # fmt: skip
