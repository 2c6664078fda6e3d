"""Nearest neighbours among labelled pairs by edit distance: TITAN's baseline.

The distance of two pairs of epitope and receptor is the sum of their Levenshtein distances, each
divided by the length of the query's string; a query's label is the mean over its k nearest pairs
(https://doi.org/10.1093/bioinformatics/btab294). Distances are computed by rapidfuzz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

_CHUNK = 4_000_000  # distances that are held at a time
_FAR = np.iinfo(np.int64).max


def edits(queries: Sequence[str], choices: Sequence[str], threads: int = 1) -> NDArray[np.uint16]:
    """Edit distances (N, M) of N strings to M strings; ``threads`` are those of rapidfuzz."""
    found = cdist(queries, choices, scorer=Levenshtein.distance, dtype=np.uint16, workers=threads)
    return np.asarray(found, np.uint16)


def lengths(queries: Sequence[str]) -> NDArray[np.float32]:
    """Letters of N strings, none empty, as (N, 1)."""
    return np.array([[len(q)] for q in queries], np.float32)


@dataclass(frozen=True)
class PairIndex:
    """Labelled pairs, grouped by epitope so that far epitopes need not be looked at.

    Attributes:
        epitopes: G peptides.
        sequences: For each, the CDR3s of its pairs.
        labels: For each, (pairs,) float32 of 0 and 1.
    """

    epitopes: tuple[str, ...]
    sequences: tuple[tuple[str, ...], ...]
    labels: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(
        cls, epitopes: Sequence[str], sequences: Sequence[str], labels: Sequence[int]
    ) -> PairIndex:
        """Group pairs, given as three sequences of one length."""
        groups: dict[str, list[int]] = {}
        for place, epitope in enumerate(epitopes):
            groups.setdefault(epitope, []).append(place)
        return cls(
            tuple(groups),
            tuple(tuple(sequences[p] for p in places) for places in groups.values()),
            tuple(np.array([labels[p] for p in places], np.float32) for places in groups.values()),
        )

    def positive_share(
        self, queries: Sequence[str], epitope: str, k: int, threads: int = 1
    ) -> NDArray[np.float32]:
        """Share of positive pairs among the k nearest of each query.

        The groups are visited from the nearest epitope on, and only with those queries whose k-th
        neighbour so far is farther than the epitope alone: the result is that of a full search.
        Of pairs at the same distance those of the nearer epitope, then of the earlier place count.

        Args:
            queries: N CDR3s, none empty.
            epitope: One peptide.
            k: Neighbours; fewer if there are fewer pairs.
            threads: Of rapidfuzz.

        Returns:
            (N,) in [0, 1].
        """
        # Times both lengths all distances of a query are whole numbers, and ties are ties.
        size = np.array([len(q) for q in queries], np.int64)
        apart = edits([epitope], self.epitopes)[0].astype(np.int64)
        best = np.full((len(queries), k), _FAR, np.int64)
        label = np.zeros((len(queries), k), np.float32)
        for group in np.argsort(apart, kind="stable"):
            nearer = np.flatnonzero(best[:, -1] > apart[group] * size)
            if not nearer.size:
                break
            step = max(1, _CHUNK // len(self.sequences[group]))
            for start in range(0, len(nearer), step):
                rows = nearer[start : start + step]
                asked = [queries[r] for r in rows]
                near, place = smallest(edits(asked, self.sequences[group], threads), k)
                far = apart[group] * size[rows, None] + near * len(epitope)
                merged = np.concatenate([best[rows], far], 1)
                marks = np.concatenate([label[rows], self.labels[group][place]], 1)
                order = np.argsort(merged, axis=1, kind="stable")[:, :k]
                best[rows] = np.take_along_axis(merged, order, 1)
                label[rows] = np.take_along_axis(marks, order, 1)
        there = best < _FAR
        share: NDArray[np.float32] = (label * there).sum(1) / np.maximum(there.sum(1), 1)
        return share.astype(np.float32)


def smallest(values: NDArray[np.uint16], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The k smallest of each row in order, and their places; of equals the earlier ones.

    Args:
        values: (N, M).
        k: At most; fewer if M is smaller.

    Returns:
        Both (N, min(k, M)).
    """
    n = values.shape[1]
    k = min(k, n)
    # Value and place in one number: no two are equal, so any way of sorting gives the same.
    small = n * 1024 < np.iinfo(np.int32).max and int(values.max(initial=0)) < 1024
    keys = values.astype(np.int32 if small else np.int64) * n + np.arange(n, dtype=np.int32)
    keys = np.partition(keys, k - 1, axis=1)[:, :k]
    keys.sort(axis=1)
    values_of, places = np.divmod(keys.astype(np.int64), n)
    return values_of, places
