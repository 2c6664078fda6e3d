"""Sentences of a report: a small grammar over what was found; it names no disease by itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mmtool.reports import Finding, Presence
from mmtool.studies import Gate

_MODALITIES = {"XR": "X-ray", "MR": "MR", "CT": "CT", "US": "ultrasound", "PT": "PET"}
_TINY_ML = 1.0  # of a side, below which a percentage says little
_ASYMMETRY = 10.0  # % between left and right from which on the side is named in the impression


def image_sentence(gate: Gate, number: int, several: bool) -> str:
    """What an image is: ``An axial T2-weighted MR image of the head.``"""
    which = f"Image {number}: " if several else ""
    if not gate.known:
        return f"{which or 'The image: '}not read, since {'; '.join(gate.reasons)}."
    plane = "" if gate.plane.value in ("", "all planes") else gate.plane.value
    sequence = gate.sequence.value
    weighted = f"{sequence}-weighted" if sequence in ("T1", "T2", "T2*") else sequence
    modality = _MODALITIES.get(gate.modality.value, gate.modality.value)
    words = [w for w in (plane, weighted, modality) if w]
    region = f" of the {gate.region.value}" if gate.region.value else ""
    contrast = {"yes": ", with contrast agent", "no": ", without contrast agent"}
    text = f"{' '.join(words)} image{region}{contrast.get(gate.contrast.value, '')}."
    return which + text[0].upper() + text[1:]


def finding_sentence(name: str, presence: Presence, probability: float, region: str) -> str:
    """A finding by a model, with how sure it is."""
    where = f" in the region told ({region})" if region else ""
    if presence == "present":
        return f"The model sees signs of {name}{where}, probability {probability:.2f}."
    return f"{_capital(name)} is possible{where}, probability {probability:.2f}; it is not certain."


def volume_sentence(name: str, volume: float, share: float) -> str:
    """Size of a structure; no norm is applied."""
    return f"{_capital(name)}: {volume:.2f} mL, {share:.2f} % of the brain."


def asymmetry_sentence(name: str, left: float, right: float, percent: float) -> str:
    """Both sides of a structure beside each other.

    Args:
        name: Of the structure, without its side.
        left: mL.
        right: mL.
        percent: Left less right by their mean.
    """
    larger = "left" if percent > 0 else "right"
    return (
        f"{_capital(name)}: left {left:.2f} mL, right {right:.2f} mL; the {larger} is larger by "
        f"{abs(percent):.1f} % of their mean."
    )


def impression(
    gates: Sequence[Gate], findings: Sequence[Finding], validated: Collection[str]
) -> tuple[str, ...]:
    """What matters, in a few sentences.

    Args:
        gates: Of all images.
        findings: What was found.
        validated: Findings that a model here can tell.
    """
    if not any(gate.known for gate in gates) and not findings:
        reasons = dict.fromkeys(r for gate in gates for r in gate.reasons)
        return (f"No findings are told: {'; '.join(reasons)}.",)
    by_model = [f for f in findings if f.probability is not None]
    out = [f.sentence for f in by_model if f.presence == "present"]
    doubtful = [f.text for f in by_model if f.presence == "uncertain"]
    if doubtful:
        out.append(f"Possible, not certain: {', '.join(doubtful)}.")
    out += [f.sentence for f in findings if _is_uneven(f)]
    if any(f.measurements for f in findings):
        out.append("Structures were measured; no norm was applied to their sizes.")
    if not validated:
        out.append("No model here was validated for a finding, so none is told; no all-clear.")
    elif not by_model:
        out.append("None of the findings that the models can tell was found; that is no all-clear.")
    return tuple(out)


def _is_uneven(finding: Finding) -> bool:
    """Whether left and right of a structure that is not tiny differ much."""
    values = {m.name: m.value for m in finding.measurements}
    sizes = [values.get(f"{side} volume", 0.0) for side in ("left", "right")]
    return abs(values.get("asymmetry", 0.0)) >= _ASYMMETRY and min(sizes) >= _TINY_ML


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
