"""Findings of the heads, each with a heat map that was measured and not assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmtool.models.report.admissibility import admissible
from mmtool.models.report.evidential import Opinion
from mmtool.models.report.model import ReportModel
from mmtool.models.report.sentences import finding_sentence
from mmtool.models.text.findings import BY_NAME
from mmtool.pipelines.report_gate import Look
from mmtool.reports import Evidence, Finding, Gate, Presence, Support
from mmtool.retrieval import JointEncoder, Picture

_GRID = 8  # fields along each side that are hidden one after the other
_HOTTEST = 0.2  # share of the fields that is hidden to test a map
_DRAWS = 4  # random sets of fields beside it
PRESENT = "present"


@dataclass(frozen=True)
class Heat:
    """Where a finding hangs on the picture.

    Attributes:
        grid: (8, 8) drop of the log odds when a field is hidden, at least 0.
        agreement: See `mmtool.reports.Evidence`.
        slice: Place of the slice.
        picture: The slice.
    """

    grid: NDArray[np.float32]
    agreement: float
    slice: int
    picture: Picture


def findings_of(
    look: Look,
    gate: Gate,
    model: ReportModel,
    encoder: JointEncoder,
    *,
    first: int,
    votes: Mapping[str, Opinion],
    support: Mapping[str, tuple[Support, ...]],
) -> tuple[list[Finding], dict[str, Heat]]:
    """What the heads say of one image, and the heat map of each finding by its id.

    Args:
        look: The image and its vectors.
        gate: What it is; nothing is told of an image that is not known.
        model: The heads.
        encoder: For the heat maps.
        first: Number of the first finding.
        votes: Opinions of retrieved cases by finding.
        support: Retrieved cases by finding.
    """
    found: list[Finding] = []
    heats: dict[str, Heat] = {}
    if not gate.known:
        return found, heats
    kind = (gate.modality.value, gate.region.value, gate.contrast.value)
    for name, (possible, sure) in model.cuts.items():
        if not admissible(name, *kind):
            continue
        told = model.told(name, look.vectors, *(votes[n] for n in [name] if n in votes))
        chance = told.probabilities[PRESENT]
        if chance < possible:
            continue
        key = f"f{first + len(found)}"
        heats[key] = heat_of(look, name, model, encoder)
        presence: Presence = "present" if chance >= sure else "uncertain"
        finding = Finding(
            key,
            name,
            presence,
            finding_sentence(name, presence, chance, gate.region.value),
            "report heads",
            code=BY_NAME[name].code,
            probability=round(chance, 4),
            uncertainty=round(told.uncertainty, 4),
            evidence=(_evidence(key, heats[key], look.image.number),),
            support=support.get(name, ()),
        )
        found.append(finding)
    return found, heats


def _evidence(key: str, heat: Heat, image: int) -> Evidence:
    path = f"evidence/{key}.png"
    agreement = round(heat.agreement, 4)
    return Evidence("heat map", image, path, slice=heat.slice, agreement=agreement)


def heat_of(look: Look, name: str, model: ReportModel, encoder: JointEncoder) -> Heat:
    """Hide one field of the telling slice after the other (Zeiler and Fergus 2014).

    The map is tested as it is made: its hottest fields are hidden together, and as many random
    ones for comparison.
    """
    logits = model.logit(name, PRESENT, look.vectors)
    best = int(logits.argmax())
    place, picture = look.slices[best]
    fields = [(i, j) for i in range(_GRID) for j in range(_GRID)]
    hidden = _logits(name, [hide(picture, [f]) for f in fields], model, encoder)
    drop = (logits[best] - hidden).clip(0).reshape(_GRID, _GRID)
    count = round(_HOTTEST * len(fields))
    hot = [fields[k] for k in np.argsort(-drop.ravel())[:count]]
    rng = np.random.default_rng(0)
    random = [
        [fields[k] for k in rng.choice(len(fields), count, replace=False)] for _ in range(_DRAWS)
    ]
    together = _logits(name, [hide(picture, s) for s in (hot, *random)], model, encoder)
    agreement = float(together[1:].mean() - together[0])
    return Heat(drop.astype(np.float32), agreement, place, picture)


def _logits(
    name: str, pictures: Sequence[Picture], model: ReportModel, encoder: JointEncoder
) -> NDArray[np.float64]:
    vectors = model.projected(encoder.encode_pictures(pictures).vectors)
    return model.logit(name, PRESENT, vectors)


def hide(picture: Picture, fields: Sequence[tuple[int, int]]) -> Picture:
    """The picture with fields of the grid filled with its mean."""
    pixels = picture.pixels.copy()
    high, wide = pixels.shape[1:3]
    mean = pixels.mean((0, 1, 2))
    for i, j in fields:
        rows = slice(i * high // _GRID, (i + 1) * high // _GRID)
        columns = slice(j * wide // _GRID, (j + 1) * wide // _GRID)
        pixels[:, rows, columns] = mean
    return replace(picture, pixels=pixels)
