"""Several searches into one order: by ranks, by facts that were asked for, by what is left out.

Ranks are fused as reciprocals (Cormack et al. 2009, 10.1145/1571941.1572114): scores of a search by
words and of one by vectors can't be compared, their orders can.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum

from mmtool.facts import spelled
from mmtool.pipelines.index_strings import MOLECULE_WORDS
from mmtool.pipelines.retrieval_search import COSINE, WORDS, Ranking
from mmtool.pipelines.retrieval_terms import Terms, affirms, told
from mmtool.retrieval import Item

_K = 60  # as in the paper
_AGREES = 0.15 / (_K + 1)  # shares of what a first rank is worth: a fact that is as asked tips
_DIFFERS = 0.5 / (_K + 1)  # the scale, one that is not weighs as much as many ranks
_SAID = 1 / (_K + 1)  # all words asked for are affirmed: as much as a first rank
_PHRASES = 20  # that are looked for in the words of a hit


@dataclass(frozen=True)
class Fused:
    """One item with all that was found of it.

    Attributes:
        item: The item.
        score: Sum over the searches, and over facts.
        scores: Of each search.
        matched: Words of the query that it holds.
        agrees: Names of facts that are as the words ask.
        differs: Names of facts that are not.
        affirmed: What the query leaves out and the item's words affirm.
        denied: What the query asks for and the item's words deny.
    """

    item: Item
    score: float
    scores: Mapping[str, float]
    matched: tuple[str, ...] = ()
    agrees: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    affirmed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


def fused_ids(rankings: Sequence[Ranking]) -> dict[int, float]:
    """Ids with the sum of their reciprocal ranks, best first; ties by the lower id.

    Of the spaces of vectors only the best counts: a picture that has words, too, is in two of them,
    and would always stand before one that has none.
    """
    by_vectors: dict[int, float] = {}
    others: dict[int, list[float]] = defaultdict(list)
    for ranking in (r for r in rankings if r.counts):
        for rank, number in enumerate(ranking.scores, start=1):
            worth = 1 / (_K + rank)
            if ranking.name.startswith(COSINE):
                by_vectors[number] = max(by_vectors.get(number, 0.0), worth)
            else:
                others[number].append(worth)
    ids = {*by_vectors, *others}
    total = {i: fsum((*others.get(i, ()), by_vectors.get(i, 0.0))) for i in ids}
    return dict(sorted(total.items(), key=lambda pair: (-pair[1], pair[0])))


def fuse(rankings: Sequence[Ranking], items: Sequence[Item], terms: Terms | None) -> list[Fused]:
    """Items in one order.

    Args:
        rankings: Of the searches.
        items: All that they found, in any order; what is absent is left out.
        terms: Of a query by words.
    """
    ranks = fused_ids(rankings)
    out = [_fused(item, ranks[item.id], rankings, terms) for item in items if item.id in ranks]
    out.sort(key=lambda found: (-found.score, found.item.id))
    if terms is None:
        return out
    read = [_read(found, terms) for found in out]
    return sorted(read, key=lambda found: (len(found.affirmed), -found.score, found.item.id))


def _fused(item: Item, score: float, rankings: Sequence[Ranking], terms: Terms | None) -> Fused:
    scores = {r.name: r.scores[item.id] for r in rankings if item.id in r.scores}
    matched = tuple(w for r in rankings for w in r.matched.get(item.id, ()))
    agrees: list[str] = []
    differs: list[str] = []
    for name, value in (terms.facts if terms else {}).items():
        own = item.source.facts.get(name)
        if own:
            (agrees if spelled(name, own) == value else differs).append(name)
    score += _AGREES * len(agrees) - _DIFFERS * len(differs)
    return Fused(item, score, scores, matched, tuple(agrees), tuple(differs))


def _read(found: Fused, terms: Terms) -> Fused:
    """A hit whose own words were read.

    A search by words takes "no effusion" for an effusion, and where most reports deny it the word
    weighs nothing. So what a text affirms of the query lifts it, and what it only denies lowers it.
    """
    text = found.item.source.text
    said, denied = told(text, terms.affirmed)
    share = len(said) / max(1, len(terms.affirmed))
    if COSINE + MOLECULE_WORDS in found.scores and WORDS not in found.scores:
        share = 0.0  # a molecule that has words, but not all that are asked for
    return replace(
        found,
        score=found.score + _SAID * share - _DIFFERS * min(1, len(denied)),
        denied=denied,
        affirmed=tuple(p for p in terms.negated[:_PHRASES] if affirms(text, p)),
    )
