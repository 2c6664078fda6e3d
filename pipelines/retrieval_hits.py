"""From fused searches to the answer: copies of the query, reasons, calibrated similarity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmtool.errors import UsageError
from mmtool.io.readers.picture_marks import likeness
from mmtool.pipelines.indexing_duplicates import LIKENESS, MOST_BITS
from mmtool.pipelines.retrieval_fusion import Fused, fuse, fused_ids
from mmtool.pipelines.retrieval_query import Query
from mmtool.pipelines.retrieval_rerank import LATE, late_interaction
from mmtool.pipelines.retrieval_search import COSINE, PICTURES, Ranking, Searcher, Wanted
from mmtool.pipelines.retrieval_strings import by_substructure, exact
from mmtool.retrieval import Answer, Box, Encoded, Hit, Item

SAME, ALIKE = "same bytes", "alike"
_TOLD = {  # of scores that say something by themselves
    "tanimoto": "Tanimoto {:.2f}",
    "alignment": "alignment score {:.0f}",
    "identity": "{:.0%} of the aligned letters are equal",
    "substructure": "holds the pattern",
}
_FIRST = {SAME: 0, ALIKE: 1}  # copies of the query stand before all else


@dataclass(frozen=True)
class Asking:
    """How an answer is made.

    Attributes:
        wanted: What may be found.
        most: Hits at most.
        rerank: Name of a re-ranker, or None.
        without_copies: Leave out copies of the query, and of each case all but its best hit.
        condition: The filter as given.
    """

    wanted: Wanted = field(default_factory=Wanted)
    most: int = 10
    rerank: str | None = None
    without_copies: bool = False
    condition: str = ""


def answer(searcher: Searcher, query: Query, asking: Asking) -> Answer:
    """Search an index.

    Raises:
        UsageError: No search leads from the query to what is wanted, or the filter names what
            the index has not.
        ModelError: The encoder of the index is absent.
    """
    encoded = None if query.pattern else searcher.encode(query)
    if query.pattern:
        rankings = by_substructure(searcher.reader, query, asking.wanted)
    else:
        rankings = searcher.rankings(query, encoded, asking.wanted)
        rankings = exact(searcher.reader, query, rankings)
    regions: Mapping[int, Box] = {}
    if asking.rerank is not None:
        rankings, regions = _reranked(searcher, query, asking.rerank, encoded, rankings)
    items = searcher.reader.items(list(fused_ids(rankings)))
    found = fuse(rankings, items, query.terms)
    copies = {f.item.id: copy_of(query, f.item) for f in found}
    found.sort(key=lambda f: _FIRST.get(copies[f.item.id], len(_FIRST)))
    if asking.without_copies:
        found = _one_a_case([f for f in found if not copies[f.item.id]])
    likely = _calibration(searcher, query)
    hits = tuple(
        _hit(rank, f, copies[f.item.id], regions.get(f.item.id), likely)
        for rank, f in enumerate(found[: asking.most], start=1)
    )
    return _told(searcher, query, asking, rankings, hits)


def _reranked(
    searcher: Searcher,
    query: Query,
    name: str,
    encoded: Encoded | None,
    rankings: list[Ranking],
) -> tuple[list[Ranking], Mapping[int, Box]]:
    order = list(fused_ids(rankings))
    late, regions = late_interaction(searcher, name, query.kind, encoded, rankings, order)
    return [*rankings, late], regions


def copy_of(query: Query, item: Item) -> str:
    """``same bytes``, ``alike`` or "": whether an item is a copy of the query."""
    if not query.whole:
        return ""
    part = item.source.kind == "slide" and not item.source.key.endswith("#overview")
    if item.source.sha256 == query.sha256 and item.source.kind == query.kind and not part:
        return SAME
    if query.content and query.content == item.source.content:
        return SAME
    if not query.dhash or not item.dhash or item.source.kind not in PICTURES:
        return ""
    bits = (int(query.dhash, 16) ^ int(item.dhash, 16)).bit_count()
    if bits > MOST_BITS:
        return ""
    both = query.thumbnail and item.thumbnail
    alike = not both or likeness(query.thumbnail, item.thumbnail) >= LIKENESS
    return ALIKE if alike else ""


def _one_a_case(found: Sequence[Fused]) -> list[Fused]:
    seen: set[str] = set()
    out = []
    for one in found:
        group = one.item.source.group
        if not group or group not in seen:
            out.append(one)
        seen.add(group)
    return out


def _calibration(searcher: Searcher, query: Query) -> Callable[[float], float | None] | None:
    """Of similarities between two pictures without words, where the encoder knows it."""
    if query.picture is None or query.terms is not None:
        return None
    encoder: Any = searcher.joint
    return getattr(encoder, "likelihood", None)


def _hit(
    rank: int,
    found: Fused,
    copy: str,
    region: Box | None,
    likely: Callable[[float], float | None] | None,
) -> Hit:
    cosine = found.scores.get(COSINE + "picture")
    similarity = None if likely is None or cosine is None else likely(cosine)
    return Hit(
        rank=rank,
        item=found.item,
        score=found.score,
        similarity=similarity,
        scores=found.scores,
        why=tuple(_why(found, copy, region)),
        region=region,
        matched=found.matched,
        copy=copy,
    )


def _why(found: Fused, copy: str, region: Box | None) -> list[str]:
    said = []
    if copy:
        said.append("the query itself" if copy == SAME else "looks like a copy of the query")
    if found.matched:
        said.append(f"words: {', '.join(found.matched)}")
    facts = found.item.source.facts
    said += [f"{name} {facts[name]}, as asked" for name in found.agrees]
    said += [f"{name} {facts[name]}, not as asked" for name in found.differs]
    said += [f"its words say there is {phrase}, to be left out" for phrase in found.affirmed]
    said += [f"its words deny {word}" for word in found.denied]
    for name, score in found.scores.items():
        if name.startswith(COSINE):
            said.append(f"cosine {score:.2f} by {name.removeprefix(COSINE)}")
        elif name == LATE:
            where = f" best at {_share(region)}" if region is not None else ""
            said.append(f"parts agree by {score:.2f}{where}")
        elif name in _TOLD:
            said.append(_TOLD[name].format(score))
    return said


def _share(region: Box) -> str:
    return f"x {region[0] + region[2] / 2:.0%}, y {region[1] + region[3] / 2:.0%}"


def _told(
    searcher: Searcher,
    query: Query,
    asking: Asking,
    rankings: Sequence[Ranking],
    hits: tuple[Hit, ...],
) -> Answer:
    manifest = searcher.reader.manifest
    terms = query.terms
    notes = [*query.notes, *searcher.neighbours.notes]
    by_vectors = any(r.name.startswith(COSINE) for r in rankings)
    if terms is not None and not by_vectors and "text" not in searcher.reader.spaces():
        notes.append("the index's encoder reads no words: found by the words of the items alone")
    return Answer(
        query=query.path.name if query.path is not None else query.shown,
        kind=query.kind,
        sha256=query.sha256,
        hits=hits,
        searches=tuple(r.name for r in rankings),
        asked=terms.affirmed if terms else (),
        left_out=terms.negated if terms else (),
        facts=dict(terms.facts) if terms else {},
        condition=asking.condition,
        content=query.content,
        thumbnail=query.thumbnail,
        notes=tuple(notes),
        index={
            "name": searcher.reader.folder.name,
            "items": manifest["items"],
            "encoders": {
                name: {"encoder": s["encoder"], "sha256": s["sha256"]}
                for name, s in manifest["spaces"].items()
            },
        },
    )


def check_rerank(name: str | None, known: Sequence[str]) -> None:
    """Refuse a re-ranker that there is not.

    Raises:
        UsageError: It is not known.
    """
    if name is not None and name not in known:
        raise UsageError(f"--rerank {name}: not known", f"there is {', '.join(known)}")
