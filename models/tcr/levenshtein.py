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
_NONE = np.iinfo(np.uint16).max
_FAR = 1 << 40  # beyond any distance times both lengths; times a number of pairs still an int64
_ALL = slice(None)


def edits(queries: Sequence[str], choices: Sequence[str], threads: int = 1) -> NDArray[np.uint16]:
    """Edit distances (N, M) of N strings to M strings; ``threads`` are those of rapidfuzz."""
    found = cdist(queries, choices, scorer=Levenshtein.distance, dtype=np.uint16, workers=threads)
    return np.asarray(found, np.uint16)


def lengths(queries: Sequence[str]) -> NDArray[np.float32]:
    """Letters of N strings, none empty, as (N, 1)."""
    return np.array([[len(q)] for q in queries], np.float32)


@dataclass(frozen=True)
class Neighbours:
    """The pairs of each epitope that are nearest to N receptors, whatever epitope is asked for.

    Attributes:
        near: (N, G, k) uint16, edits to the k nearest pairs of each group, nearest first;
            `_NONE` where a group has fewer.
        labels: (N, G, k) int8 of 0 and 1; -1 where a group has fewer.
        size: (N,) int64, letters of the receptors.
        epitopes: G peptides.
    """

    near: NDArray[np.uint16]
    labels: NDArray[np.int8]
    size: NDArray[np.int64]
    epitopes: tuple[str, ...]

    def of(self, epitope: str, rows: NDArray[np.intp] | slice = _ALL) -> NDArray[np.int8]:
        """Labels of the nearest pairs of some receptors with an epitope, nearest first.

        The k nearest pairs lie in the k groups whose own nearest pair is nearest, so no other
        group is looked at. Of pairs at the same distance those of the nearer epitope, then of the
        earlier place count.

        Args:
            epitope: One peptide.
            rows: Which receptors; all without.

        Returns:
            (R, k) of 0 and 1; -1 where there are fewer pairs.
        """
        # Times both lengths all distances of a query are whole numbers, and ties are ties.
        near, labels, size = self.near[rows], self.labels[rows], self.size[rows, None]
        count, k = near.shape[0], near.shape[2]
        apart = edits([epitope], self.epitopes)[0].astype(np.int64)
        order = np.argsort(apart, kind="stable")
        apart = apart[order]
        first = apart * size + near[:, order, 0].astype(np.int64) * len(epitope)
        _, best = smallest(first, k)  # (R, g), in the order of the nearer epitope
        best.sort(axis=1)
        at = np.arange(count)[:, None], order[best]
        found, marks = near[at], labels[at]  # (R, g, k)
        far = (apart[best] * size)[:, :, None] + found.astype(np.int64) * len(epitope)
        far[marks < 0] = _FAR
        _, places = smallest(far.reshape(count, -1), k)
        return np.take_along_axis(marks.reshape(count, -1), places, 1)


@dataclass(frozen=True)
class PairIndex:
    """Labelled pairs, grouped by epitope.

    Attributes:
        sequences: S distinct CDR3s.
        epitopes: G peptides.
        places: For each, which of the CDR3s its pairs have.
        labels: For each, (pairs,) int8 of 0 and 1.
    """

    sequences: tuple[str, ...]
    epitopes: tuple[str, ...]
    places: tuple[NDArray[np.intp], ...]
    labels: tuple[NDArray[np.int8], ...]

    @classmethod
    def of(
        cls, epitopes: Sequence[str], sequences: Sequence[str], labels: Sequence[int]
    ) -> PairIndex:
        """Group pairs, given as three sequences of one length."""
        known = {s: i for i, s in enumerate(dict.fromkeys(sequences))}
        groups: dict[str, list[int]] = {}
        for place, epitope in enumerate(epitopes):
            groups.setdefault(epitope, []).append(place)
        return cls(
            tuple(known),
            tuple(groups),
            tuple(np.array([known[sequences[p]] for p in some]) for some in groups.values()),
            tuple(np.array([labels[p] for p in some], np.int8) for some in groups.values()),
        )

    def neighbours(self, queries: Sequence[str], k: int, threads: int = 1) -> Neighbours:
        """The k nearest pairs of each epitope by the receptor alone.

        Args:
            queries: N CDR3s, none empty.
            k: Pairs of a group.
            threads: Of rapidfuzz.
        """
        shape = (len(queries), len(self.epitopes), k)
        near, labels = np.full(shape, _NONE, np.uint16), np.full(shape, -1, np.int8)
        step = max(1, _CHUNK // max(1, len(self.sequences)))
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            apart = edits(queries[rows], self.sequences, threads)
            for group, places in enumerate(self.places):
                found, which = smallest(apart[:, places], k)
                near[rows, group, : found.shape[1]] = found
                labels[rows, group, : found.shape[1]] = self.labels[group][which]
        size = np.array([len(q) for q in queries], np.int64)
        return Neighbours(near, labels, size, self.epitopes)


def shares(labels: NDArray[np.int8], k: int) -> NDArray[np.float64]:
    """(N,) share of positive pairs among the k nearest, of :meth:`Neighbours.of`."""
    nearest = labels[:, :k]
    there = nearest >= 0
    found = (nearest * there).sum(1) / np.maximum(there.sum(1), 1)
    return np.asarray(found, np.float64)


def smallest(values: NDArray[np.integer], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The k smallest of each row in order, and their places; of equals the earlier ones.

    Args:
        values: (N, M), at most `_FAR`.
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
