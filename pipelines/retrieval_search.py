"""The searches of a query: by words, by vectors of each space, and which of them apply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import ModelError, UsageError
from mmtool.io.index import AllOf, Compare, Filter, IndexReader, OneOf, Space
from mmtool.pipelines.devices import set_threads
from mmtool.pipelines.index_strings import (
    MOLECULE_TEXT,
    MOLECULE_WORDS,
    space_of,
    string_encoders,
)
from mmtool.pipelines.neighbours import Nearest, Neighbours
from mmtool.pipelines.retrieval_query import Query
from mmtool.retrieval import KINDS, BothEncoder, Encoded, JointEncoder, Kind, Picture, StringEncoder

PICTURES: tuple[Kind, ...] = ("image", "volume", "slide")
WORDS = "bm25"
COSINE = "cosine_"  # begins the names of searches by vectors
DEPTH = 200  # hits of each search that are fused
WORDS_SHARE = 0.5  # of words that are asked with a picture, against 1 of the picture


@dataclass(frozen=True)
class Ranking:
    """What one search found.

    Attributes:
        name: ``bm25``, or ``cosine_`` and the space.
        scores: By id of the item, best first.
        matched: By id, words of the query that the item holds.
        counts: Whether the order counts, or the scores are only told.
    """

    name: str
    scores: Mapping[int, float]
    matched: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    counts: bool = True


@dataclass(frozen=True)
class Wanted:
    """What may be found.

    Attributes:
        to: Kind that is asked for; what suits the query when None. ``image`` stands for volumes
            and slides, too, and ``text`` for all that has words.
        condition: A filter.
        depth: Hits of each search.
    """

    to: str | None = None
    condition: Filter | None = None
    depth: int = DEPTH

    def kinds(self, query: Kind) -> tuple[Kind, ...]:
        """Kinds of items that may be found; all when empty."""
        if self.to == "image":
            return PICTURES
        if self.to == "text":
            return ()
        if self.to is not None:
            return tuple(kind for kind in KINDS if kind == self.to)
        if query in PICTURES:
            return PICTURES
        return () if query == "text" else (query,)

    def whole(self, query: Kind) -> Filter | None:
        """The filter together with what the kinds ask for."""
        parts: list[Filter] = [] if self.condition is None else [self.condition]
        kinds = self.kinds(query)
        if kinds:
            parts.append(OneOf("kind", kinds))
        if self.to == "text":
            parts.append(Compare("text", "!=", ""))
        return AllOf(tuple(parts)) if parts else None


class Searcher:
    """An index with its encoders; these are loaded when a query first needs them.

    Args:
        reader: The index.
        model: Encoder of pictures and words; that of the index when None.
        device: Of the encoder.
        threads: Of the encoder.
        neighbours: Searches the vectors; those in the index's files when None.
    """

    def __init__(
        self,
        reader: IndexReader,
        model: str | None = None,
        device: str = "cpu",
        threads: int = 1,
        neighbours: Nearest | None = None,
    ) -> None:
        self.reader = reader
        self.neighbours = neighbours or Neighbours(reader)
        self._model = model
        self._device = device
        self._threads = threads

    @cached_property
    def joint(self) -> JointEncoder:
        """The index's encoder of pictures and words.

        Raises:
            ModelError: It is absent, or another than that of the index.
        """
        from mmtool.pipelines.index_spaces import load_encoders  # brings torch

        spaces = self.reader.spaces()
        picture = spaces.get("picture")
        name = self._model or (None if picture is None else picture.encoder)
        try:
            encoders = load_encoders(name, self._device)
        except ModelError as error:
            if self._model is not None or picture is None:
                raise
            raise ModelError(
                f"the index's encoder '{picture.encoder}' is not found here",
                "name its folder by --model",
            ) from error
        for space in encoders.spaces():
            if space.name in ("picture", "text"):
                _check_same(spaces.get(space.name), space)
        set_threads(self._threads)
        return encoders.joint

    @cached_property
    def strings(self) -> Mapping[Kind, StringEncoder]:
        """Encoders of molecules and proteins.

        Raises:
            ModelError: They are others than those of the index.
        """
        spaces = self.reader.spaces()
        found = {kind: e for kind, e in string_encoders().items() if kind in spaces}
        for kind, encoder in found.items():
            _check_same(spaces[kind], space_of(kind, encoder))
        return found

    @cached_property
    def molecules(self) -> StringEncoder | None:
        """The index's encoder of molecules and words; None where it has none.

        Raises:
            ModelError: It is absent, or another than that of the index.
        """
        there = self.reader.spaces().get(MOLECULE_WORDS)
        if there is None:
            return None
        from mmtool.pipelines.index_spaces import molecule_words  # brings torch

        encoder = molecule_words(there.encoder)
        if encoder is None:
            raise ModelError(
                f"the index's encoder '{there.encoder}' of molecules and words is not found here",
                "put its folder under MMTOOL_MODELS, or build the index anew: "
                "mmtool index --rebuild",
            )
        _check_same(there, space_of(MOLECULE_WORDS, encoder))
        set_threads(self._threads)
        return encoder

    def encode(self, query: Query) -> Encoded | None:
        """The query by the encoder of its kind, with its parts; None where no encoder takes it."""
        if query.picture is not None:
            if query.terms is None or "text" not in self.reader.spaces():
                return self.joint.encode_pictures([query.picture])
            return with_words(self.joint, query.picture, query.terms.positive)
        if query.kind == "text":
            if "text" not in self.reader.spaces():
                return None
            asked = query.terms.positive if query.terms else query.text
            return self.joint.encode_texts([asked])
        encoder = self.strings.get(query.kind)
        return None if encoder is None else encoder.encode([query.content])

    def rankings(self, query: Query, encoded: Encoded | None, wanted: Wanted) -> list[Ranking]:
        """All searches that a query admits, each best first.

        Raises:
            UsageError: No search leads from this query to what is wanted.
        """
        found: list[Ranking] = []
        condition = wanted.whole(query.kind)
        ways = list(self._ways(query, encoded, wanted))
        if query.terms is not None:
            by_words = self._by_words(query, wanted, condition)
            if any(space == MOLECULE_WORDS for space, _ in ways):
                by_words = _all_of(by_words, len(query.terms.affirmed))
            found.append(by_words)
        allowed = None if condition is None else self.reader.select(condition)
        for space, vector in ways:
            ranking = self._by_vector(space, vector, allowed, wanted.depth)
            # Of a few pictures one is always the nearest to some words, be it far.
            found.append(_above_zero(ranking) if query.kind == "text" else ranking)
        if not found:
            there = ", ".join(sorted(self.reader.spaces())) or "nothing"
            raise UsageError(
                f"no search leads from a {query.kind} to {wanted.to or 'what this index holds'}",
                f"the index has vectors of: {there}",
            )
        return found

    def _ways(
        self, query: Query, encoded: Encoded | None, wanted: Wanted
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Spaces that are searched, with the query's vector in each."""
        spaces = self.reader.spaces()
        kinds = wanted.kinds(query.kind)
        if encoded is not None and query.kind in (*PICTURES, "text"):
            if "picture" in spaces and (not kinds or set(kinds) & set(PICTURES)):
                yield "picture", encoded.vectors
            if "text" in spaces and (query.kind == "text" or wanted.to == "text"):
                yield "text", encoded.vectors
        own = query.kind in ("molecule", "protein") and query.kind in spaces
        if encoded is not None and own and (not kinds or query.kind in kinds):
            yield query.kind, encoded.vectors
        if query.terms is not None:
            yield from self._strings_by_words(query.terms.positive, kinds)
        yield from self._molecules_and_words(query, wanted)

    def _molecules_and_words(
        self, query: Query, wanted: Wanted
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """From words to molecules, or from a molecule to the texts that molecules have.

        Some molecule is always the nearest to any words, so among items of other kinds molecules
        are looked for by learned vectors only where they are asked for.
        """
        if MOLECULE_WORDS not in self.reader.spaces():
            return
        alone = wanted.to is None and set(self.reader.manifest["kinds"]) == {"molecule"}
        by_words = query.kind == "text" and (wanted.to == "molecule" or alone)
        by_molecule = bool(query.content) and query.kind == "molecule" and wanted.to == "text"
        encoder = self.molecules if by_words or by_molecule else None
        if encoder is None:
            return
        if by_words and query.terms is not None:
            yield MOLECULE_WORDS, encoder.encode_texts([query.terms.positive]).vectors
        elif by_molecule:
            yield MOLECULE_TEXT, encoder.encode([query.content]).vectors

    def _strings_by_words(
        self, words: str, kinds: Sequence[Kind]
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        for kind in ("molecule", "protein"):
            if kind not in self.reader.spaces() or (kinds and kind not in kinds):
                continue
            encoder = self.strings.get(kind)
            if encoder is not None and encoder.reads_text:
                yield kind, encoder.encode_texts([words]).vectors

    def _by_words(self, query: Query, wanted: Wanted, condition: Filter | None) -> Ranking:
        terms = query.terms.affirmed if query.terms else ()
        hits = self.reader.words(terms, (), wanted.depth, condition)
        return Ranking(WORDS, {h.id: h.score for h in hits}, {h.id: h.matched for h in hits})

    def _by_vector(
        self,
        space: str,
        vector: NDArray[np.float32],
        allowed: NDArray[np.int64] | None,
        depth: int,
    ) -> Ranking:
        found, scores = self.neighbours.nearest(space, vector[:1], depth, allowed)
        pairs = zip(found[0].tolist(), scores[0].tolist(), strict=True)
        return Ranking(COSINE + space, {i: s for i, s in pairs if i})


def with_words(joint: JointEncoder, picture: Picture, words: str) -> Encoded:
    """A picture and words by one vector, by which their cosines are summed.

    An encoder that makes one vector of both itself is left to.
    """
    if isinstance(joint, BothEncoder):
        return joint.encode_both([picture], [words])
    seen = joint.encode_pictures([picture])
    both = seen.vectors + WORDS_SHARE * joint.encode_texts([words]).vectors
    return replace(seen, vectors=both / np.linalg.norm(both, axis=1, keepdims=True))


def _all_of(ranking: Ranking, words: int) -> Ranking:
    """Only what holds all words asked for, as a name does.

    Of molecules some have texts and some have none, and one word that many texts hold ("acid")
    would set each of the former before the molecule that is meant.
    """
    held = {i: s for i, s in ranking.scores.items() if len(ranking.matched.get(i, ())) >= words}
    return replace(ranking, scores=held)


def _above_zero(ranking: Ranking) -> Ranking:
    return replace(ranking, scores={i: s for i, s in ranking.scores.items() if s > 0})


def _check_same(there: Space | None, here: Space) -> None:
    if there is not None and not there.same_encoder(here):
        raise ModelError(
            f"the index's vectors of '{there.name}' are by {there.encoder} {there.sha256[:12]}, "
            f"not by {here.encoder} {here.sha256[:12]}",
            "name its encoder by --model, or build the index anew: mmtool index --rebuild",
        )
