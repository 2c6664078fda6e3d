"""What an image is, and whether the models may speak of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtool.models.report.admissibility import ABDOMEN, CHEST, HEAD, LIMBS, PELVIS
from mmtool.models.report.model import ReportModel, Told
from mmtool.pipelines.report_images import Seen
from mmtool.retrieval import Picture
from mmtool.studies import Gate, Said

_FLAT = 0.01  # spread of grey values below which an image is blank
_EDGE = 0.12  # of the border that burned-in text may stand in; not looked at for blankness
_NEAR_GREY = 0.1  # of the range, that still counts as black or white
_TWO_GREYS_SHARE = 0.97  # of the pixels, above which an image has no greys
_COLOURED = 0.15  # difference of channels that is a colour
_COLOURED_SHARE = 0.15  # of the pixels, above which an image is a coloured one
_SURE = 0.95  # of the model that contradicts a header
_TOLD = 0.7  # probability below which a guess is not told
# Body Part Examined and words of people -> region of the models.
_PARTS: tuple[tuple[str, str], ...] = (
    (HEAD, r"head|brain|skull|neck|orbit|eye|face|sinus|pituitary|ear|temporal|jaw|larynx"),
    (CHEST, r"chest|thorax|lung|heart|cardiac|breast|mediastin|coronary|rib"),
    (PELVIS, r"pelvis|prostate|uterus|bladder|kidney|renal|urinary|ovary|ureter"),
    (ABDOMEN, r"abdom|liver|pancrea|spleen|bowel|colon|stomach|gallbladder|biliary"),
    (LIMBS, r"spine|knee|hip|shoulder|elbow|wrist|hand|foot|ankle|leg|arm|thigh|extremity|femur|"
            r"humerus|tibia|finger|toe|bone"),
)  # fmt: skip
_SEQUENCES: tuple[tuple[str, str], ...] = (
    ("FLAIR", r"flair"),
    ("diffusion", r"dwi|adc|diff|\bep2d|trace"),
    ("T2*", r"t2\*|t2star|swi|swan|gre|medic"),
    ("T1", r"t1|mprage|spgr|bravo"),
    ("T2", r"t2"),
)
FILMS = ("XR",)


@dataclass(frozen=True)
class Look:
    """An image and its vectors.

    Attributes:
        image: The image.
        slices: Slices that were looked at, each with its place.
        vectors: (S, dim) of them, each of length 1.
    """

    image: Seen
    slices: Sequence[tuple[int, Picture]]
    vectors: NDArray[np.float32]


def gate_of(look: Look, model: ReportModel) -> Gate:
    """The gate of one image: headers go first, the model fills in what they don't say."""
    reasons = list(_unfit(look.slices))
    if reasons:
        return Gate(modality=_header(look, "modality"), known=False, reasons=tuple(reasons))
    told = {name: model.told(name, look.vectors) for name in model.heads if name in _ASKED}
    modality = _first(_header(look, "modality"), told.get("modality"))
    region = _first(_region(look.image), told.get("region"))
    plane = _first(_plane(look.image), told.get("plane"))
    reasons += _strangeness(look, model)
    reasons += _contradictions(modality, region, told, model)
    sequence, contrast = Said(), Said()
    if modality.value == "MR":
        sequence = _first(_sequence(look.image), told.get("sequence"))
    if modality.value in ("CT", "MR"):
        contrast = _first(_contrast(look.image), told.get("contrast"))
    unsure = told["modality"].uncertainty
    if modality.by == "model" and unsure > model.thresholds.uncertainty:
        reasons.append(f"the model is not sure what this is (uncertainty {unsure:.2f})")
    if not modality.value and not reasons:
        reasons.append("the model is not sure whether this is CT, MR or X-ray")
    if reasons:  # what a model says of an image that it does not know is no fact
        modality, plane, region, sequence, contrast = (
            said if said.by == "header" else Said()
            for said in (modality, plane, region, sequence, contrast)
        )
    return Gate(
        modality, plane, region, sequence, contrast, not reasons, round(unsure, 4), tuple(reasons)
    )


_ASKED = ("modality", "plane", "region", "sequence", "contrast")


def _unfit(slices: Sequence[tuple[int, Picture]]) -> Iterator[str]:
    """What can be seen without a model: nothing at all, or colours."""
    pixels = [picture.pixels[0] for _, picture in slices]
    if all(_is_blank(p) for p in pixels):
        yield "the image is blank"
    elif all(_two_greys(p) > _TWO_GREYS_SHARE for p in pixels):
        yield "the image is black and white only, like a drawing or a page"
    elif any(_coloured(p) > _COLOURED_SHARE for p in pixels):
        yield "the image is in colour, and the models know grey radiological images only"


def _is_blank(pixels: NDArray[np.float32]) -> bool:
    high, wide = (max(1, round(_EDGE * n)) for n in pixels.shape[:2])
    return float(pixels[high:-high, wide:-wide].std()) < _FLAT


def _two_greys(pixels: NDArray[np.float32]) -> float:
    """Share of the pixels that are as dark or as bright as any, or nearly so."""
    grey = pixels.mean(-1) if pixels.ndim == 3 else pixels
    low, high = float(grey.min()), float(grey.max())
    near = _NEAR_GREY * (high - low)
    return float(((grey < low + near) | (grey > high - near)).mean())


def _coloured(pixels: NDArray[np.float32]) -> float:
    """Share of the pixels that have a colour."""
    if pixels.ndim == 2:
        return 0.0
    return float((pixels.max(-1) - pixels.min(-1) > _COLOURED).mean())


def _strangeness(look: Look, model: ReportModel) -> Iterator[str]:
    """What the vectors say of how far an image is from all that was trained on."""
    inside, nearest = model.inside(look.vectors)
    if inside < model.thresholds.inside:
        yield f"it does not look like a CT, MR or X-ray image (probability {inside:.2f})"
    if nearest < model.thresholds.nearest:
        yield f"it is far from every image that the models were trained on ({nearest:.2f})"


def _contradictions(
    modality: Said, region: Said, told: dict[str, Told], model: ReportModel
) -> Iterator[str]:
    """What headers say and the models don't know, or see otherwise."""
    known = model.heads["modality"].classes
    if modality.by == "header" and modality.value not in known:
        yield f"the header says {modality.value}; the models know {', '.join(known)}"
        return
    seen = told["modality"]
    if modality.by == "header" and seen.value != modality.value and seen.probability >= _SURE:
        yield f"the header says {modality.value}, and the pixels look like {seen.value}"
    pair = (modality.value, region.value)
    if all(pair) and pair not in model.pairs:
        yield f"the models were not trained on {modality.value} of this region ({region.value})"


def _header(look: Look, name: str) -> Said:
    value = str(look.image.picture.facts.get(name, ""))
    return Said(value, "header") if value else Said()


def _first(header: Said, told: Told | None) -> Said:
    if header.value or told is None:
        return header
    if told.probability < _TOLD:
        return Said()
    return Said(told.value, "model", round(told.probability, 4))


def _plane(image: Seen) -> Said:
    plane = image.plane or str(image.picture.facts.get("plane", ""))
    if image.kind == "volume" and not image.plane:
        plane = "all planes"
    return Said(plane, "header") if plane else Said()


def regions_of(words: str) -> list[str]:
    """Regions of the models that words for parts of the body mean."""
    lower = words.lower()
    return [name for name, pattern in _PARTS if re.search(rf"\b(?:{pattern})", lower)]


def region_of(words: str) -> str:
    """The first of `regions_of`, or ""."""
    return next(iter(regions_of(words)), "")


def _region(image: Seen) -> Said:
    part = str(image.picture.facts.get("anatomy", ""))
    value = region_of(part)
    return Said(value, "header") if value else Said()


def _sequence(image: Seen) -> Said:
    """By the description of the series, of which nothing but the sequence is kept."""
    words = image.uid("SeriesDescription").lower()
    value = next((name for name, pattern in _SEQUENCES if re.search(pattern, words)), "")
    return Said(value, "header") if value else Said()


def _contrast(image: Seen) -> Said:
    return Said("yes", "header") if image.uid("ContrastBolusAgent").strip() else Said()
