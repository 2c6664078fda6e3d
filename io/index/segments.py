"""Files of vectors: immutable, memory-mapped, registered in the database."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError
from mmtool.io.index.layout import VECTORS

_NAME = re.compile(r"(\d+)\.(vectors|ids|parts|places|starts)\.npy")


@dataclass(frozen=True)
class Block:
    """Vectors of some items of one space.

    Attributes:
        ids: (m,) int64, of the items.
        vectors: (m, dim) float32.
        parts: (sum of T, part_dim) float16, or None.
        places: (sum of T, 4) float16, or None.
        starts: (m + 1,) int64: item k has the rows ``starts[k]:starts[k + 1]``; None without parts.
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    parts: NDArray[np.float16] | None = None
    places: NDArray[np.float16] | None = None
    starts: NDArray[np.int64] | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those that there are, by the names of their files."""
        named: dict[str, NDArray[Any] | None] = {
            "ids": self.ids,
            "vectors": self.vectors,
            "parts": self.parts,
            "places": self.places,
            "starts": self.starts,
        }
        return {name: array for name, array in named.items() if array is not None}


def write_segment(folder: Path, space: str, number: int, block: Block) -> None:
    """Write a segment, whole and synced; until it is registered it means nothing."""
    place = folder / VECTORS / space
    place.mkdir(parents=True, exist_ok=True)
    for name, array in block.arrays().items():
        with (place / f"{number}.{name}.npy").open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
    for where in (place, place.parent):
        _sync_folder(where)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_segment(folder: Path, space: str, number: int, rows: int, dim: int, parts: bool) -> Block:
    """Memory-map a segment.

    Raises:
        InputError: A file is absent, cut short or not what is registered.
    """
    names = ("ids", "vectors", *(("parts", "places", "starts") if parts else ()))
    place = folder / VECTORS / space
    found = {name: _map(place / f"{number}.{name}.npy") for name in names}
    wanted = {"ids": ((rows,), np.int64), "vectors": ((rows, dim), np.float32)}
    if parts:
        wanted["starts"] = ((rows + 1,), np.int64)
    for name, (shape, dtype) in wanted.items():
        if found[name].shape != shape or found[name].dtype != dtype:
            raise _damaged(place / f"{number}.{name}.npy")
    return Block(**found)


def _map(path: Path) -> NDArray[Any]:
    try:
        mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path) from error
    return mapped


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path}: vectors of the index are absent or cut short",
        "build the index anew with 'mmtool index ... --rebuild'",
    )


def joined(blocks: Sequence[Block], dead: NDArray[np.int64]) -> Block:
    """One block of several, in order, without the items that are gone."""
    keep = [~np.isin(b.ids, dead) for b in blocks]
    ids = np.concatenate([b.ids[k] for b, k in zip(blocks, keep, strict=True)])
    vectors = np.concatenate([b.vectors[k] for b, k in zip(blocks, keep, strict=True)])
    if blocks[0].parts is None:
        return Block(ids, vectors)
    lengths, parts, places = [], [], []
    for block, kept in zip(blocks, keep, strict=True):
        if block.starts is None or block.parts is None or block.places is None:
            raise ValueError("segments with parts and without are not joined")
        counts = np.diff(block.starts)
        rows = np.repeat(kept, counts)
        lengths.append(counts[kept])
        parts.append(block.parts[rows])
        places.append(block.places[rows])
    starts = np.concatenate([[0], np.concatenate(lengths).cumsum()]).astype(np.int64)
    return Block(ids, vectors, np.concatenate(parts), np.concatenate(places), starts)


def sweep(folder: Path, registered: set[int]) -> int:
    """Delete files of segments that no transaction names; returns their number."""
    removed = 0
    for path in (folder / VECTORS).glob("*/*"):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) not in registered:
            path.unlink(missing_ok=True)
            removed += 1
    return removed
