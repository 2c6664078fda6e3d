"""Labelled images for ``mmtool train report``, from the tables of MedPix 2.0 and the chest films.

What a caption does not name counts as absent in training; that is weak, and the card says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.table_text import open_table
from mmtool.models.report.admissibility import (
    ABDOMEN,
    CHEST,
    CT,
    HEAD,
    LIMBS,
    MR,
    PELVIS,
    XRAY,
    admissible,
)
from mmtool.models.report.model import INSIDE, KNOWN
from mmtool.models.text.findings import TERMS, label
from mmtool.pipelines.training.leaked import LEAKED

TRAIN, DEV = "train", "dev"
_MEDPIX, _FILMS = "medpix2", "covid_cxr"
_REGIONS = {
    "Head": HEAD,
    "Thorax": CHEST,
    "Abdomen": ABDOMEN,
    "Spine and Muscles": LIMBS,
    "Reproductive and Urinary System": PELVIS,
}
_PLANES = {"Axial": "axial", "Transverse": "axial", "Coronal": "coronal", "Sagittal": "sagittal"}
_SEQUENCES = (
    ("T2*", "T2*"), ("FLAIR", "FLAIR"), ("T1W", "T1"), ("T2 weighted", "T2"),
    ("DWI", "diffusion"), ("ADC", "diffusion"),
)  # fmt: skip
_NO_IMAGE = ("Drawing", "Photograph", "Gross Pathology")
_MIXED = ("Montage", "Spectroscopy")
_OF_MEDPIX = ("image", "case_id", "split", "modality", "plane", "location_category", "caption")
_DEV_SHARE = 0.2  # of the patients with films


@dataclass(frozen=True)
class Labelled:
    """An image with what is known of it.

    Attributes:
        path: The file.
        group: Case or patient; all images of one are on one side of every split.
        split: ``train`` or ``dev``.
        labels: Question -> class, of what is known.
        caption: Its caption, or "".
    """

    path: Path
    group: str
    split: str
    labels: Mapping[str, str] = field(default_factory=dict)
    caption: str = ""


def labelled_images(data: Path) -> list[Labelled]:
    """All images of a folder that holds ``medpix2`` and, if there, ``covid_cxr``.

    One that is in the test part of MedPix too is left out.

    Raises:
        InputError: The tables are not there, or can't be read.
    """
    every = (*_medpix(data / _MEDPIX), *_films(data / _FILMS))
    rows = [row for row in every if row.path.name not in LEAKED]
    if not rows:
        raise InputError(
            f"{data}: neither {_MEDPIX}/images.csv nor {_FILMS}/images.csv in it",
            "give the folder that holds them",
        )
    return rows


def _table(folder: Path, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    path = folder / "images.csv"
    if not path.is_file():
        return
    table = open_table(path, Limits())
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}", "see the data's README")
    for _, cells in table.rows():
        yield dict(zip_longest(table.columns, cells, fillvalue=""))


def _medpix(folder: Path) -> Iterator[Labelled]:
    for row in _table(folder, _OF_MEDPIX):
        labels: dict[str, str] = {}
        if any(word in row["plane"] + row["modality"] for word in _NO_IMAGE):
            labels[INSIDE] = "other"
        elif not any(word in row["plane"] + row["modality"] for word in _MIXED):
            labels = _medpix_labels(row)
        split = TRAIN if row["split"] == "train" else DEV
        path = folder / "images" / row["image"]
        yield Labelled(path, row["case_id"], split, labels, row["caption"])


def _medpix_labels(row: Mapping[str, str]) -> dict[str, str]:
    said = row["modality"].strip()
    modality = CT if said.startswith("CT") else MR if said.startswith("MR") else ""
    if not modality:
        return {}
    labels = {
        INSIDE: KNOWN,
        "modality": modality,
        "plane": _PLANES.get(row["plane"], ""),
        "region": _REGIONS.get(row["location_category"], ""),
        "contrast": _contrast(said),
    }
    if modality == MR:
        labels["sequence"] = next((name for word, name in _SEQUENCES if word in said), "")
    labels |= finding_labels(row["caption"], modality, labels["region"], labels["contrast"])
    return {question: value for question, value in labels.items() if value}


def _contrast(modality: str) -> str:
    if "noncontrast" in modality:
        return "no"
    given = ("w/contrast", "IV Contrast", "w/Gad", "w/Gd", "CTA")
    return "yes" if any(word in modality for word in given) else ""


def finding_labels(caption: str, modality: str, region: str, contrast: str = "") -> dict[str, str]:
    """Classes of the findings that may be told of an image, by its caption.

    A finding that the caption doubts has none.
    """
    said = label(caption)
    classes = {"present": "present", "absent": "absent", "uncertain": ""}
    return {
        term.name: classes[said.get(term.name, "absent")]
        for term in TERMS
        if admissible(term.name, modality, region, contrast)
    }


def _films(folder: Path) -> Iterator[Labelled]:
    """Chest films; their notes speak of the patient more than of the film, so no findings."""
    labels = {INSIDE: KNOWN, "modality": XRAY, "plane": "frontal", "region": CHEST}
    for row in _table(folder, ("image", "patient_id")):
        group = f"film-{row['patient_id']}"
        share = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 0x1_0000_0000
        split = DEV if share < _DEV_SHARE else TRAIN
        yield Labelled(folder / "images" / row["image"], group, split, labels)
