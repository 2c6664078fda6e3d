"""Findings of the heads, each with a heat map that was measured and not assumed."""

from __future__ import annotations

from collections.abc import Mapping

from mmtool.models.report.admissibility import admissible
from mmtool.models.report.evidential import Opinion
from mmtool.models.report.model import ReportModel
from mmtool.models.report.sentences import finding_sentence
from mmtool.models.text.findings import BY_NAME
from mmtool.pipelines.report_gate import Look
from mmtool.pipelines.report_heat import Heat, heat_of
from mmtool.reports import Evidence, Finding, Presence, Support
from mmtool.retrieval import JointEncoder
from mmtool.studies import Gate

PRESENT = "present"


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
        heats[key] = heat_of(look, name, PRESENT, model, encoder)
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
