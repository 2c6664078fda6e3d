"""Molecules and proteins ranked by what vectors only estimate, and molecules by a substructure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mmtool.io.index import AllOf, Filter, IndexReader, OneOf
from mmtool.pipelines.retrieval_molecules import substructure, tanimoto
from mmtool.pipelines.retrieval_proteins import align
from mmtool.pipelines.retrieval_query import Query
from mmtool.pipelines.retrieval_search import COSINE, Ranking, Wanted
from mmtool.retrieval import Item

TANIMOTO, ALIGNMENT, IDENTITY = "tanimoto", "alignment", "identity"
_TOGETHER = 5_000  # molecules that are fetched at a time


def exact(reader: IndexReader, query: Query, rankings: Sequence[Ranking]) -> list[Ranking]:
    """Rankings with the exact ones of a molecule or protein; the estimates then don't count.

    Args:
        reader: The index.
        query: A molecule or a protein; of any other kind nothing changes.
        rankings: By vectors.
    """
    if query.kind not in ("molecule", "protein"):
        return list(rankings)
    found = next((r for r in rankings if r.name == COSINE + query.kind), None)
    if found is None:
        return list(rankings)
    items = reader.items(list(found.scores))
    measure = _molecules if query.kind == "molecule" else _proteins
    others = [replace(r, counts=False) if r is found else r for r in rankings]
    return [*others, *measure(query.content, items)]


def _molecules(smiles: str, items: Sequence[Item]) -> list[Ranking]:
    shares = tanimoto(smiles, [item.source.content for item in items])
    pairs = {i.id: float(s) for i, s in zip(items, shares, strict=True) if np.isfinite(s)}
    return [Ranking(TANIMOTO, _best_first(pairs))]


def _proteins(letters: str, items: Sequence[Item]) -> list[Ranking]:
    aligned = zip(items, align(letters, [item.source.content for item in items]), strict=True)
    found = {item.id: a for item, a in aligned if a is not None}
    return [
        Ranking(ALIGNMENT, _best_first({i: a.score for i, a in found.items()})),
        Ranking(IDENTITY, {i: a.identity for i, a in found.items()}, counts=False),
    ]


def _best_first(scores: Mapping[int, float]) -> dict[int, float]:
    return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))


def by_substructure(reader: IndexReader, query: Query, wanted: Wanted) -> list[Ranking]:
    """Molecules that hold a pattern, the smallest first: of these it is the largest part.

    Raises:
        UsageError: The pattern can't be read, or the search takes too long.
    """
    parts: list[Filter] = [] if wanted.condition is None else [wanted.condition]
    ids = reader.select(AllOf((*parts, OneOf("kind", ("molecule",)))))
    sizes: dict[int, float] = {}
    for start in range(0, max(1, len(ids)), _TOGETHER):
        items = reader.items(ids[start : start + _TOGETHER].tolist())
        smiles = [item.source.content for item in items]
        held = substructure(query.pattern, smiles)
        sizes |= {i.id: -float(len(s)) for i, s, h in zip(items, smiles, held, strict=True) if h}
    best = list(_best_first(sizes))[: wanted.depth]
    return [Ranking("substructure", dict.fromkeys(best, 1.0))]
