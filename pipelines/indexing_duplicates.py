"""Copies within an index: the same bytes, the same molecule, pictures that look the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mmtool.io.index.reader import IndexReader, Mark
from mmtool.io.readers.picture_marks import likeness

MOST_BITS = 4  # of 64 in which the hashes of two pictures that look the same differ
_BANDS = 5  # of two hashes that differ in 4 bits, one of five bands is equal
LIKENESS = 0.99
_CROWD = 2000  # pictures with one band in common that are compared


@dataclass(frozen=True)
class Duplicate:
    """Two items of which one may be a copy.

    Attributes:
        first: Id of the older.
        second: Id of the newer.
        kind: ``same bytes``, ``same molecule``, ``same sequence`` or ``alike``.
        bits: In which the hashes of two pictures differ; 0 for all else.
    """

    first: int
    second: int
    kind: str
    bits: int = 0


def find_duplicates(reader: IndexReader) -> list[Duplicate]:
    """Pairs of each item with the oldest that it is a copy of; pictures with all they look like.

    Pictures of one organ often have hashes that differ in few bits, so their thumbnails must
    correlate, too: of neighbouring slices they do by 0.9 to 0.98, of copies by more.
    """
    known = list(reader.marks())
    found: dict[tuple[int, int], Duplicate] = {}
    for kind, keys in (
        ("same bytes", [(m.id, m.sha256) for m in known if m.kind not in _STRINGS | {"slide"}]),
        ("same molecule", [(m.id, m.identity) for m in known if m.kind == "molecule"]),
        ("same sequence", [(m.id, m.identity) for m in known if m.kind == "protein"]),
    ):
        for first, second in _equal(keys):
            found[first, second] = Duplicate(first, second, kind)
    hashed = [m for m in known if m.dhash and m.kind != "slide"]
    for first, second, bits in _alike(hashed):
        found.setdefault((first, second), Duplicate(first, second, "alike", bits))
    found = {pair: d for pair, d in found.items() if d.kind != "alike" or _looks_alike(reader, d)}
    return sorted(found.values(), key=lambda d: (d.first, d.second))


def _looks_alike(reader: IndexReader, pair: Duplicate) -> bool:
    """Whether the thumbnails agree; without them the hashes alone decide."""
    small = [item.thumbnail for item in reader.items([pair.first, pair.second])]
    return not all(small) or likeness(small[0], small[1]) >= LIKENESS


_STRINGS = frozenset(("molecule", "protein"))


def _equal(keys: Iterable[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    oldest: dict[str, int] = {}
    for number, key in keys:
        if key:
            first = oldest.setdefault(key, number)
            if first != number:
                yield first, number


def _alike(marks: list[Mark]) -> Iterator[tuple[int, int, int]]:
    """Pairs of pictures whose hashes differ in few bits."""
    ids = np.array([m.id for m in marks], np.int64)
    hashes = np.array([int(m.dhash, 16) for m in marks], np.uint64)
    edges = [round(k * 64 / _BANDS) for k in range(_BANDS + 1)]
    for low, high in pairwise(edges):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        groups: dict[int, list[int]] = defaultdict(list)
        for row, value in enumerate(band.tolist()):
            groups[value].append(row)
        for rows in groups.values():
            yield from _near(np.array(rows[:_CROWD]), ids, hashes)


def _near(
    rows: NDArray[np.int64], ids: NDArray[np.int64], hashes: NDArray[np.uint64]
) -> Iterator[tuple[int, int, int]]:
    for k, row in enumerate(rows[:-1]):
        bits = np.bitwise_count(hashes[rows[k + 1 :]] ^ hashes[row])
        for other in np.flatnonzero(bits <= MOST_BITS):
            yield int(ids[row]), int(ids[rows[k + 1 + other]]), int(bits[other])
