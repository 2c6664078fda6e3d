"""Moving images between the grid of a file and a regular grid in world space.

Working on a grid that is fixed in the patient (RAS+ mm) and not in the file is what makes a mask
independent of how the file stores its axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_SLAB_VOXELS = 1_500_000  # voxels resampled at a time: bounds memory, any value is right


@dataclass(frozen=True)
class WorldGrid:
    """Regular grid along the RAS axes.

    Attributes:
        origin: Centre of voxel (0, 0, 0), RAS+ mm.
        spacing: Edge of a voxel, mm.
        size: Voxels along R, A, S.
    """

    origin: tuple[float, float, float]
    spacing: float
    size: tuple[int, int, int]

    def centre_of(self, voxel: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 3) voxel index to (..., 3) RAS+ mm."""
        return np.asarray(self.origin) + self.spacing * voxel

    @classmethod
    def around(
        cls, centre: NDArray[np.float64], size: tuple[int, int, int], spacing: float
    ) -> WorldGrid:
        """Grid of ``size`` voxels whose middle lies at ``centre`` (RAS+ mm)."""
        corner = centre - spacing * (np.asarray(size) - 1) / 2
        return cls((float(corner[0]), float(corner[1]), float(corner[2])), spacing, size)

    @classmethod
    def covering(
        cls, shape: tuple[int, ...], affine: NDArray[np.float64], spacing: float, multiple: int
    ) -> WorldGrid:
        """Smallest grid, in multiples of ``multiple`` voxels, that holds a whole volume."""
        low, high = world_box(shape, affine)
        counts = np.ceil((high - low) / spacing / multiple).astype(int).clip(1) * multiple
        size = (int(counts[0]), int(counts[1]), int(counts[2]))
        return cls.around((low + high) / 2, size, spacing).aligned(low)

    def aligned(self, face: NDArray[np.float64]) -> WorldGrid:
        """Moved by half a voxel at most, so that voxels have faces at ``face`` (RAS+ mm).

        On a file whose voxels are as large, or divide these evenly, nothing is then interpolated.
        """
        steps = (np.asarray(self.origin) - self.spacing / 2 - face) / self.spacing
        # Ties are common. Rounding them a little upwards makes all storage orders agree.
        moved = np.asarray(self.origin) - self.spacing * (steps - np.floor(steps + 0.501))
        r, a, s = (float(v) for v in moved)
        return WorldGrid((r, a, s), self.spacing, self.size)


def turned_axes(axes: str, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Index to index, (4, 4): sets an affine right that calls its axes R, A, S and lies.

    ``affine @ turned_axes("LPS", shape)`` is the true affine of arrays that run left, posterior and
    superior although their affine has them run right, anterior and superior.

    Args:
        axes: Where the three axes really point, such as ``LPS``; empty if the affine is true.
        shape: Of the array.
    """
    out = np.eye(4)
    for axis, (letter, size) in enumerate(zip(axes or "RAS", shape, strict=True)):
        if letter in "LPI":
            out[axis, axis], out[axis, 3] = -1, size - 1
    return out


def world_box(
    shape: tuple[int, ...], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest RAS+ mm of a volume, outer faces of its voxels included."""
    corners = np.array(list(product(*((-0.5, n - 0.5) for n in shape))))
    world = corners @ affine[:3, :3].T + affine[:3, 3]
    return world.min(0), world.max(0)


def to_grid(
    data: NDArray[np.generic],
    affine: NDArray[np.float64],
    grid: WorldGrid,
    device: torch.device,
    *,
    outside: float = 0.0,
) -> Tensor:
    """Resample a volume to a world grid, averaging where the file is finer.

    Args:
        data: (I, J, K) intensities.
        affine: (4, 4) voxel to RAS+ mm.
        grid: Target.
        device: Where to work.
        outside: Value beyond the volume.

    Returns:
        (R, A, S) float32.
    """
    image = torch.as_tensor(np.ascontiguousarray(data, dtype=np.float32), device=device)
    if outside:
        image = image - outside
    finest = np.abs(affine[:3, :3]).max(1).clip(1e-6)  # mm per voxel step along R, A, S
    parts = [min(4, max(1, math.ceil(grid.spacing / step - 0.25))) for step in finest]
    offsets = [((np.arange(n) + 0.5) / n - 0.5) for n in parts]
    out = torch.zeros(grid.size, device=device)
    for rows in _slabs(grid.size):
        for shift in product(*offsets):
            voxels = _indices(rows, grid.size, device) + torch.tensor(
                shift, dtype=torch.float32, device=device
            )
            out[rows] += _interpolate(image[None], _source(voxels, grid, affine))[0]
    out /= math.prod(parts)
    return out + outside if outside else out


def _slabs(size: tuple[int, int, int]) -> Iterator[slice]:
    step = max(1, _SLAB_VOXELS // (size[1] * size[2]))
    for start in range(0, size[0], step):
        yield slice(start, min(size[0], start + step))


def _indices(rows: slice, size: tuple[int, int, int], device: torch.device) -> Tensor:
    axes = [
        torch.arange(a, b, dtype=torch.float32, device=device)
        for a, b in ((rows.start, rows.stop), (0, size[1]), (0, size[2]))
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def _source(voxels: Tensor, grid: WorldGrid, affine: NDArray[np.float64]) -> Tensor:
    """Grid index to index in the volume with ``affine``; composed in float64."""
    forward = np.eye(4)
    forward[:3, :3] *= grid.spacing
    forward[:3, 3] = grid.origin
    return _apply(np.linalg.inv(affine) @ forward, voxels)


def _apply(matrix: NDArray[np.float64], points: Tensor) -> Tensor:
    turn = torch.as_tensor(matrix[:3, :3], dtype=torch.float32, device=points.device)
    move = torch.as_tensor(matrix[:3, 3], dtype=torch.float32, device=points.device)
    return points @ turn.T + move


def _interpolate(image: Tensor, index: Tensor) -> Tensor:
    """Trilinear values of (C, I, J, K) at (..., 3) indices; zero beyond the outer faces."""
    size = torch.tensor(image.shape[1:], dtype=torch.float32, device=image.device)
    inside = ((index >= -0.5) & (index <= size - 0.5)).all(-1)
    scaled = (2 * index / (size - 1).clamp_min(1) - 1).flip(-1)
    values = F.grid_sample(
        image[None], scaled[None], mode="bilinear", padding_mode="border", align_corners=True
    )
    return values[0] * inside


def from_grid(
    maps: Tensor,
    grid: WorldGrid,
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
    box: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Iterator[tuple[tuple[slice, slice, slice], Tensor]]:
    """Bring maps back to the grid of a file, slab by slab.

    Args:
        maps: (C, R, A, S) float32 on ``grid``.
        grid: Their grid.
        shape: (I, J, K) of the file.
        affine: (4, 4) of the file.
        box: Lowest and highest RAS+ mm that matter; the rest is skipped.

    Yields:
        A region of the file's grid and the (C, i, j, k) values there.
    """
    corners = np.array(list(product(*zip(*box, strict=True))))
    index = (corners - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    low = np.floor(index.min(0)).astype(int).clip(0, np.asarray(shape))
    high = (np.ceil(index.max(0)).astype(int) + 1).clip(0, np.asarray(shape))
    if (high <= low).any():
        return
    sub = (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2]))
    back = np.eye(4)
    back[:3, :3] /= grid.spacing
    back[:3, 3] = -np.asarray(grid.origin) / grid.spacing
    start = torch.as_tensor(low, dtype=torch.float32, device=maps.device)
    for rows in _slabs((sub[0], sub[1], sub[2] * max(1, maps.shape[0] // 4))):
        voxels = _indices(rows, sub, maps.device) + start
        region = (
            slice(int(low[0]) + rows.start, int(low[0]) + rows.stop),
            slice(int(low[1]), int(high[1])),
            slice(int(low[2]), int(high[2])),
        )
        yield region, _interpolate(maps, _apply(back @ affine, voxels))
