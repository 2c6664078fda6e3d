"""Answers to questions about a study, from the gate, the heads and the measurements only."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from mmtool.models.report.admissibility import admissible
from mmtool.models.text.findings import named_findings
from mmtool.pipelines.report_gate import region_of, regions_of
from mmtool.reports import Answer, Finding
from mmtool.studies import Gate, Said

CANNOT = "cannot tell"
NAMES = {"CT": "CT", "MR": "MRI", "XR": "X-ray", "US": "ultrasound"}
_MODALITY = {
    "CT": r"\bct\b|computed tomograph\w+|cat scan", "MR": r"\bmri?\b|magnetic resonance",
    "XR": r"\bx-?rays?\b|\bradiograph\w*|plain film", "US": r"\bultraso\w+",
}  # fmt: skip
_PLANES = ("axial", "coronal", "sagittal", "frontal", "lateral")
_SEQUENCES = ("flair", "t2", "t1", "diffusion")
_CLOSED = re.compile(r"^\s*(?:is|are|was|were|does|do|did|has|have|can|could|any)\b", re.I)
_ASKS = (
    ("modality", r"modality|type of (?:image|imaging|scan|study|exam)|kind of (?:image|scan)|"
                 r"how (?:was|is|were).*(?:taken|acquired|obtained|made)|what (?:image|scan) is"),
    ("plane", r"\bplane\b|\bview\b|orientation|how is the .*oriented"),
    ("contrast", r"contrast|gadolinium|enhanced (?:image|scan)"),
    ("sequence", r"sequence|weighted|weighting|\bflair\b|\bt[12]\b"),
    ("region", r"(?:what|which) (?:organ|part|region|body|area)|organ system|body part|anatom"),
)  # fmt: skip
_SIZE = re.compile(r"volume|how (?:large|big)|size")


def answer(
    question: str, gates: Sequence[Gate], findings: Sequence[Finding], validated: Collection[str]
) -> Answer:
    """Answer a question, or say that nothing here can.

    Args:
        question: Closed (yes or no) or open.
        gates: Of all images.
        findings: What was found.
        validated: Findings that a model here can tell.
    """
    lower = question.lower()
    measured = _measured(question, lower, findings)
    if measured is not None:
        return measured
    known = [g for g in gates if g.known or g.modality.by == "header"]
    if not known:
        return Answer(question, CANNOT, False, "the models are silent on these images")
    steps: tuple[Callable[[], Answer | None], ...] = (
        lambda: _finding(question, lower, known, findings, validated),
        lambda: _kind(question, lower, known[0]),
    )
    for step in steps:
        found = step()
        if found is not None:
            return found
    return Answer(question, CANNOT, False, "nothing that was measured or validated tells it")


def _measured(question: str, lower: str, findings: Sequence[Finding]) -> Answer | None:
    if not _SIZE.search(lower):
        return None
    for finding in findings:
        if finding.text in lower and finding.measurements:
            return Answer(question, finding.sentence, True, f"measured by {finding.by}")
    return None


def _finding(
    question: str,
    lower: str,
    gates: Sequence[Gate],
    findings: Sequence[Finding],
    validated: Collection[str],
) -> Answer | None:
    """Yes or no to a finding that the question names."""
    names = [n.name for n in named_findings(lower.replace("?", "."))]
    if not names or not _CLOSED.match(question):
        return None
    name = names[0]
    kinds = [(g.modality.value, g.region.value, g.contrast.value) for g in gates]
    if not any(admissible(name, *k) for k in kinds):
        return Answer(question, CANNOT, False, f"{name} can't be told from these images")
    if name not in validated:
        return Answer(question, CANNOT, False, f"no model here was validated for {name}")
    own = next((f for f in findings if f.text == name), None)
    if own is None:
        return Answer(question, CANNOT, False, f"the model sees no sign of {name}; no all-clear")
    if own.presence == "present":
        return Answer(question, "yes", True, own.sentence, own.probability)
    return Answer(question, CANNOT, False, own.sentence, own.probability)


def _kind(question: str, lower: str, gate: Gate) -> Answer | None:
    """What the image is."""
    asked = _asked(lower)
    if asked is None:
        return None
    said: Said = getattr(gate, asked)
    if not said.value:
        return Answer(question, CANNOT, False, f"the {asked} is not known")
    reason = "the header says so" if said.by == "header" else "by the model"
    if _CLOSED.match(question):
        yes = _says(asked, lower, said.value)
        if yes is None:
            return None
        return Answer(question, "yes" if yes else "no", True, reason, said.probability)
    value = NAMES.get(said.value, said.value)
    return Answer(question, value, True, reason, said.probability)


def _asked(lower: str) -> str | None:
    """What the question is about."""
    found = next((name for name, pattern in _ASKS if re.search(pattern, lower)), None)
    if found is None and _CLOSED.match(lower):
        if any(re.search(p, lower) for p in _MODALITY.values()):
            return "modality"
        if any(plane in lower for plane in _PLANES):
            return "plane"
        if region_of(lower):
            return "region"
    return found


def _says(asked: str, lower: str, value: str) -> bool | None:
    """Whether what a closed question names is what is there; None if it names nothing."""
    if asked == "contrast":
        return (value == "yes") != bool(re.search(r"non-?contrast|without", lower))
    if asked == "sequence":
        value = value.lower()
    named = named_kinds(asked, lower)
    return value in named if named else None


def named_kinds(asked: str, lower: str) -> set[str]:
    """Modalities, planes, sequences or regions that words in small letters name."""
    if asked == "modality":
        return {name for name, p in _MODALITY.items() if re.search(p, lower)}
    if asked == "plane":
        return {p for p in _PLANES if p in lower}
    if asked == "sequence":
        return {s for s in _SEQUENCES if s in lower}
    return set(regions_of(lower))
