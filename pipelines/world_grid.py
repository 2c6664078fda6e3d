"""Moving images between the grid of a file and a regular grid in world space.

Working on a grid that is fixed in the patient (RAS+ mm) and not in the file is what makes a mask
independent of how the file stores its axes. Files are seen through :func:`ras_view`; where their
axes then run along R, A and S, resampling goes axis by axis and any storage order gives the same
bits. Never is more of a file converted to float than a slab.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

import numpy as np
import torch
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mmtool.pipelines.axis_taps import AxisTaps

Steps = float | tuple[float, float, float]
T = TypeVar("T", bound=np.generic)

_SLAB_VOXELS = 1_500_000  # voxels resampled at a time: bounds memory, any value is right
_FINEST = 4  # samples along an axis that are averaged at most
_ALIGNED = 1e-3  # voxels that an axis may stray over the whole volume and still count as straight


@dataclass(frozen=True)
class WorldGrid:
    """Regular grid along the RAS axes.

    Attributes:
        origin: Centre of voxel (0, 0, 0), RAS+ mm.
        spacing: Edge of a voxel, mm; one number, or one each for R, A, S.
        size: Voxels along R, A, S.
    """

    origin: tuple[float, float, float]
    spacing: Steps
    size: tuple[int, int, int]

    @property
    def steps(self) -> NDArray[np.float64]:
        """(3,) edges of a voxel along R, A, S, mm."""
        return np.broadcast_to(np.asarray(self.spacing, np.float64), 3)

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) voxel to RAS+ mm."""
        matrix = np.diag([*self.steps, 1.0])
        matrix[:3, 3] = self.origin
        return matrix

    def centre_of(self, voxel: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 3) voxel index to (..., 3) RAS+ mm."""
        return np.asarray(self.origin) + self.steps * voxel

    @classmethod
    def around(
        cls, centre: NDArray[np.float64], size: tuple[int, int, int], spacing: Steps
    ) -> WorldGrid:
        """Grid of ``size`` voxels whose middle lies at ``centre`` (RAS+ mm)."""
        corner = centre - np.asarray(spacing) * (np.asarray(size) - 1) / 2
        return cls((float(corner[0]), float(corner[1]), float(corner[2])), spacing, size)

    @classmethod
    def covering(
        cls,
        shape: tuple[int, ...],
        affine: NDArray[np.float64],
        spacing: Steps,
        multiple: int | tuple[int, int, int] = 1,
    ) -> WorldGrid:
        """Smallest grid, in multiples of ``multiple`` voxels, that holds a whole volume."""
        low, high = world_box(shape, affine)
        many = np.asarray(multiple)
        # A thousandth of a voxel is rounding, not a part of the volume.
        wanted = (high - low) / np.asarray(spacing) / many - 1e-3 / many
        counts = np.ceil(wanted).astype(int).clip(1) * many
        size = (int(counts[0]), int(counts[1]), int(counts[2]))
        return cls.around((low + high) / 2, size, spacing).aligned(low)

    def aligned(self, face: NDArray[np.float64]) -> WorldGrid:
        """Moved by half a voxel at most, so that voxels have faces at ``face`` (RAS+ mm).

        On a file whose voxels are as large, or divide these evenly, nothing is then interpolated.
        """
        steps = (np.asarray(self.origin) - self.steps / 2 - face) / self.steps
        # Ties are common. Rounding them a little upwards makes all storage orders agree.
        moved = np.asarray(self.origin) - self.steps * (steps - np.floor(steps + 0.501))
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


def ras_view(
    data: NDArray[T], affine: NDArray[np.float64]
) -> tuple[NDArray[T], NDArray[np.float64]]:
    """The same memory with its axes turned to those nearest to R, A, S, and the affine of that.

    Writing into the view writes into ``data``.
    """
    turn = io_orientation(affine)
    return apply_orientation(data, turn), affine @ inv_ornt_aff(turn, data.shape)


def straight(shape: Sequence[int], affine: NDArray[np.float64]) -> bool:
    """Whether the axes of a :func:`ras_view` run along R, A and S, but for rounding."""
    steps = np.diag(affine)[:3]
    stray = affine[:3, :3] - np.diag(steps)
    return bool((np.abs(stray) @ np.asarray(shape) <= _ALIGNED * np.abs(steps)).all())


def to_grid(
    data: NDArray[Any],
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
    view, matrix = ras_view(data, affine)
    finest = np.abs(matrix[:3, :3]).max(1).clip(1e-6)  # mm per voxel step along R, A, S
    parts = [
        min(_FINEST, max(1, math.ceil(step / fine - 0.25)))
        for step, fine in zip(grid.steps, finest, strict=True)
    ]
    offsets = [((np.arange(n) + 0.5) / n - 0.5) for n in parts]
    out = torch.empty(grid.size, device=device)
    if straight(view.shape, matrix):
        _gather_straight(view, matrix, grid, offsets, outside, out)
    else:
        _gather_oblique(view, matrix, grid, offsets, outside, out)
    return out + outside if outside else out


def _floats(
    view: NDArray[Any], box: Sequence[tuple[int, int]], outside: float, device: torch.device
) -> Tensor:
    """(S, A, R) float32 of a part of a (R, A, S) view, with ``outside`` taken off."""
    part = view[tuple(slice(a, b) for a, b in box)].T
    image = torch.as_tensor(np.ascontiguousarray(part, dtype=np.float32), device=device)
    return image - outside if outside else image  # not in place: it may be the file's memory


def _gather_straight(
    view: NDArray[Any],
    matrix: NDArray[np.float64],
    grid: WorldGrid,
    offsets: Sequence[NDArray[np.float64]],
    outside: float,
    out: Tensor,
) -> None:
    """Along S, then A, then R, whichever of them the file stores first."""
    taps = []
    for axis, shifts in enumerate(offsets):
        voxels = np.arange(grid.size[axis])[:, None] + shifts
        world = grid.origin[axis] + grid.steps[axis] * voxels
        positions = (world - matrix[axis, 3]) / matrix[axis, axis]
        taps.append(AxisTaps.linear(positions, view.shape[axis]))
    spans = [t.span() for t in taps]
    planes = math.prod(b - a for a, b in spans[:2]) * taps[2].index.shape[1]
    step = max(1, _SLAB_VOXELS // max(1, planes))
    r, a = (t.moved(span[0]) for t, span in zip(taps[:2], spans[:2], strict=True))
    for start in range(0, grid.size[2], step):
        s = taps[2].rows(start, start + step)
        rows = s.span()
        image = _floats(view, (*spans[:2], rows), outside, out.device)
        image = s.moved(rows[0]).apply(image, 0)
        out[:, :, start : start + step] = r.apply(a.apply(image, 1), 2).permute(2, 1, 0)


def _gather_oblique(
    view: NDArray[Any],
    matrix: NDArray[np.float64],
    grid: WorldGrid,
    offsets: Sequence[NDArray[np.float64]],
    outside: float,
    out: Tensor,
) -> None:
    """Slab by slab of the grid, from the part of the file that it needs."""
    back = np.linalg.inv(matrix) @ grid.affine
    shape = np.asarray(view.shape)
    out.zero_()
    step = max(1, _SLAB_VOXELS // (grid.size[1] * grid.size[2]))
    for start in range(0, grid.size[0], step):
        rows = [(start, min(start + step, grid.size[0])), *((0, n) for n in grid.size[1:])]
        corners = np.array([(c - 1, d) for c, d in rows])
        corners = np.array(list(product(*corners))) @ back[:3, :3].T + back[:3, 3]
        low = np.floor(corners.min(0)).astype(int).clip(0, shape - 1)
        high = (np.ceil(corners.max(0)).astype(int) + 2).clip(low + 1, shape)
        part = _floats(view, list(zip(low, high, strict=True)), outside, out.device)
        image = part.permute(2, 1, 0)[None]
        for shift in product(*offsets):
            index = positions(back, rows, out.device, shift)
            out[start : start + step] += interpolated(image, index, low, shape)[0]
    out /= math.prod(len(o) for o in offsets)


def positions(
    matrix: NDArray[np.float64],
    box: Sequence[tuple[int, int]],
    device: torch.device,
    shift: Sequence[float] = (0.0, 0.0, 0.0),
) -> Tensor:
    """(i, j, k, 3) float32: where a (4, 4) matrix sends the voxels of a box, moved by ``shift``."""
    out: Tensor | None = None
    for axis, ((a, b), s) in enumerate(zip(box, shift, strict=True)):
        along = (np.arange(a, b) + s)[:, None] * matrix[:3, axis]
        if out is None:
            along = along + matrix[:3, 3]
        shape = [1, 1, 1, 3]
        shape[axis] = b - a
        part = torch.as_tensor(along, dtype=torch.float32, device=device).view(shape)
        out = part if out is None else out + part
    if out is None:
        raise ValueError("a box has three axes")
    return out


def interpolated(
    image: Tensor,
    index: Tensor,
    low: NDArray[np.int64] | Sequence[int] = (0, 0, 0),
    shape: NDArray[np.int64] | Sequence[int] | None = None,
) -> Tensor:
    """Trilinear values of (C, i, j, k) at (..., 3) indices; zero beyond the outer faces.

    ``image`` may be the part from ``low`` on of an image of ``shape``, to which ``index`` refers.
    """
    full = torch.as_tensor(
        image.shape[1:] if shape is None else shape, dtype=torch.float32, device=index.device
    )
    inside = ((index >= -0.5) & (index <= full - 0.5)).all(-1)
    size = torch.tensor(image.shape[1:], dtype=torch.float32, device=index.device)
    local = index - torch.as_tensor(low, dtype=torch.float32, device=index.device)
    scaled = (2 * local / (size - 1).clamp_min(1) - 1).flip(-1)
    values = F.grid_sample(
        image[None], scaled[None], mode="bilinear", padding_mode="border", align_corners=True
    )
    return values[0] * inside
