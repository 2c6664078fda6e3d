"""Few large files of vectors instead of many small ones, and none of items that are gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmtool.io.index.layout import VECTORS
from mmtool.io.index.reader import read_segments
from mmtool.io.index.segments import Block, joined, open_segment, write_segment

_ROWS = 1 << 17  # of a segment that is left as it is
_BYTES = 256 << 20  # of the segments that are joined at a time; they are held in memory

Segment = tuple[int, Block]


def compact(link: sqlite3.Connection, folder: Path) -> None:
    """Join what can be joined, a group in a transaction; a killed one leaves all as it was."""
    spaces, rows, dead = read_segments(link)
    for name, found in rows.items():
        gone = dead.get(name, np.zeros(0, np.int64))
        opened = [
            (number, open_segment(folder, name, number, count, spaces[name].dim, bool(parts)))
            for number, count, parts in found
        ]
        for group in _groups(opened, gone):
            _replace(link, folder, name, group, gone)
        link.execute("DELETE FROM dead WHERE space = ?", (name,))


def _groups(segments: Sequence[Segment], gone: NDArray[np.int64]) -> Iterator[list[Segment]]:
    """Segments that become one: small ones of one sort, and each with rows that are gone."""
    for with_parts in (False, True):
        group: list[Segment] = []
        size = 0
        for number, block in segments:
            full = len(block.ids) >= _ROWS and not np.isin(block.ids, gone).any()
            if (block.parts is not None) != with_parts or full:
                continue
            own = sum(array.nbytes for array in block.arrays().values())
            if group and size + own > _BYTES:
                yield group
                group, size = [], 0
            group.append((number, block))
            size += own
        if group and (len(group) > 1 or np.isin(group[0][1].ids, gone).any()):
            yield group


def _replace(
    link: sqlite3.Connection,
    folder: Path,
    space: str,
    group: Sequence[Segment],
    gone: NDArray[np.int64],
) -> None:
    block = joined([b for _, b in group], gone)
    link.execute("BEGIN IMMEDIATE")
    try:
        link.executemany("DELETE FROM segments WHERE id = ?", [(n,) for n, _ in group])
        if len(block.ids):
            row = (space, len(block.ids), int(block.parts is not None))
            inserted = link.execute(
                "INSERT INTO segments (space, rows, parts) VALUES (?, ?, ?)", row
            )
            write_segment(folder, space, int(inserted.lastrowid or 0), block)
        link.execute("COMMIT")
    except BaseException:
        link.execute("ROLLBACK")
        raise
    for number, old in group:
        for part in old.arrays():
            (folder / VECTORS / space / f"{number}.{part}.npy").unlink(missing_ok=True)
