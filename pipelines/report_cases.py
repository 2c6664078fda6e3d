"""Similar cases: how many of them count, what they vote for, and the sentences that support."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np

from mmtool.models.report.evidential import Opinion, opinion
from mmtool.models.text.findings import label, named_findings
from mmtool.reports import Support
from mmtool.retrieval import Hit, Picture

_FALL = 1.15  # how far the best case stands out by how far the last one does, at most
_TRUST = 0.5  # votes that a case as alike as can be adds: its words may speak of another image
_QUOTE = 240  # letters


class CaseSearch(Protocol):
    """A search for similar cases.

    Attributes:
        name: Of the index.
    """

    name: str

    def state(self) -> str:
        """Hash of what can be found."""
        ...

    def nearest(self, picture: Picture, most: int, apart: Collection[str] = ()) -> Sequence[Hit]:
        """The cases that count for a picture, best first; none from files of the hashes apart."""
        ...


def enough(hits: Sequence[Hit], most: int, *, usual: float = 0.0) -> list[Hit]:
    """As many cases as are about as alike as the best one; possibly none.

    After the rule of MMed-RAG (10.48550/arXiv.2410.13085): a case counts while the best score by
    its own is below a bound. Here both are counted from the usual score, as the vectors of some
    encoders are all much alike.

    Args:
        hits: Best first.
        most: Cases at most.
        usual: Score of any case; one that is not above it never counts.
    """
    kept = [hit for hit in hits if hit.score > usual][:most]
    return [hit for hit in kept if (kept[0].score - usual) < _FALL * (hit.score - usual)]


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
                said = _support(hit, named.sentence)
                if said not in out.setdefault(named.name, []):
                    out[named.name].append(said)
    return {name: tuple(said) for name, said in out.items()}


def similar(hits: Sequence[Hit]) -> tuple[Support, ...]:
    """All similar cases, best first."""
    return tuple(_support(hit, hit.item.source.text) for hit in hits)


def _support(hit: Hit, words: str) -> Support:
    source = hit.item.source
    return Support(source.key, round(hit.score, 4), _shortened(words), source.sha256)


def _shortened(words: str) -> str:
    """Words of a case, cut between two words and marked where they are cut."""
    if len(words) <= _QUOTE:
        return words
    return words[:_QUOTE].rsplit(maxsplit=1)[0] + " ..."
