"""Similar cases: how many of them count, what they vote for, and the sentences that support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from mmtool.models.report.evidential import Opinion, opinion
from mmtool.models.text.findings import label, named_findings
from mmtool.reports import Support
from mmtool.retrieval import Hit, Picture

_FALL = 1.5  # the best score by that of the last case that counts, at most
_TRUST = 0.5  # votes that a case as alike as can be adds: its words may speak of another image
_QUOTE = 240  # letters


class CaseSearch(Protocol):
    """A search for similar cases.

    Attributes:
        name: Of the index.
    """

    name: str

    def nearest(self, picture: Picture, count: int) -> Sequence[Hit]:
        """The cases that look most like a picture, best first."""
        ...


def enough(hits: Sequence[Hit], most: int) -> list[Hit]:
    """As many cases as are about as alike as the best one; possibly none.

    The rule of MMed-RAG (10.48550/arXiv.2410.13085): a case counts while the best score by its own
    is below a bound. Scores must be above 0.
    """
    kept = [hit for hit in hits if hit.score > 0][:most]
    return [hit for hit in kept if kept[0].score / hit.score < _FALL]


def votes_of(hits: Sequence[Hit]) -> dict[str, Opinion]:
    """What the words of similar cases say of each finding, in the order absent, present."""
    evidence: dict[str, list[float]] = {}
    for hit in hits:
        for name, presence in label(hit.item.source.text).items():
            if presence != "uncertain":
                found = evidence.setdefault(name, [0.0, 0.0])
                found[presence == "present"] += _TRUST * min(1.0, max(0.0, hit.score))
    return {name: opinion(np.array([found])) for name, found in evidence.items()}


def support_of(hits: Sequence[Hit]) -> Mapping[str, tuple[Support, ...]]:
    """By finding, the sentences of similar cases that say it is there."""
    out: dict[str, list[Support]] = {}
    for hit in hits:
        for named in named_findings(hit.item.source.text):
            if named.presence == "present":
                quote = named.sentence[:_QUOTE]
                said = Support(hit.item.source.key, round(hit.score, 4), quote)
                if said not in out.setdefault(named.name, []):
                    out[named.name].append(said)
    return {name: tuple(said) for name, said in out.items()}


def similar(hits: Sequence[Hit]) -> tuple[Support, ...]:
    """All similar cases, best first."""
    return tuple(
        Support(h.item.source.key, round(h.score, 4), h.item.source.text[:_QUOTE]) for h in hits
    )
