"""Exact search: inner products with every vector, chunk by chunk, in bounded memory.

BLAS gives float32 products whose last bits depend on how many are computed at once. So it only
says who can be among the best; those few are scored again in float64, rounded once. An answer
therefore doesn't depend on how queries are batched or how vectors lie in blocks, and equal vectors
tie exactly; nor does it depend on whether FAISS is there, which makes a few queries faster.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmtool.models.retrieval.scan import scan

_FIRST = 8_192  # rows of the first chunk; what it finds spares most rows of the others
_GROWTH = 8  # from chunk to chunk: threads of BLAS are called together as seldom as can be
_MOST = 262_144  # rows of a chunk
_QUERIES = 128  # at a time
_SCORES = 1 << 22  # at a time: 16 MiB
_EPSILON = float(np.finfo(np.float32).eps)
_LOWEST = np.finfo(np.float32).min
_FEW = 4  # queries that are asked one by one, where that is faster than together
_SPARSE = 8  # below one allowed row in so many, the allowed rows are picked first

Found = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True)
class Rows:
    """Vectors to be searched, with what is asked of them once for all queries.

    Attributes:
        ids: (n,) of the rows; a row of id 0 is never found.
        blocks: (m, dim) each, n rows together, of length 1 at most; may be memory-mapped. Rows
            with NaN are never found.

    Raises:
        ValueError: Shapes that don't fit together.
    """

    ids: NDArray[np.int64]
    blocks: Sequence[NDArray[np.float32]]

    def __post_init__(self) -> None:
        # Slices of a memory map are slow to make; those of a plain view of it are not.
        object.__setattr__(self, "blocks", tuple(np.asarray(block) for block in self.blocks))
        if any(b.ndim != 2 or b.shape[1] != self.blocks[0].shape[1] for b in self.blocks):
            raise ValueError("vectors differ in their length")
        if self.ids.shape != (sum(len(block) for block in self.blocks),):
            raise ValueError("not as many ids as vectors")

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        """(n,) rows that may be found."""
        return np.not_equal(self.ids, 0)

    @cached_property
    def share(self) -> float:
        """Of rows that may be found."""
        return _share(self.alive)


@dataclass(frozen=True)
class _Chunk:
    ids: NDArray[np.int64]  # (m,)
    rows: NDArray[np.float32]  # (m, dim)
    gone: NDArray[np.int64]  # rows that must not be found


def search(
    rows: Rows,
    queries: NDArray[np.float32],
    k: int,
    allowed: NDArray[np.bool_] | None = None,
) -> Found:
    """Find the k nearest vectors of each query by inner product.

    Args:
        rows: Vectors.
        queries: (Q, dim), finite.
        k: Most hits of a query.
        allowed: (n,) whether a row may be found; all when None.

    Returns:
        (Q, k) ids and (Q, k) scores, best first, ties by the lower id. Where fewer than k are
        found the rest has id 0 and score -inf.

    Raises:
        ValueError: Shapes that don't fit together, k < 1, or a query that isn't finite.
    """
    _check(rows, queries, k, allowed)
    alive = rows.alive if allowed is None else rows.alive & allowed
    share = rows.share if allowed is None else _share(alive)
    if len(queries) == 1 and share * _SPARSE >= 1:
        return _search_one(rows, queries, k, alive, share == 1)
    if 0 < len(queries) <= _FEW and share * _SPARSE >= 1:
        each = [
            _search_one(rows, queries[q : q + 1], k, alive, share == 1) for q in range(len(queries))
        ]
        return np.concatenate([a[0] for a in each]), np.concatenate([a[1] for a in each])
    answers = [
        _search_some(rows, queries[start : start + _QUERIES], k, alive)
        for start in range(0, len(queries), _QUERIES)
    ]
    if not answers:
        return np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)
    return np.concatenate([a[0] for a in answers]), np.concatenate([a[1] for a in answers])


def _share(alive: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(alive)) / max(1, len(alive))


def _check(
    rows: Rows, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None
) -> None:
    if k < 1:
        raise ValueError(f"k is {k}; it must be 1 at least")
    if queries.ndim != 2 or (rows.blocks and rows.blocks[0].shape[1] != queries.shape[1]):
        raise ValueError("queries and vectors differ in their length")
    if allowed is not None and allowed.shape != rows.ids.shape:
        raise ValueError("not as many marks as vectors")
    # The sum of squares is quicker, but may overflow.
    if not math.isfinite(np.vdot(queries, queries)) and not np.isfinite(queries).all():
        raise ValueError("a query is not finite")


def _search_one(
    rows: Rows, query: NDArray[np.float32], k: int, alive: NDArray[np.bool_], every: bool
) -> Found:
    query = np.ascontiguousarray(query, np.float32)
    margin = 2 * _margin(len(query[0]), math.sqrt(np.vdot(query, query)))
    found = scan(rows.blocks, query, k, None if every else alive, margin)
    if found is None:
        return _search_some(rows, query, k, alive)
    places, vectors = found
    return score_again(rows.ids[places], vectors, query, k)


def score_again(
    ids: NDArray[np.int64],
    vectors: NDArray[np.float32],
    query: NDArray[np.float32],
    k: int,
) -> Found:
    """The k best of a few rows by exact scores.

    Args:
        ids: (c,) of the rows.
        vectors: (c, dim).
        query: (1, dim).
        k: Most hits.

    Returns:
        (1, k) ids and scores as of `search`.
    """
    # Not by BLAS: a sum along a row is the same wherever the row lies.
    exact = np.add.reduce(vectors * query[0].astype(np.float64), 1).astype(np.float32)
    order = np.lexsort((ids, -exact))[:k]
    if len(order) == k:
        return ids[order][None], exact[order][None]
    out_ids, out = np.zeros((1, k), np.int64), np.full((1, k), -np.inf, np.float32)
    out_ids[0, : len(order)], out[0, : len(order)] = ids[order], exact[order]
    return out_ids, out


def _margin(dim: int, length: float) -> float:
    """Twice what a float32 sum of dim products of that vector and one of length 1 can be off."""
    return 2 * dim * _EPSILON * length


def _search_some(
    rows: Rows,
    queries: NDArray[np.float32],
    k: int,
    alive: NDArray[np.bool_],
) -> Found:
    queries = np.ascontiguousarray(queries, np.float32)
    lengths = np.sqrt((queries * queries).sum(axis=1))
    margin = [_margin(queries.shape[1], length) for length in lengths.tolist()]
    best_ids = np.zeros((len(queries), k), np.int64)
    best = np.full((len(queries), k), -np.inf, np.float32)
    for chunk in _chunks(rows, alive, min(_MOST, _SCORES // len(queries))):
        scores = _products(queries, chunk)
        least = np.maximum(
            best[:, -1] - np.array(margin, np.float32), _LOWEST
        )  # -inf is what must not be found
        at = np.flatnonzero(scores >= least[:, None].astype(np.float32))
        of, places = np.divmod(at, scores.shape[1])
        ends = np.searchsorted(of, np.arange(len(queries) + 1))
        for q in np.flatnonzero(np.diff(ends)):
            found = places[ends[q] : ends[q + 1]]
            if len(found) > k:
                found = _foremost(found, scores[q], k, 2 * margin[q])
            # Not by BLAS: a sum along a row is the same wherever the row lies.
            exact = (chunk.rows[found] * queries[q].astype(np.float64)).sum(axis=1)
            _merge(best_ids[q], best[q], chunk.ids[found], exact.astype(np.float32))
    return best_ids, best


def _chunks(rows: Rows, alive: NDArray[np.bool_], most: int) -> Iterator[_Chunk]:
    sparse = np.count_nonzero(alive) * _SPARSE < len(alive)
    first, size = 0, _FIRST
    for block in rows.blocks:
        start = 0
        while start < len(block):
            some = block[start : start + size]
            here = slice(first + start, first + start + len(some))
            living = alive[here]
            if not sparse:
                yield _Chunk(rows.ids[here], some, np.flatnonzero(~living))
            elif living.any():
                yield _Chunk(rows.ids[here][living], some[living], np.zeros(0, np.int64))
            start += size
            size = min(size * _GROWTH, most)
        first += len(block)


def _products(queries: NDArray[np.float32], chunk: _Chunk) -> NDArray[np.float32]:
    """(Q, m); -inf where a row must not be found."""
    single = len(queries) == 1  # BLAS is quicker when it is told
    scores = (chunk.rows @ queries[0])[None] if single else queries @ chunk.rows.T
    if len(chunk.gone):
        scores[:, chunk.gone] = -np.inf
    return scores


def _foremost(
    rows: NDArray[np.int64], scores: NDArray[np.float32], k: int, margin: float
) -> NDArray[np.int64]:
    """Those of more than k rows that can be among the k best."""
    some = scores[rows]
    cut = -np.partition(-some, k - 1)[k - 1]
    kept: NDArray[np.int64] = rows[some >= cut - margin]
    return kept


def _merge(
    ids: NDArray[np.int64],
    best: NDArray[np.float32],
    new_ids: NDArray[np.int64],
    new: NDArray[np.float32],
) -> None:
    """Put new rows among the k best of one query, in place."""
    all_ids, all_scores = np.concatenate([ids, new_ids]), np.concatenate([best, new])
    order = np.lexsort((all_ids, -all_scores))[: len(ids)]
    ids[:], best[:] = all_ids[order], all_scores[order]
