"""Bringing maps from a world grid back to the grid of a file, before a class is chosen.

The maps may come a few rows at a time: of a volume with many classes, or a large one, they are
never whole in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.pipelines.axis_taps import AxisTaps
from mmtool.pipelines.world_grid import WorldGrid, interpolated, positions, ras_view, straight

_SLAB_VALUES = 6_000_000  # values interpolated at a time: bounds memory, any value is right
Box = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Piece:
    """Values on a part of the file's grid.

    Attributes:
        region: Where, in a `ras_view` of an array on the file's grid.
        values: (C, i, j, k) there.
        mine: (i, j, k) bool, the voxels that these are the values of; None for all. The others
            belong to other pieces.
    """

    region: tuple[slice, slice, slice]
    values: Tensor
    mine: Tensor | None = None

    def put(self, target: NDArray[Any], affine: NDArray[np.float64], values: Tensor) -> None:
        """Write (i, j, k) values into an (I, J, K) array on the grid of the file."""
        place = ras_view(target, affine)[0][self.region]
        if self.mine is None:
            place[...] = values.cpu().numpy()
        else:
            mine = self.mine.cpu().numpy()
            place[mine] = values.cpu().numpy()[mine]

    def own(self, *values: Tensor) -> list[NDArray[Any]]:
        """(n,) values of the voxels that belong to this piece, of (i, j, k) tensors each."""
        if self.mine is None:
            return [v.transpose(0, 2).cpu().numpy().ravel() for v in values]
        return [v[self.mine].cpu().numpy() for v in values]


def from_grid(
    maps: Tensor,
    grid: WorldGrid,
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    box: Box | None = None,
) -> Iterator[Piece]:
    """Bring whole maps back to the grid of a file, piece by piece.

    Args:
        maps: (C, R, A, S) float32 on ``grid``.
        grid: Their grid.
        shape: (I, J, K) of the file.
        affine: (4, 4) of the file.
        box: Lowest and highest RAS+ mm that matter; the rest is skipped.
    """
    return from_rows([(0, maps)], grid, shape, affine, box=box)


def from_rows(
    rows: Iterable[tuple[int, Tensor]],
    grid: WorldGrid,
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    *,
    axis: int = 2,
    box: Box | None = None,
) -> Iterator[Piece]:
    """The same for maps that come some rows at a time.

    Values are interpolated linearly between the centres of the grid. Beyond the outermost centres
    they are repeated up to the faces; voxels outside the grid appear in no piece or hold zeros.
    The values do not depend on how the rows are divided (oblique files: but for rounding).

    Args:
        rows: First row and (C, R, A, S) float32 maps, complete but along ``axis``, in order and
            without gaps from row 0 on.
        grid: Grid of the maps.
        shape: (I, J, K) of the file.
        affine: (4, 4) of the file.
        axis: The world axis along which they come.
        box: Lowest and highest RAS+ mm that matter; the rest is skipped.
    """
    view, matrix = ras_view(np.broadcast_to(np.uint8(0), shape), affine)
    corners = _extent(view.shape, matrix, box)
    if any(b <= a for a, b in corners):
        return
    if straight(view.shape, matrix):
        yield from _straight(rows, grid, matrix, corners, axis)
    else:
        yield from _oblique(rows, grid, matrix, corners, axis)


def _extent(
    shape: tuple[int, ...], matrix: NDArray[np.float64], box: Box | None
) -> list[tuple[int, int]]:
    """Voxels along each axis that hold the box."""
    if box is None:
        return [(0, n) for n in shape]
    corners = np.array(list(product(*zip(*box, strict=True))))
    index = (corners - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    low = np.floor(index.min(0)).astype(int).clip(0, shape)
    high = (np.ceil(index.max(0)).astype(int) + 1).clip(0, shape)
    return [(int(a), int(b)) for a, b in zip(low, high, strict=True)]


def _straight(
    rows: Iterable[tuple[int, Tensor]],
    grid: WorldGrid,
    matrix: NDArray[np.float64],
    box: list[tuple[int, int]],
    axis: int,
) -> Iterator[Piece]:
    """A plane sweep: planes of the grid are refined to the file, then mixed two by two."""
    taps = []
    for a, (low, high) in enumerate(box):
        world = matrix[a, a] * np.arange(low, high) + matrix[a, 3]
        at = (world - grid.origin[a]) / grid.steps[a]
        taps.append(AxisTaps.linear(at[:, None], grid.size[a]))
    across = [a for a in range(3) if a != axis]
    done, total = 0, len(taps[axis])
    planes = _Planes(axis, [taps[a] for a in across])
    for start, maps in rows:
        planes.take(start, maps)
        while done < total:
            index, weight = taps[axis].index[done], taps[axis].weight[done]
            needed = index[weight != 0]
            if len(needed) and needed.max() >= planes.stop:
                break
            if len(needed):
                region = [slice(a, b) for a, b in box]
                region[axis] = slice(box[axis][0] + done, box[axis][0] + done + 1)
                mixed = planes.mixed(index, weight)
                values = mixed.transpose(1, 2).unsqueeze(axis + 1)
                yield Piece((region[0], region[1], region[2]), values)
            done += 1
        planes.drop_before(int(taps[axis].index[done].min()) if done < total else planes.stop)


class _Planes:
    """Planes across ``axis``, refined to the file when they are first needed."""

    def __init__(self, axis: int, taps: list[AxisTaps]) -> None:
        self.axis = axis
        self.taps = taps
        self.start = self.stop = 0
        self.maps: Tensor | None = None
        self.last: dict[int, Tensor] = {}
        self.fine: dict[int, Tensor] = {}

    def take(self, start: int, maps: Tensor) -> None:
        """The next rows; the last one of those before is kept."""
        if start != self.stop:
            raise ValueError(f"rows from {start} on follow row {self.stop}")
        self.maps, self.start = maps, start
        self.stop = start + maps.shape[self.axis + 1]

    def drop_before(self, row: int) -> None:
        """Rows below are not needed any more; what is kept of the others outlives the maps."""
        if self.maps is not None and row < self.stop:
            kept = range(max(row, self.start), self.stop)
            self.last = {n: self.plane(n).clone() for n in kept if n not in self.fine}
        self.maps = None

    def plane(self, row: int) -> Tensor:
        """(C, p, q) one plane of the grid."""
        if row in self.last:
            return self.last[row]
        if self.maps is None:
            raise ValueError(f"row {row} is gone")
        return self.maps.select(self.axis + 1, row - self.start)

    def refined(self, row: int) -> Tensor:
        """(C, q', p') on the file's grid: the first axis last, as files have it in memory."""
        if row not in self.fine:
            first, second = self.taps
            part = first.apply(self.plane(row), 1).transpose(1, 2).contiguous()
            self.fine = {n: p for n, p in self.fine.items() if n >= row - 1}
            self.fine[row] = second.apply(part, 1)
        return self.fine[row]

    def mixed(self, index: NDArray[np.int64], weight: NDArray[np.float32]) -> Tensor:
        """Weighted sum of planes."""
        out: Tensor | None = None
        for row, share in zip(index.tolist(), weight.tolist(), strict=True):
            if share == 1.0:
                return self.refined(row)
            if share:
                part = self.refined(row) * share
                out = part if out is None else out.add_(part)
        if out is None:
            raise ValueError("no plane has a weight")
        return out


def _oblique(
    rows: Iterable[tuple[int, Tensor]],
    grid: WorldGrid,
    matrix: NDArray[np.float64],
    box: list[tuple[int, int]],
    axis: int,
) -> Iterator[Piece]:
    """Slabs of the file; a voxel belongs to the rows between which it lies."""
    back = np.linalg.inv(grid.affine) @ matrix
    count = grid.size[axis]
    kept: Tensor | None = None
    for start, maps in rows:
        block = maps if kept is None else torch.cat([kept, maps], axis + 1)
        first = start if kept is None else start - 1
        stop = start + maps.shape[axis + 1]
        low = [0, 0, 0]
        low[axis] = first
        # Whatever lies beyond the outermost centres belongs to the outermost rows.
        begin = -np.inf if first == 0 else float(first)
        end = np.inf if stop == count else float(stop - 1)
        for part in _parts(box, axis, len(maps)):
            corners = np.array(list(product(*((a, b - 1) for a, b in part))))
            reach = (corners @ back[:3, :3].T + back[:3, 3])[:, axis]
            if reach.max() < begin - 1e-3 or reach.min() >= end + 1e-3:
                continue
            index = positions(back, part, block.device)
            at = index[..., axis]
            mine = (at >= begin) & (at < end)
            if mine.any():
                region = (slice(*part[0]), slice(*part[1]), slice(*part[2]))
                values = interpolated(block, index, low, grid.size)
                yield Piece(region, values, None if mine.all() else mine)
        kept = block.narrow(axis + 1, block.shape[axis + 1] - 1, 1).clone()


def _parts(box: list[tuple[int, int]], axis: int, channels: int) -> Iterator[list[tuple[int, int]]]:
    """Slabs of a box across ``axis``."""
    plane = channels * int(np.prod([b - a for n, (a, b) in enumerate(box) if n != axis]))
    step = max(1, _SLAB_VALUES // plane)
    low, high = box[axis]
    for start in range(low, high, step):
        part = list(box)
        part[axis] = (start, min(start + step, high))
        yield part
