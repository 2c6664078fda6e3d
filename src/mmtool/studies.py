"""What ``mmtool report`` was given: images, and what they are said to be.

Nothing here imports numpy or torch at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SaidBy = Literal["header", "model", "unknown"]
ImageKind = Literal["image", "volume", "slide"]


@dataclass(frozen=True)
class Said:
    """One thing that is said of an image as a whole.

    Attributes:
        value: In plain words, or "" where nobody knows.
        by: Who says it: the file's header goes first.
        probability: Calibrated, 0 to 1, where a model says it.
    """

    value: str = ""
    by: SaidBy = "unknown"
    probability: float | None = None


@dataclass(frozen=True)
class Gate:
    """What an image is, and whether the models know such images.

    Attributes:
        modality: CT, MR, X-ray, US, ...
        plane: axial, coronal, sagittal, frontal, lateral.
        region: head, chest, abdomen, ...
        sequence: Of MR: T1, T2, FLAIR, ...
        contrast: Whether a contrast agent was given.
        known: Whether findings may be told of it at all.
        uncertainty: Evidential, 0 to 1, of the modality; None where no model was asked.
        reasons: Plain sentences on why it is not known.
    """

    modality: Said = Said()
    plane: Said = Said()
    region: Said = Said()
    sequence: Said = Said()
    contrast: Said = Said()
    known: bool = False
    uncertainty: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Instance:
    """A DICOM object by its identifiers.

    Attributes:
        sop_class: Kind of the object.
        sop_instance: The object.
    """

    sop_class: str
    sop_instance: str


@dataclass(frozen=True)
class Contradicted:
    """A generated sentence that is left out.

    Attributes:
        sentence: As it was written.
        about: What of it is contradicted: modality, plane, region, a finding, ...
        reason: Why.
    """

    sentence: str
    about: str
    reason: str


@dataclass(frozen=True)
class StudyImage:
    """One image, volume or slide of the study.

    Attributes:
        number: From 1.
        name: Of the file or folder, without where it lies.
        sha256: Of the bytes that were read.
        kind: What it is.
        shape: Slices, rows and columns as they were looked at.
        gate: What it is and whether the models know such images.
        sentence: The gate, as it is told.
        spacing: mm along those axes, or None where nobody knows.
        study_uid: Of DICOM, else "".
        series_uid: Of DICOM, else "".
        instances: DICOM objects that it was read from.
        notes: Plain sentences on what the reader had to do.
        generated: Words of a text generator, which rest on no evidence, or ""; without those that
            are contradicted.
        contradicted: Generated sentences that the gate or the table of what can be seen in such an
            image speaks against.
    """

    number: int
    name: str
    sha256: str
    kind: ImageKind
    shape: tuple[int, ...]
    gate: Gate
    sentence: str = ""
    spacing: tuple[float, ...] | None = None
    study_uid: str = ""
    series_uid: str = ""
    instances: tuple[Instance, ...] = ()
    notes: tuple[str, ...] = ()
    generated: str = ""
    contradicted: tuple[Contradicted, ...] = ()


@dataclass(frozen=True)
class Study:
    """What was given.

    Attributes:
        images: All images, in the order given.
        indication: Why the study was made, as the user says.
    """

    images: tuple[StudyImage, ...]
    indication: str = ""
