"""One query through all vectors by FAISS, where it is installed (extra ``ann``).

FAISS reads rows faster than BLAS multiplies a matrix by one vector. Its scores are float32 sums,
so they only say who can be among the best, as in `mmtool.models.retrieval.exact`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SPARE = 4  # rows beyond k: they show whether others are near enough to be looked at


@lru_cache(maxsize=1)
def faiss_library() -> Any:
    """The module, or None where it isn't installed."""
    try:
        import faiss
    except ImportError:
        return None
    return faiss


def scan(
    blocks: Sequence[NDArray[np.float32]],
    query: NDArray[np.float32],
    k: int,
    alive: NDArray[np.bool_] | None,
    margin: float,
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Rows that can be among the k nearest.

    Args:
        blocks: (m, dim) each, n rows together.
        query: (1, dim).
        k: Rows that are wanted.
        alive: (n,) rows that may be found; all when None.
        margin: By how much two scores may change places when they are computed exactly.

    Returns:
        (c,) rows and (c, dim) their vectors; None where FAISS is absent, can't read the blocks, or
        too many rows are near the last place.
    """
    faiss = faiss_library()
    if faiss is None or not all(b.flags.c_contiguous and b.dtype == np.float32 for b in blocks):
        return None
    wanted = k + _SPARE
    found = [
        (start, *_nearest(faiss, query, block, wanted, _part(alive, start, len(block))))
        for start, block in _placed(blocks)
    ]
    if not found:
        return None
    passed = max(near.item(-1) if len(near) == wanted else -np.inf for _, near, _ in found)
    _, scores, rows = found[0]  # best first
    if len(found) > 1:
        scores = np.concatenate([near for _, near, _ in found])
        rows = np.concatenate([start + some for start, _, some in found])
        best = np.argsort(-scores)
        scores, rows = scores[best], rows[best]
    if len(rows) > k:
        cut = scores.item(k - 1) - margin
        if passed >= cut:
            return None
        near = k if scores.item(k) < cut else np.count_nonzero(scores >= cut)
        rows = rows[:near]
    rows.sort()
    return rows, gather(blocks, rows)


def _part(alive: NDArray[np.bool_] | None, start: int, size: int) -> NDArray[np.bool_] | None:
    return None if alive is None else alive[start : start + size]


def gather(blocks: Sequence[NDArray[np.float32]], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(c, dim) vectors of ascending rows."""
    if len(blocks) == 1:
        return blocks[0][rows]
    parts = []
    for start, block in _placed(blocks):
        low, high = np.searchsorted(rows, (start, start + len(block)))
        if high > low:
            parts.append(block[rows[low:high] - start])
    return np.concatenate(parts) if parts else np.zeros((0, blocks[0].shape[1]), np.float32)


def _placed(
    blocks: Sequence[NDArray[np.float32]],
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    start = 0
    for block in blocks:
        if len(block):
            yield start, block
        start += len(block)


def _nearest(
    faiss: Any,
    query: NDArray[np.float32],
    block: NDArray[np.float32],
    k: int,
    marks: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores and rows of one block, best first; fewer than k where no more may be found."""
    pointer, k = faiss.swig_ptr, min(k, len(block))
    scores, rows = np.empty((1, k), np.float32), np.empty((1, k), np.int64)
    asked = (pointer(query), pointer(block), block.shape[1], 1, len(block), k)
    if marks is None:
        faiss.knn_inner_product(*asked, pointer(scores), pointer(rows))
    else:
        bits = np.packbits(marks, bitorder="little")
        chosen = faiss.IDSelectorBitmap(len(bits), pointer(bits))
        faiss.knn_inner_product(*asked, pointer(scores), pointer(rows), chosen)
    if rows[0, -1] >= 0:
        return scores[0], rows[0]
    count = np.count_nonzero(rows[0] >= 0)
    return scores[0, :count], rows[0, :count]
