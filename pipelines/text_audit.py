"""``text_audit.json``: what each sentence asked, what was done, where text and image differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mmtool.models.text.request import Reading, TextRequest, why_ignored
from mmtool.models.text.vocabulary import Lexicon

SCHEMA = 1
_FOUND_ML = 0.1  # less than this is noise of a 2 mm model, not a structure
_TOLERANCE = 0.35  # share by which a stated volume may differ from the measured one
_TOLERANCE_ML = 0.5
_COMPARED = 1.05  # sides closer than this are called equal


def build_audit(
    request: TextRequest, volumes_ml: Mapping[int, float], lexicon: Lexicon
) -> dict[str, Any]:
    """Compare a text with the volumes that were found.

    Args:
        request: The parsed text.
        volumes_ml: Label index -> mL, of everything that the model found, asked for or not.
        lexicon: Vocabulary of the model's label table, that the text was parsed with.

    Returns:
        Plain data: ``kind``, ``sentences``, ``asked``, ``segmented``, ``absent``, ``unknown``,
        ``suggestions`` and ``disagreements``.
    """
    audit = _Audit(lexicon, volumes_ml)
    everything = request.asked is None
    asked = audit.parts if request.asked is None else request.asked
    return {
        "schema": SCHEMA,
        "kind": request.kind,
        "everything": everything,
        "asked": audit.names_of(asked),
        "segmented": [
            {"name": audit.names[i], "index": i, "volume_ml": round(audit.ml(i), 3)}
            for i in sorted(asked)
            if audit.ml(i) > 0
        ],
        "said_absent": audit.names_of(request.absent),
        "unknown": list(request.unknown),
        "suggestions": {
            word: near for r in request.readings for word, near in r.suggestions if near
        },
        "sentences": [audit.sentence(r) for r in request.readings],
        "disagreements": audit.disagreements(request),
    }


class _Audit:
    """Names and volumes of one label table."""

    def __init__(self, lexicon: Lexicon, volumes_ml: Mapping[int, float]) -> None:
        self.lexicon = lexicon
        self.names = {label.index: label.name for label in lexicon.labels}
        self.volumes_ml = volumes_ml

    @property
    def parts(self) -> frozenset[int]:
        """All but the whole organ."""
        whole = self.lexicon.whole
        return self.lexicon.indices - ({whole.index} if whole else set())

    def ml(self, *indices: int) -> float:
        return sum(self.volumes_ml.get(i, 0.0) for i in indices)

    def names_of(self, indices: Iterable[int]) -> list[str]:
        return [self.names[i] for i in sorted(indices)]

    def sentence(self, reading: Reading) -> dict[str, Any]:
        asked: list[str] = []
        ignored = []
        for mention, labels in zip(reading.mentions, reading.labels, strict=True):
            reason = why_ignored(mention, labels, reading.sentence)
            if reason:
                side = f"{mention.side} " if mention.side else ""
                ignored.append({"what": f"{side}{mention.phrase.concept}", "why": reason})
                continue
            asked += [n for n in self.names_of(labels) if n not in asked]
            if mention.side and not any(self.lexicon.side_of(i) for i in labels):
                what = f"'{mention.side}' of {mention.phrase.concept}"
                ignored.append({"what": what, "why": "the model tells no sides of it"})
        return {
            "text": reading.sentence.text,
            "section": reading.sentence.section,
            "asked": asked,
            "ignored": ignored,
            "not_understood": [word for word, _ in reading.suggestions],
        }

    def disagreements(self, request: TextRequest) -> list[dict[str, Any]]:
        out = [
            self._entry("said absent, found", i, f"said absent, found {self.ml(i):.1f} mL")
            for i in sorted(request.absent)
            if self.ml(i) >= _FOUND_ML
        ]
        out += [self._not_found(i) for i in sorted(request.asked or ()) if self.ml(i) < _FOUND_ML]
        for reading in request.readings:
            if reading.sentence.asks:
                out += self._volumes(reading)
                out += self._sizes(reading)
        return out

    def _entry(self, kind: str, index: int, message: str) -> dict[str, Any]:
        name = self.names[index]
        return {"kind": kind, "structure": name, "index": index, "message": f"{name}: {message}"}

    def _not_found(self, index: int) -> dict[str, Any]:
        """Asked for and not there; perhaps it is on the other side."""
        side, twin = self.lexicon.side_of(index), self.lexicon.twin(index)
        if twin is not None and self.ml(twin) >= _FOUND_ML:
            other = self.lexicon.side_of(twin)
            found = f"found only on the {other} ({self.ml(twin):.1f} mL)"
            return self._entry(f"said {side}, found {other}", index, f"said {side}, {found}")
        return self._entry("said present, not found", index, "said present, not found")

    def _volumes(self, reading: Reading) -> list[dict[str, Any]]:
        out = []
        for stated, labels in reading.volumes_ml:
            measured = self.ml(*labels)
            if abs(stated - measured) > max(_TOLERANCE_ML, _TOLERANCE * stated):
                message = f"said {stated:g} mL, measured {measured:.1f} mL"
                out.append(self._entry("stated volume differs", labels[0], message))
        return out

    def _sizes(self, reading: Reading) -> list[dict[str, Any]]:
        if reading.compared is None:
            return []
        smaller, larger = (self.ml(*labels) for labels in reading.compared)
        if not reading.compared[0] or smaller <= larger * _COMPARED:
            return []
        message = (
            f"said smaller than the other side, measured {smaller:.1f} against {larger:.1f} mL"
        )
        return [self._entry("stated side differs", reading.compared[0][0], message)]
