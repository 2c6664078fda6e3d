"""Objects of a label map: how many pieces a structure has, where each lies, how large it is.

A point, a box and a count of each structure, as in Point, Detect, Count (2505.16647), but measured
on the mask, so that they cannot disagree with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmtool.types import Label

SMALLEST_VOXELS = 5
_LARGE = 400_000  # voxels of a box from which on depth is measured on blocks of voxels
_TOUCHING = np.ones((3, 3, 3), bool)  # 26 neighbours


@dataclass(frozen=True)
class FoundObject:
    """One piece of a structure.

    Attributes:
        point_voxel: Voxel of the piece that lies deepest in it (to a few voxels in large ones).
        point_mm: The same place, RAS+ mm.
        low_voxel: First voxel of the box along I, J, K.
        high_voxel: Last voxel of the box.
        low_mm: Corner of the box along R, A, S in mm: the box holds the voxels to their faces.
        high_mm: The other corner.
        voxels: Number of voxels.
        volume_ml: Volume, mL.
    """

    point_voxel: tuple[int, int, int]
    point_mm: tuple[float, float, float]
    low_voxel: tuple[int, int, int]
    high_voxel: tuple[int, int, int]
    low_mm: tuple[float, float, float]
    high_mm: tuple[float, float, float]
    voxels: int
    volume_ml: float


@dataclass(frozen=True)
class StructureObjects:
    """All pieces of a structure, the largest first.

    Attributes:
        label: The structure.
        objects: Pieces of ``SMALLEST_VOXELS`` or more; the largest piece whatever its size.
        specks: Number of smaller pieces.
        speck_voxels: Their voxels.
    """

    label: Label
    objects: tuple[FoundObject, ...]
    specks: int
    speck_voxels: int

    @property
    def pieces(self) -> int:
        """Number of all pieces."""
        return len(self.objects) + self.specks


def find_objects(
    labels: NDArray[np.integer], affine: NDArray[np.float64], table: Sequence[Label]
) -> list[StructureObjects]:
    """Pieces of each structure; voxels that touch by a face, an edge or a corner are one piece.

    Args:
        labels: (I, J, K) label map.
        affine: (4, 4) voxel to RAS+ mm.
        table: The structures to look for.

    Returns:
        One entry for each structure of ``table``, also of those that are not there.
    """
    boxes = dict(enumerate(ndimage.find_objects(labels), start=1))
    out = []
    for label in table:
        box = boxes.get(label.index)
        if box is None:
            out.append(StructureObjects(label, (), 0, 0))
            continue
        out.append(_pieces(label, labels[box] == label.index, box, affine))
    return out


def _pieces(
    label: Label,
    mask: NDArray[np.bool_],
    box: tuple[slice, ...],
    affine: NDArray[np.float64],
) -> StructureObjects:
    numbered, count = ndimage.label(mask, _TOUCHING)
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    kept = [int(i) for n, i in enumerate(order) if n == 0 or sizes[i] >= SMALLEST_VOXELS]
    inner = ndimage.find_objects(numbered)
    start = np.array([s.start for s in box])
    objects = []
    for i in kept:
        piece = numbered[inner[i]] == i + 1
        corner = start + [s.start for s in inner[i]]
        objects.append(_object(piece, corner, affine))
    small = len(sizes) - len(kept)
    return StructureObjects(label, tuple(objects), small, int(sizes.sum() - sizes[kept].sum()))


def _object(
    piece: NDArray[np.bool_], corner: NDArray[np.int64], affine: NDArray[np.float64]
) -> FoundObject:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    point = corner + _deepest(piece, spacing)
    high = corner + piece.shape - 1
    faces = np.array(np.meshgrid(*zip(corner - 0.5, high + 0.5, strict=True))).reshape(3, -1)
    world = affine[:3, :3] @ faces + affine[:3, 3:]
    voxels = int(piece.sum())
    return FoundObject(
        _whole(point),
        _mm(affine[:3, :3] @ point + affine[:3, 3]),
        _whole(corner),
        _whole(high),
        _mm(world.min(1)),
        _mm(world.max(1)),
        voxels,
        voxels * abs(float(np.linalg.det(affine[:3, :3]))) / 1000,
    )


def _deepest(piece: NDArray[np.bool_], spacing: NDArray[np.float64]) -> NDArray[np.int64]:
    """Voxel of the piece that is farthest from all outside it; in large pieces to a block of 2."""
    if piece.size > _LARGE:
        blocks = _full_blocks(piece)
        if blocks.any():
            return 2 * _deepest(blocks, 2 * spacing)
    depth = ndimage.distance_transform_edt(np.pad(piece, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    return np.array(np.unravel_index(int(depth.argmax()), piece.shape))


def _full_blocks(piece: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(I // 2, J // 2, K // 2): blocks of 2 x 2 x 2 voxels that lie in the piece as a whole."""
    i, j, k = (n // 2 for n in piece.shape)
    cut = piece[: 2 * i, : 2 * j, : 2 * k]
    return np.asarray(cut.reshape(i, 2, j, 2, k, 2).all((1, 3, 5)))


def _whole(values: NDArray[np.int64]) -> tuple[int, int, int]:
    i, j, k = values.tolist()
    return i, j, k


def _mm(values: NDArray[np.float64]) -> tuple[float, float, float]:
    r, a, s = (round(float(v), 3) for v in values)
    return r, a, s
