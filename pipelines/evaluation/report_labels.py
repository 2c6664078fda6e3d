"""The labeller of findings beside what people indexed: MeSH headings of chest reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmtool.io.limits import Limits
from mmtool.io.readers.json_lines import read_json_lines
from mmtool.models.text.findings import label

_REPORTS = Path("openi_reports") / "reports.jsonl.gz"
# By which headings people indexed a finding; what is before the first slash of a heading.
HEADINGS: Mapping[str, frozenset[str]] = {
    "pleural effusion": frozenset(("Pleural Effusion",)),
    "pneumothorax": frozenset(("Pneumothorax", "Hydropneumothorax")),
    "consolidation": frozenset(("Consolidation", "Pneumonia", "Airspace Disease")),
    "lung opacity": frozenset(("Opacity", "Infiltrate")),
    "atelectasis": frozenset(("Pulmonary Atelectasis",)),
    "cardiomegaly": frozenset(("Cardiomegaly",)),
    "pulmonary edema": frozenset(("Pulmonary Edema", "Pulmonary Congestion")),
    "emphysema": frozenset(
        ("Emphysema", "Pulmonary Emphysema", "Pulmonary Disease, Chronic Obstructive")
    ),
    "hiatal hernia": frozenset(("Hernia, Hiatal",)),
    "nodule": frozenset(("Nodule", "Granuloma", "Calcified Granuloma", "Granulomatous Disease")),
    "mass": frozenset(("Mass",)),
    "calcification": frozenset(("Calcinosis", "Calcified Granuloma")),
    "fracture": frozenset(("Fractures, Bone",)),
    "degenerative change": frozenset(("Osteophyte", "Spondylosis", "Arthritis")),
    "device": frozenset(
        ("Implanted Medical Device", "Medical Device", "Catheters, Indwelling", "Tube, Inserted",
         "Stents", "Surgical Instruments")
    ),
}  # fmt: skip


def label_counts(data: Path, limits: Limits) -> dict[str, NDArray[np.int64]]:
    """(N, 3) by finding: reports in which both, only the labeller, and only the headings have it.

    ``""`` is all findings together. A doubtful finding counts as had, as people index it. Empty
    where there are no reports.

    Raises:
        InputError: The reports can't be read.
    """
    marks = [(_said(r), _indexed(r)) for r in _reports(data / _REPORTS, limits)]
    if not marks:
        return {}
    each = {
        name: np.array(
            [(name in s and name in t, name in s - t, name in t - s) for s, t in marks], np.int64
        )
        for name in HEADINGS
    }
    return {"": np.sum(list(each.values()), axis=0), **each}


def _reports(path: Path, limits: Limits) -> Iterator[Mapping[str, str]]:
    if not path.is_file():
        return
    for _, row in read_json_lines(path, limits):
        if row.get("mesh_major", "") not in ("", "No Indexing"):
            yield row


def _said(report: Mapping[str, str]) -> frozenset[str]:
    found = label(f"{report.get('findings', '')} {report.get('impression', '')}")
    return frozenset(n for n, said in found.items() if said != "absent" and n in HEADINGS)


def _indexed(report: Mapping[str, str]) -> frozenset[str]:
    heads = {m.split("/")[0].strip() for m in report["mesh_major"].split("; ")}
    return frozenset(name for name, known in HEADINGS.items() if known & heads)
