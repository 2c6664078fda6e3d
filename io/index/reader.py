"""Reading an index: needs no lock, changes nothing, and sees one state of the vectors."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError, UsageError
from mmtool.io.index.filters import AllOf, Filter, OneOf, where
from mmtool.io.index.layout import (
    Failure,
    Space,
    Stamp,
    check_folder,
    connect,
    real_path,
    told_plainly,
)
from mmtool.io.index.manifest import manifest_of
from mmtool.io.index.segments import Block, open_segment
from mmtool.retrieval import FACTS, Item, Kind, Source

_TRIES = 5  # a writer may tidy up between the list of segments and their opening
_CHUNK = 500  # ids that are asked for at a time
_COLUMNS = (
    f'items.id, key, path, kind, sha256, {", ".join(FACTS)}, "group", text, content, extra, dhash'
)
_TOLD_WEIGHT = 0.6  # of a word among the facts, against one of the text

Parts = tuple[NDArray[np.float16], NDArray[np.float16]]


@dataclass(frozen=True)
class WordHit:
    """An item that holds some of the words.

    Attributes:
        id: Of the item.
        score: BM25, higher is better.
        matched: The terms that were found, as they were given.
    """

    id: int
    score: float
    matched: tuple[str, ...]


@dataclass(frozen=True)
class Mark:
    """By what a copy of an item is known: see `NewItem`."""

    id: int
    kind: Kind
    sha256: str
    dhash: str
    identity: str


class IndexReader:
    """An index that is searched.

    A writer may be at work: vectors and their list are those of the moment of opening, and an
    item that went since is absent from `items`.

    Attributes:
        folder: The index.

    Raises:
        InputError: No index, damaged, or of a newer version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        check_folder(folder)
        with told_plainly(folder):
            self._link = connect(folder)
            try:
                self._spaces, self._blocks, self._dead = self._opened()
                names = self._link.execute("SELECT name FROM columns")
                self._columns = frozenset(str(name) for (name,) in names)
            except BaseException:
                self._link.close()
                raise

    def __enter__(self) -> IndexReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._link.close()
        self._blocks = {}

    def _opened(
        self,
    ) -> tuple[dict[str, Space], dict[str, list[Block]], dict[str, NDArray[np.int64]]]:
        for attempt in range(_TRIES):
            spaces, rows, dead = read_segments(self._link)
            try:
                blocks = {
                    name: [
                        open_segment(
                            self.folder, name, number, count, spaces[name].dim, bool(parts)
                        )
                        for number, count, parts in found
                    ]
                    for name, found in rows.items()
                }
            except InputError:
                if attempt == _TRIES - 1 or read_segments(self._link)[1] == rows:
                    raise
            else:
                return spaces, blocks, dead
        raise AssertionError("the last try returns or raises")

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """Counts, encoders and measurements; ``manifest.json`` says the same a moment later."""
        with told_plainly(self.folder):
            return manifest_of(self._link, self._spaces)

    def spaces(self) -> dict[str, Space]:
        """Spaces of the index by name."""
        return dict(self._spaces)

    def columns(self) -> frozenset[str]:
        """Further columns of the indexed tables; a filter may name them."""
        return self._columns

    def vectors(self, space: str) -> tuple[NDArray[np.int64], tuple[NDArray[np.float32], ...]]:
        """All vectors of a space.

        Returns:
            (n,) int64 ids of the items, and memory-mapped blocks (m, dim) float32 whose rows are
            n together and in that order. An id of 0 is a row whose item is gone: pass over it.

        Raises:
            UsageError: No such space.
        """
        blocks = self._of(space)
        if not blocks:
            return np.zeros(0, np.int64), ()
        ids = np.concatenate([np.asarray(block.ids) for block in blocks])
        gone = self._dead.get(space)
        if gone is not None and len(gone):
            ids[np.isin(ids, gone)] = 0
        return ids, tuple(block.vectors for block in blocks)

    def parts(self, space: str, ids: Iterable[int]) -> dict[int, Parts]:
        """Rows for the re-ranker: of each item that has some (T, part_dim) and (T, 4) float16."""
        wanted = np.unique(np.fromiter(ids, np.int64))
        gone = self._dead.get(space)
        if gone is not None and len(gone):
            wanted = wanted[~np.isin(wanted, gone)]
        found: dict[int, Parts] = {}
        for block in self._of(space):
            if block.starts is None or block.parts is None or block.places is None:
                continue
            for row in np.flatnonzero(np.isin(block.ids, wanted)):
                rows = slice(int(block.starts[row]), int(block.starts[row + 1]))
                found[int(block.ids[row])] = (block.parts[rows], block.places[rows])
        return found

    def _of(self, space: str) -> list[Block]:
        if space not in self._spaces:
            there = ", ".join(sorted(self._spaces)) or "none"
            raise UsageError(f"the index has no vectors of '{space}'", f"there is {there}")
        return self._blocks.get(space, [])

    def items(self, ids: Sequence[int]) -> list[Item]:
        """Items in the order of the ids; those that are gone are left out."""
        found: dict[int, Item] = {}
        with told_plainly(self.folder):
            for start in range(0, len(ids), _CHUNK):
                part = [int(i) for i in ids[start : start + _CHUNK]]
                marks = ",".join("?" * len(part))
                rows = self._link.execute(
                    f"SELECT {_COLUMNS}, jpeg FROM items LEFT JOIN thumbnails ON item = items.id "
                    f"WHERE items.id IN ({marks})",
                    part,
                )
                found.update((int(row[0]), self._item(row)) for row in rows)
        return [found[int(i)] for i in ids if int(i) in found]

    def _item(self, row: Sequence[Any]) -> Item:
        number, key, path, kind, sha256 = row[:5]
        values = row[5 : 5 + len(FACTS)]
        group, text, content, extra, dhash, jpeg = row[5 + len(FACTS) :]
        facts = {
            name: f"{value:.3g}" if isinstance(value, float) else str(value)
            for name, value in zip(FACTS, values, strict=True)
            if value not in (None, "")
        }
        source = Source(
            key=key,
            path=real_path(path, self.folder),
            kind=kind,
            sha256=sha256,
            facts=facts,
            group=group,
            text=text,
            content=content,
            extra=json.loads(extra),
        )
        return Item(int(number), source, dhash, jpeg or b"")

    def select(self, condition: Filter | None = None) -> NDArray[np.int64]:
        """Ascending ids of the items for which a condition holds; all without one.

        Raises:
            UsageError: The condition names what the index has not.
        """
        text, values = where(condition or AllOf(()), self._columns)
        with told_plainly(self.folder):
            rows = self._link.execute(f"SELECT id FROM items WHERE {text} ORDER BY id", values)
            return np.fromiter((row[0] for row in rows), np.int64)

    def words(
        self,
        terms: Sequence[str],
        kinds: Sequence[Kind] = (),
        limit: int = 100,
        condition: Filter | None = None,
    ) -> list[WordHit]:
        """Items that hold any of the terms, best first.

        Args:
            terms: Words or phrases; they meet others of the same stem.
            kinds: Of items; all when empty.
            limit: Most hits.
            condition: That must hold too.
        """
        phrases = {term: '"' + term.replace('"', '""') + '"' for term in terms if term.strip()}
        if not phrases:
            return []
        parts: list[Filter] = [] if condition is None else [condition]
        if kinds:
            parts.append(OneOf("kind", tuple(kinds)))
        text, values = where(AllOf(tuple(parts)), self._columns)
        with told_plainly(self.folder):
            rows = self._link.execute(
                f"SELECT words.rowid, bm25(words, 1.0, {_TOLD_WEIGHT}) AS score "
                "FROM words JOIN items ON items.id = words.rowid "
                f"WHERE words MATCH ? AND {text} ORDER BY score, words.rowid LIMIT ?",
                [" OR ".join(phrases.values()), *values, limit],
            ).fetchall()
            among = json.dumps([row[0] for row in rows])
            holders = {term: self._holders(phrase, among) for term, phrase in phrases.items()}
        return [
            WordHit(number, -score, tuple(t for t, held in holders.items() if number in held))
            for number, score in rows
        ]

    def _holders(self, phrase: str, among: str) -> frozenset[int]:
        rows = self._link.execute(
            "SELECT rowid FROM words WHERE words MATCH ? "
            "AND rowid IN (SELECT value FROM json_each(?))",
            (phrase, among),
        )
        return frozenset(int(number) for (number,) in rows)

    def marks(self) -> Iterator[Mark]:
        """Marks of all items, by id."""
        with told_plainly(self.folder):
            for row in self._link.execute(
                "SELECT id, kind, sha256, dhash, identity FROM items ORDER BY id"
            ):
                yield Mark(*row)

    def failures(self) -> list[Failure]:
        """What could not be indexed, by key."""
        with told_plainly(self.folder):
            return read_failures(self._link, self.folder)


def read_segments(
    link: sqlite3.Connection,
) -> tuple[dict[str, Space], dict[str, list[tuple[int, int, int]]], dict[str, NDArray[np.int64]]]:
    """Spaces; number, rows and parts of their segments; and rows whose items are gone."""
    link.execute("BEGIN")
    try:
        spaces = {
            name: Space(name, encoder, sha256, json.loads(how), dim, json.loads(measured))
            for name, encoder, sha256, how, dim, measured in link.execute(
                "SELECT name, encoder, sha256, preprocessing, dim, measured FROM spaces"
            )
        }
        rows: dict[str, list[tuple[int, int, int]]] = {name: [] for name in spaces}
        for space, number, count, parts in link.execute(
            "SELECT space, id, rows, parts FROM segments ORDER BY id"
        ):
            rows[space].append((number, count, parts))
        gone: dict[str, list[int]] = {}
        for space, item in link.execute("SELECT space, item FROM dead"):
            gone.setdefault(space, []).append(item)
    finally:
        link.execute("COMMIT")
    return spaces, rows, {name: np.array(ids, np.int64) for name, ids in gone.items()}


def read_failures(link: sqlite3.Connection, folder: Path) -> list[Failure]:
    """What could not be indexed, by key."""
    rows = link.execute(
        "SELECT key, path, kind, reason, hint, origin, stamp, version FROM failures ORDER BY key"
    )
    return [
        Failure(key, real_path(path, folder), kind, reason, hint, Stamp(origin, stamp), version)
        for key, path, kind, reason, hint, origin, stamp, version in rows
    ]
