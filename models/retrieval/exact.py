"""Exact search: inner products with every vector, chunk by chunk, in bounded memory.

BLAS gives float32 products whose last bits depend on how many are computed at once. So it only
says who can be among the best; those few are scored again in float64, rounded once. An answer
therefore doesn't depend on how queries are batched or how vectors lie in blocks, and equal vectors
tie exactly; nor does it depend on whether FAISS is there, which makes a few queries faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtool.models.retrieval.scan import scan

_FIRST = 8_192  # rows of the first chunk; what it finds spares most rows of the others
_GROWTH = 8  # from chunk to chunk: threads of BLAS are called together as seldom as can be
_MOST = 262_144  # rows of a chunk
_QUERIES = 128  # at a time
_SCORES = 1 << 22  # at a time: 16 MiB
_LOWEST = np.finfo(np.float32).min
_FEW = 4  # queries that are asked one by one, where that is faster than together
_SPARSE = 8  # below one allowed row in so many, the allowed rows are picked first

Found = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True)
class _Chunk:
    ids: NDArray[np.int64]  # (m,)
    rows: NDArray[np.float32]  # (m, dim)
    gone: NDArray[np.int64]  # rows that must not be found


def search(
    ids: NDArray[np.int64],
    blocks: Sequence[NDArray[np.float32]],
    queries: NDArray[np.float32],
    k: int,
    allowed: NDArray[np.bool_] | None = None,
) -> Found:
    """Find the k nearest vectors of each query by inner product.

    Args:
        ids: (n,) of the rows; a row of id 0 is never found.
        blocks: (m, dim) each, n rows together, of length 1 at most; may be memory-mapped. Rows
            with NaN are never found.
        queries: (Q, dim), finite.
        k: Most hits of a query.
        allowed: (n,) whether a row may be found; all when None.

    Returns:
        (Q, k) ids and (Q, k) scores, best first, ties by the lower id. Where fewer than k are
        found the rest has id 0 and score -inf.

    Raises:
        ValueError: Shapes that don't fit together, k < 1, or a query that isn't finite.
    """
    _check(ids, blocks, queries, k, allowed)
    alive = ids != 0 if allowed is None else (ids != 0) & allowed
    if 0 < len(queries) <= _FEW and np.count_nonzero(alive) * _SPARSE >= len(alive):
        if len(queries) == 1:
            return _search_one(ids, blocks, queries, k, alive)
        each = [_search_one(ids, blocks, queries[q : q + 1], k, alive) for q in range(len(queries))]
        return np.concatenate([a[0] for a in each]), np.concatenate([a[1] for a in each])
    answers = [
        _search_some(ids, blocks, queries[start : start + _QUERIES], k, alive)
        for start in range(0, len(queries), _QUERIES)
    ]
    if not answers:
        return np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)
    return np.concatenate([a[0] for a in answers]), np.concatenate([a[1] for a in answers])


def _check(
    ids: NDArray[np.int64],
    blocks: Sequence[NDArray[np.float32]],
    queries: NDArray[np.float32],
    k: int,
    allowed: NDArray[np.bool_] | None,
) -> None:
    if k < 1:
        raise ValueError(f"k is {k}; it must be 1 at least")
    if queries.ndim != 2 or any(b.ndim != 2 or b.shape[1] != queries.shape[1] for b in blocks):
        raise ValueError("queries and vectors differ in their length")
    rows = sum(len(block) for block in blocks)
    if ids.shape != (rows,) or (allowed is not None and allowed.shape != (rows,)):
        raise ValueError(f"{rows} vectors, but not as many ids or marks")
    if not np.isfinite(queries).all():
        raise ValueError("a query is not finite")


def _search_one(
    ids: NDArray[np.int64],
    blocks: Sequence[NDArray[np.float32]],
    query: NDArray[np.float32],
    k: int,
    alive: NDArray[np.bool_],
) -> Found:
    query = np.ascontiguousarray(query, np.float32)
    margin = 2 * float(_margins(query)[0])
    found = scan(blocks, query, k, alive, margin)
    if found is None:
        return _search_some(ids, blocks, query, k, alive)
    rows, vectors = found
    return score_again(ids[rows], vectors, query, k)


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
    exact = (vectors * query[0].astype(np.float64)).sum(axis=1).astype(np.float32)
    order = np.lexsort((ids, -exact))[:k]
    out_ids, out = np.zeros((1, k), np.int64), np.full((1, k), -np.inf, np.float32)
    out_ids[0, : len(order)], out[0, : len(order)] = ids[order], exact[order]
    return out_ids, out


def _margins(queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """(Q,) twice what a float32 sum of dim products with a vector of length 1 can be off."""
    eps = np.finfo(np.float32).eps
    return np.asarray(
        2 * queries.shape[1] * eps * np.sqrt((queries * queries).sum(axis=1)), np.float32
    )


def _search_some(
    ids: NDArray[np.int64],
    blocks: Sequence[NDArray[np.float32]],
    queries: NDArray[np.float32],
    k: int,
    alive: NDArray[np.bool_],
) -> Found:
    queries = np.ascontiguousarray(queries, np.float32)
    margin = _margins(queries)
    best_ids = np.zeros((len(queries), k), np.int64)
    best = np.full((len(queries), k), -np.inf, np.float32)
    for chunk in _chunks(ids, blocks, alive, min(_MOST, _SCORES // len(queries))):
        scores = _products(queries, chunk)
        least = np.maximum(best[:, -1] - margin, _LOWEST)  # -inf is what must not be found
        at = np.flatnonzero(scores >= least[:, None].astype(np.float32))
        of, rows = np.divmod(at, scores.shape[1])
        ends = np.searchsorted(of, np.arange(len(queries) + 1))
        for q in np.flatnonzero(np.diff(ends)):
            found = rows[ends[q] : ends[q + 1]]
            if len(found) > k:
                found = _foremost(found, scores[q], k, 2 * margin[q])
            # Not by BLAS: a sum along a row is the same wherever the row lies.
            exact = (chunk.rows[found] * queries[q].astype(np.float64)).sum(axis=1)
            _merge(best_ids[q], best[q], chunk.ids[found], exact.astype(np.float32))
    return best_ids, best


def _chunks(
    ids: NDArray[np.int64],
    blocks: Sequence[NDArray[np.float32]],
    alive: NDArray[np.bool_],
    most: int,
) -> Iterator[_Chunk]:
    sparse = np.count_nonzero(alive) * _SPARSE < len(alive)
    first, size = 0, _FIRST
    for block in blocks:
        start = 0
        while start < len(block):
            rows = np.asarray(block[start : start + size])
            here = slice(first + start, first + start + len(rows))
            living = alive[here]
            if not sparse:
                yield _Chunk(ids[here], rows, np.flatnonzero(~living))
            elif living.any():
                yield _Chunk(ids[here][living], rows[living], np.zeros(0, np.int64))
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
