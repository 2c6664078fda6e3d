"""A given report beside what was found: agreements, contradictions, what nothing here supports."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from mmtool.models.report.admissibility import admissible
from mmtool.models.text.findings import Named, named_findings
from mmtool.models.text.sections import clean, sentences
from mmtool.pipelines.report_gate import regions_of
from mmtool.reports import Check, Finding, Verdict
from mmtool.studies import Gate

_MODALITY = {
    "CT": r"\bct\b|computed tomograph\w+", "MR": r"\bmri?\b|magnetic resonance",
    "XR": r"\bx-?rays?\b|\bradiograph\w*", "US": r"\bultraso\w+|\bsonogra\w+",
}  # fmt: skip
_PLANE = {name: rf"\b{name}\b" for name in ("axial", "coronal", "sagittal")}
# "T2" alone may be a vertebra.
_SEQUENCE = {
    "T1": r"\bt1(?:-?w\b|[ -]weighted)", "T2": r"\bt2(?:-?w\b|[ -]weighted)",
    "FLAIR": r"\bflair\b", "diffusion": r"\bdwi\b|\bdiffusion[ -]weighted",
}  # fmt: skip
_CONTRAST = {
    "no": r"\bnon-?contrast|\bunenhanced|\bwithout (?:iv |intravenous )?contrast",
    "yes": r"\bwith (?:iv |intravenous )?contrast|\bcontrast[ -]enhanced|\bpost-?contrast",
}
_KINDS = {"modality": _MODALITY, "plane": _PLANE, "sequence": _SEQUENCE, "contrast": _CONTRAST}
# What an image is said to be of: "chest CT", "CT scan of the chest and abdomen shows ...".
_ANY = "|".join(_MODALITY.values())
_BEFORE = re.compile(rf"((?:\w+ ){{0,2}}\w+)[ -](?:{_ANY})")
_WHERE = re.compile(r"\b(?:on|by|in|at|from|to)\b")  # "a mass of the liver on CT"
_OF = re.compile(rf"(?:{_ANY})(?: \w+){{0,3}}? (?:of|through) ([\w ,/-]{{1,80}})")
_VERB = re.compile(
    r"\b(?:with|without|shows?|showed|demonstrate[ds]?|reveals?|is|are|was|were|there)\b"
)
_SIDE = re.compile(r"\b(?:left|right|bilateral)\b")
_LENGTH = re.compile(r"\d{1,4}(?:\.\d{1,3})? ?(?:mm|cm)\b")
_ML = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)\s*(?:ml|cc|cm3|milliliters?)\b")
_NEAR = 0.15  # share by which a stated volume may be off
_EVEN = 5.0  # % of asymmetry below which no side is larger
_SMALLER = re.compile(r"\b(?:smaller|atroph\w+|reduced|volume loss)\b")
_LARGER = re.compile(r"\b(?:larger|enlarged|bigger)\b")


def check_report(
    text: str, gates: Sequence[Gate], findings: Sequence[Finding], validated: Collection[str]
) -> tuple[Check, ...]:
    """Compare each sentence that says what is to be seen, statement by statement.

    A sentence may state several things ("axial CT of the chest"): each gets a verdict of its own,
    so that no sentence agrees by one word of it. What nothing here knows is not checked.

    Args:
        text: The given report.
        gates: Of all images.
        findings: What was found in them.
        validated: Findings that a model here can tell.
    """
    out: list[Check] = []
    for sentence in sentences(clean(text)):
        if sentence.asks and any(c.isalpha() for c in sentence.text):
            out += _check(sentence.text, gates, findings, validated)
    return tuple(out)


def _check(
    sentence: str, gates: Sequence[Gate], findings: Sequence[Finding], validated: Collection[str]
) -> list[Check]:
    """All that a sentence states, each once."""
    checks = [
        *_kind(sentence, gates),
        *_numbers(sentence, findings),
        *_named(sentence, gates, findings, validated),
    ]
    nothing = Check(sentence, "not checked", "it names nothing known here")
    return list(dict.fromkeys(checks)) or [nothing]


def _kind(sentence: str, gates: Sequence[Gate]) -> Iterator[Check]:
    """What the sentence says that the images are."""
    for about, said in _stated(sentence.lower()).items():
        own = [s for s in (getattr(g, about) for g in gates) if s.value]
        values = {s.value for s in own}
        if not own:
            yield Check(sentence, "not checked", f"the {about} is not known", about=about)
        elif "all planes" in values:
            yield Check(sentence, "not checked", "the volume has no plane of its own", about=about)
        else:
            by = " and ".join(sorted({f"the {s.by}" for s in own}))
            words = f"the {about} is {' and '.join(sorted(values))}, by {by}"
            verdict: Verdict = "agrees" if said & values else "contradicts"
            yield Check(sentence, verdict, words, about=about)


def _stated(lower: str) -> dict[str, set[str]]:
    """What a sentence says that an image is: modality, plane, region, sequence, contrast."""
    said = {
        about: {name for name, pattern in table.items() if re.search(pattern, lower)}
        for about, table in _KINDS.items()
    }
    parts = [_WHERE.split(part)[-1] for part in _BEFORE.findall(lower)]
    parts += [_VERB.split(part)[0] for part in _OF.findall(lower)]
    said["region"] = {name for part in parts for name in regions_of(part)}
    return {about: values for about, values in said.items() if values}


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
    about = f"{side} {finding.text}, volume".strip()
    yield Check(sentence, "agrees" if fits else "contradicts", reason, finding.id, about)


def _asymmetry(sentence: str, side: str, percent: float, finding: Finding) -> Iterator[Check]:
    """ "The left hippocampus is smaller": percent is left less right."""
    lower = sentence.lower()
    smaller, larger = bool(_SMALLER.search(lower)), bool(_LARGER.search(lower))
    if smaller == larger:
        return
    own = percent if side == "left" else -percent
    reason = f"left and right differ by {abs(percent):.1f} %"
    verdict: Verdict = "agrees" if (own < 0) == smaller else "contradicts"
    if abs(percent) < _EVEN:
        verdict = "unsupported"
    yield Check(sentence, verdict, reason, finding.id, f"{finding.text}, asymmetry")


def _named(
    sentence: str, gates: Sequence[Gate], findings: Sequence[Finding], validated: Collection[str]
) -> Iterator[Check]:
    for named in named_findings(sentence):
        found = _one(named, sentence, gates, findings, validated)
        yield found
        if found.verdict == "agrees" and named.presence != "absent":
            own = next((f for f in findings if f.id == found.finding), None)
            yield from _details(sentence, named.name, own)


def _details(sentence: str, name: str, own: Finding | None) -> Iterator[Check]:
    """Side and size of a finding that is there."""
    lower = sentence.lower()
    said, there = set(_SIDE.findall(lower)), "" if own is None else own.laterality
    if own is not None and there and len(said) == 1:
        verdict: Verdict = "agrees" if there in said else "contradicts"
        yield Check(sentence, verdict, f"the side is {there}", own.id, f"{name}, side")
    elif said:
        yield Check(sentence, "not checked", "the side is not known", about=f"{name}, side")
    if _LENGTH.search(lower):
        yield Check(sentence, "not checked", "no length is measured", about=f"{name}, size")


def _one(
    named: Named,
    sentence: str,
    gates: Sequence[Gate],
    findings: Sequence[Finding],
    validated: Collection[str],
) -> Check:
    """One finding that the sentence names."""
    name = named.name
    known = [g for g in gates if g.known]
    if not known:
        return Check(sentence, "not checked", "the models are silent on these images", about=name)
    kinds = [(g.modality.value, g.region.value, g.contrast.value) for g in known]
    can = [k for k in kinds if all(k[:2])]
    if can and not any(admissible(name, *k) for k in can):
        verdict: Verdict = "unsupported" if named.presence == "absent" else "contradicts"
        return Check(sentence, verdict, f"{name} can't be told from these images", about=name)
    if name not in validated:
        return Check(sentence, "not checked", f"no model here was validated for {name}", about=name)
    own = next((f for f in findings if f.text == name), None)
    if own is None:
        verdict = "unsupported" if named.presence == "present" else "agrees"
        return Check(sentence, verdict, f"the model sees no sign of {name}", about=name)
    if named.presence == "absent":
        verdict = "contradicts" if own.presence == "present" else "unsupported"
    else:
        verdict = "agrees"
    return Check(sentence, verdict, f"the model says: {name} {own.presence}", own.id, name)
