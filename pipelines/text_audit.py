"""``text_audit.json``: what each sentence asked, what was done, where text and image differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.models.text.request import Reading, TextRequest, why_ignored

SCHEMA = 1
_FOUND_ML = 0.1  # less than this is noise of a 2 mm model, not a structure
_TOLERANCE = 0.35  # share by which a stated volume may differ from the measured one
_TOLERANCE_ML = 0.5
_COMPARED = 1.05  # sides closer than this are called equal
_NAMES = {label.index: label.name for label in (BRAIN, *BRAIN_LABELS)}


def build_audit(request: TextRequest, volumes_ml: Mapping[int, float]) -> dict[str, Any]:
    """Compare a text with the volumes that were found.

    Args:
        request: The parsed text.
        volumes_ml: Label index -> mL, of everything that the model found, asked for or not.

    Returns:
        Plain data: ``kind``, ``sentences``, ``asked``, ``segmented``, ``absent``, ``unknown``,
        ``suggestions`` and ``disagreements``.
    """
    everything = request.asked is None
    asked = sorted(_NAMES.keys() - {BRAIN.index}) if request.asked is None else request.asked
    return {
        "schema": SCHEMA,
        "kind": request.kind,
        "everything": everything,
        "asked": _names(asked),
        "segmented": [
            {"name": _NAMES[i], "index": i, "volume_ml": round(volumes_ml.get(i, 0.0), 3)}
            for i in sorted(asked)
            if volumes_ml.get(i, 0.0) > 0
        ],
        "said_absent": _names(request.absent),
        "unknown": list(request.unknown),
        "suggestions": {
            word: near for r in request.readings for word, near in r.suggestions if near
        },
        "sentences": [_sentence(r) for r in request.readings],
        "disagreements": _disagreements(request, volumes_ml),
    }


def _names(indices: Iterable[int]) -> list[str]:
    return [_NAMES[i] for i in sorted(indices)]


def _sentence(reading: Reading) -> dict[str, Any]:
    asked: list[str] = []
    ignored = []
    for mention, labels in zip(reading.mentions, reading.labels, strict=True):
        reason = why_ignored(mention, labels, reading.sentence)
        if reason:
            side = f"{mention.side} " if mention.side else ""
            ignored.append({"what": f"{side}{mention.phrase.concept}", "why": reason})
        else:
            asked += [n for n in _names(labels) if n not in asked]
    return {
        "text": reading.sentence.text,
        "section": reading.sentence.section,
        "asked": asked,
        "ignored": ignored,
        "not_understood": [word for word, _ in reading.suggestions],
    }


def _disagreements(request: TextRequest, volumes_ml: Mapping[int, float]) -> list[dict[str, Any]]:
    out = [
        _entry("said absent, found", i, f"said absent, found {volumes_ml[i]:.1f} mL")
        for i in sorted(request.absent)
        if volumes_ml.get(i, 0.0) >= _FOUND_ML
    ]
    for i in sorted(request.asked or ()):
        if volumes_ml.get(i, 0.0) < _FOUND_ML:
            out.append(_not_found(i, volumes_ml))
    for reading in request.readings:
        if reading.sentence.asks:
            out += _volumes(reading, volumes_ml)
            out += _sizes(reading, volumes_ml)
    return out


def _entry(kind: str, index: int, message: str) -> dict[str, Any]:
    name = _NAMES[index]
    return {"kind": kind, "structure": name, "index": index, "message": f"{name}: {message}"}


def _not_found(index: int, volumes_ml: Mapping[int, float]) -> dict[str, Any]:
    """Asked for and not there; perhaps it is on the other side."""
    name = _NAMES[index]
    side = name.partition(" ")[0]
    if side in ("left", "right"):
        other = {"left": "right", "right": "left"}[side]
        twin = next(i for i, n in _NAMES.items() if n == name.replace(side, other, 1))
        if volumes_ml.get(twin, 0.0) >= _FOUND_ML:
            found = f"found only on the {other} ({volumes_ml[twin]:.1f} mL)"
            return _entry(f"said {side}, found {other}", index, f"said {side}, {found}")
    return _entry("said present, not found", index, "said present, not found")


def _volumes(reading: Reading, volumes_ml: Mapping[int, float]) -> list[dict[str, Any]]:
    out = []
    for stated, labels in reading.volumes_ml:
        measured = sum(volumes_ml.get(i, 0.0) for i in labels)
        if abs(stated - measured) > max(_TOLERANCE_ML, _TOLERANCE * stated):
            message = f"said {stated:g} mL, measured {measured:.1f} mL"
            out.append(_entry("stated volume differs", labels[0], message))
    return out


def _sizes(reading: Reading, volumes_ml: Mapping[int, float]) -> list[dict[str, Any]]:
    if reading.compared is None:
        return []
    smaller, larger = (sum(volumes_ml.get(i, 0.0) for i in labels) for labels in reading.compared)
    if not reading.compared[0] or smaller <= larger * _COMPARED:
        return []
    message = f"said smaller than the other side, measured {smaller:.1f} against {larger:.1f} mL"
    return [_entry("stated side differs", reading.compared[0][0], message)]
