"""A given report beside what was found: agreements, contradictions, what nothing here supports."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from mmtool.models.report.admissibility import admissible
from mmtool.models.text.findings import Named, named_findings
from mmtool.models.text.sections import clean, sentences
from mmtool.reports import Check, Finding, Gate, Verdict

_MODALITY = {
    "CT": r"\bct\b|computed tomograph\w+", "MR": r"\bmri?\b|magnetic resonance",
    "XR": r"\bx-?rays?\b|\bradiograph\w*", "US": r"\bultraso\w+|\bsonogra\w+",
}  # fmt: skip
_PLANE = {name: rf"\b{name}\b" for name in ("axial", "coronal", "sagittal")}
_ML = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)\s*(?:ml|cc|cm3|milliliters?)\b")
_NEAR = 0.15  # share by which a stated volume may be off
_EVEN = 5.0  # % of asymmetry below which no side is larger
_SMALLER = re.compile(r"\b(?:smaller|atroph\w+|reduced|volume loss)\b")
_LARGER = re.compile(r"\b(?:larger|enlarged|bigger)\b")


def check_report(
    text: str, gates: Sequence[Gate], findings: Sequence[Finding], validated: Collection[str]
) -> tuple[Check, ...]:
    """Compare each sentence that says what is to be seen.

    Args:
        text: The given report.
        gates: Of all images.
        findings: What was found in them.
        validated: Findings that a model here can tell.
    """
    out: list[Check] = []
    for sentence in sentences(clean(text)):
        if sentence.asks and any(c.isalpha() for c in sentence.text):
            out.append(_check(sentence.text, gates, findings, validated))
    return tuple(out)


def _check(
    sentence: str, gates: Sequence[Gate], findings: Sequence[Finding], validated: Collection[str]
) -> Check:
    """The worst that can be said of a sentence, since one false word makes it false."""
    checks = [
        *_kind(sentence, gates),
        *_numbers(sentence, findings),
        *_named(sentence, gates, findings, validated),
    ]
    order: tuple[Verdict, ...] = ("contradicts", "unsupported", "agrees", "not checked")
    worst = sorted(checks, key=lambda c: order.index(c.verdict))
    return worst[0] if worst else Check(sentence, "not checked", "it names nothing known here")


def _kind(sentence: str, gates: Sequence[Gate]) -> Iterator[Check]:
    """What the sentence says that the images are."""
    lower = sentence.lower()
    for what, table, own in (
        ("modality", _MODALITY, {g.modality.value for g in gates}),
        ("plane", _PLANE, {g.plane.value for g in gates}),
    ):
        said = {name for name, pattern in table.items() if re.search(pattern, lower)}
        own -= {""}
        if not said or not own or "all planes" in own:
            continue
        words = f"the {what} is {' and '.join(sorted(own))}"
        yield Check(sentence, "agrees" if said & own else "contradicts", words)


def _numbers(sentence: str, findings: Sequence[Finding]) -> Iterator[Check]:
    """Volumes and sides of measured structures."""
    lower = sentence.lower()
    for finding in findings:
        values = {m.name: m.value for m in finding.measurements}
        place = lower.find(finding.text)
        if not values or place < 0:
            continue
        side = next((s for s in ("left", "right") if f"{s} {finding.text}" in lower), "")
        yield from _volume(sentence, lower[place:], side, values, finding)
        if side and "asymmetry" in values:
            yield from _asymmetry(sentence, side, values["asymmetry"], finding)


def _volume(
    sentence: str, behind: str, side: str, values: Mapping[str, float], finding: Finding
) -> Iterator[Check]:
    stated = _ML.search(behind)
    measured = values.get(f"{side} volume".strip())
    if stated is None or measured is None:
        return
    fits = abs(float(stated[1]) - measured) <= _NEAR * max(measured, 1e-9)
    reason = f"{measured:.2f} mL was measured"
    yield Check(sentence, "agrees" if fits else "contradicts", reason, finding.id)


def _asymmetry(sentence: str, side: str, percent: float, finding: Finding) -> Iterator[Check]:
    """ "The left hippocampus is smaller": percent is left less right."""
    lower = sentence.lower()
    smaller, larger = bool(_SMALLER.search(lower)), bool(_LARGER.search(lower))
    if smaller == larger:
        return
    own = percent if side == "left" else -percent
    reason = f"left and right differ by {abs(percent):.1f} %"
    if abs(percent) < _EVEN:
        yield Check(sentence, "unsupported", reason, finding.id)
    else:
        fits = (own < 0) == smaller
        yield Check(sentence, "agrees" if fits else "contradicts", reason, finding.id)


def _named(
    sentence: str, gates: Sequence[Gate], findings: Sequence[Finding], validated: Collection[str]
) -> Iterator[Check]:
    for named in named_findings(sentence):
        yield _one(named, sentence, gates, findings, validated)


def _one(
    named: Named,
    sentence: str,
    gates: Sequence[Gate],
    findings: Sequence[Finding],
    validated: Collection[str],
) -> Check:
    """One finding that the sentence names."""
    known = [g for g in gates if g.known]
    if not known:
        return Check(sentence, "not checked", "the models are silent on these images")
    kinds = [(g.modality.value, g.region.value, g.contrast.value) for g in known]
    can = [k for k in kinds if all(k[:2])]
    if can and not any(admissible(named.name, *k) for k in can):
        if named.presence == "absent":
            return Check(sentence, "unsupported", f"{named.name} can't be told from these images")
        return Check(sentence, "contradicts", f"{named.name} can't be told from these images")
    if named.name not in validated:
        return Check(sentence, "not checked", f"no model here was validated for {named.name}")
    own = next((f for f in findings if f.text == named.name), None)
    if own is None:
        verdict: Verdict = "unsupported" if named.presence == "present" else "agrees"
        return Check(sentence, verdict, f"the model sees no sign of {named.name}")
    if named.presence == "absent":
        verdict = "contradicts" if own.presence == "present" else "unsupported"
    else:
        verdict = "agrees"
    return Check(sentence, verdict, f"the model says: {named.name} {own.presence}", own.id)
