"""Nearest vectors of an index: exact while that is fast, by approximate lists where they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmtool.io.index import IndexReader, Space
from mmtool.models.retrieval import exact, inverted
from mmtool.models.retrieval.scan import gather

FOLDER, MEASURED = "approximate", "approximate"  # of the index; name of what is noted in a space
_SPARSE = 8  # a filter that leaves less than one in so many is searched exactly
_WIDEST = 8  # times as many lists are read, at most, where a filter leaves few of each

Found = tuple[NDArray[np.int64], NDArray[np.float32]]


class Nearest(Protocol):
    """What finds the nearest vectors: the files of an index, or a server.

    Attributes:
        notes: Plain sentences for who asked.
    """

    notes: list[str]

    def nearest(
        self,
        space: str,
        queries: NDArray[np.float32],
        k: int,
        allowed: NDArray[np.int64] | None = None,
    ) -> Found:
        """See `Neighbours.nearest`."""
        ...


@dataclass(frozen=True)
class _Open:
    """Vectors of a space, ready to be searched."""

    rows: exact.Rows  # id 0 where the item is gone
    lists: inverted.Inverted | None = None
    probes: int = 0
    fresh: NDArray[np.bool_] | None = None  # (n,) rows that came after the lists

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        """(largest id + 1,) ids that are there."""
        ids = self.rows.ids
        table = np.zeros(int(ids.max(initial=0)) + 1, np.bool_)
        table[ids] = True
        table[0] = False
        return table

    @cached_property
    def gone(self) -> bool:
        """Whether an item of some row is gone."""
        return self.rows.share < 1

    @cached_property
    def extended(self) -> bool:
        """Whether some rows came after the lists."""
        return self.fresh is not None and bool(self.fresh.any())

    @cached_property
    def order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids in ascending order, and their rows."""
        rows = np.argsort(self.rows.ids, kind="stable")
        return self.rows.ids[rows], rows


class Neighbours:
    """Searches the vectors of an index that is open; keeps what it read for the next query.

    Args:
        reader: The index.

    Attributes:
        notes: Plain sentences on lists that could not be used.
    """

    def __init__(self, reader: IndexReader) -> None:
        self._reader = reader
        self._opened: dict[str, _Open] = {}
        self.notes: list[str] = []

    def nearest(
        self,
        space: str,
        queries: NDArray[np.float32],
        k: int,
        allowed: NDArray[np.int64] | None = None,
    ) -> Found:
        """Find the k nearest vectors of each query by inner product.

        Scores are exact; by lists, a few neighbours may be missed (the manifest says how many of
        ten are found).

        Args:
            space: Its name.
            queries: (Q, dim), finite.
            k: Most hits of a query.
            allowed: Ids that may be found; all when None.

        Returns:
            (Q, k) ids and (Q, k) scores, best first, ties by the lower id. Where fewer than k are
            found the rest has id 0 and score -inf.

        Raises:
            UsageError: No such space.
            ValueError: As of `mmtool.models.retrieval.exact.search`.
        """
        opened = self._opened.get(space)
        if opened is None:
            opened = self._opened[space] = self._open(space)
        table = None if allowed is None else _table(opened.alive, allowed)
        left = 1.0 if table is None else np.count_nonzero(table) / max(1, len(opened.rows.ids))
        if opened.lists is None or left * _SPARSE < 1 or not np.isfinite(queries).all():
            marks = None if table is None else table[opened.rows.ids]
            return exact.search(opened.rows, queries, k, marks)
        answers = [
            _by_lists(opened, queries[q : q + 1], k, table, left) for q in range(len(queries))
        ]
        empty = np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)
        both = [empty, *answers]
        return np.concatenate([a[0] for a in both]), np.concatenate([a[1] for a in both])

    def _open(self, space: str) -> _Open:
        ids, blocks = self._reader.vectors(space)
        rows = exact.Rows(ids, blocks)
        told = self._reader.spaces()[space]
        record = told.measured.get(MEASURED)
        if not isinstance(record, dict):
            return _Open(rows)
        try:
            lists = read_lists(self._reader.folder, told, record)
            probes, last = int(record["probes"]), int(record["up_to"])
        except (OSError, ValueError, KeyError, TypeError):
            self.notes.append(
                f"the approximate lists of '{space}' are damaged and were not used; "
                "the next 'mmtool index' makes them anew"
            )
            return _Open(rows)
        if lists is None:
            self.notes.append(
                f"the approximate lists of '{space}' need FAISS and were not used: "
                "pip install 'mmtool[ann]'"
            )
            return _Open(rows)
        return _Open(rows, lists, probes, ids > last)


def read_lists(folder: Path, space: Space, record: Mapping[str, Any]) -> inverted.Inverted | None:
    """Lists of a space as they were noted; None where FAISS is absent.

    Raises:
        OSError: Their file is absent.
        ValueError: Its bytes are others.
    """
    return inverted.load(whole_lists(folder, space.name, record), space.dim)


def whole_lists(folder: Path, space: str, record: Mapping[str, Any]) -> Path:
    """File of the lists of a space, whose bytes are as they were noted.

    Raises:
        OSError: It is absent.
        ValueError: Its bytes are others.
    """
    path = lists_path(folder, space, str(record["sha256"]))
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != record["sha256"]:
            raise ValueError("damaged lists")
    return path


def lists_path(folder: Path, space: str, sha256: str) -> Path:
    """Where the lists of a space lie: a new file for other bytes, so that readers keep theirs."""
    return folder / FOLDER / f"{space}-{sha256[:16]}.faiss"


def _table(alive: NDArray[np.bool_], allowed: NDArray[np.int64]) -> NDArray[np.bool_]:
    table = np.zeros_like(alive)
    table[allowed[(allowed > 0) & (allowed < len(alive))]] = True
    return table & alive


def _by_lists(
    opened: _Open,
    query: NDArray[np.float32],
    k: int,
    table: NDArray[np.bool_] | None,
    left: float,
) -> Found:
    """One query: candidates of the lists and what came later, scored alike."""
    if opened.lists is None or opened.fresh is None:
        raise ValueError("there are no lists")
    probes = int(opened.probes * min(_WIDEST, 1 / left))
    only = opened.alive if table is None and opened.gone else table
    near = opened.lists.candidates(query, k, probes, only)
    may = opened.alive if table is None else table
    near = near[may[np.minimum(near, len(may) - 1)] & (near < len(may))]
    ids, rows = opened.order
    chosen = np.sort(rows[np.searchsorted(ids, near)])
    found, scores = exact.score_again(
        opened.rows.ids[chosen], gather(opened.rows.blocks, chosen), query, k
    )
    if opened.extended:
        marks = opened.fresh if table is None else opened.fresh & table[opened.rows.ids]
        others, theirs = exact.search(opened.rows, query, k, marks)
        found, scores = _best((found, scores), (others, theirs), k)
    if not found[0, -1] and np.count_nonzero(may) > np.count_nonzero(found):
        # The lists that were read hold too few that the filter leaves.
        return exact.search(opened.rows, query, k, may[opened.rows.ids])
    return found, scores


def _best(first: Found, second: Found, k: int) -> Found:
    ids = np.concatenate([first[0][0], second[0][0]])
    scores = np.concatenate([first[1][0], second[1][0]])
    order = np.lexsort((ids, -scores))[:k]
    return ids[order][None], scores[order][None]
