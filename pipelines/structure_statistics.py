"""Size, place, surface and intensity of each structure of a label map.

The volume is walked a few times in slabs, and each structure is looked at in its own box, so that
time and memory follow the scan and not the number of labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import SphericalVoronoi

_SLAB = 1 << 24  # voxels that are compared at a time
_EVERY_SIDE = np.ones((3, 3, 3), bool)
# One of each pair of opposite neighbours.
_DIRECTIONS = tuple(d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0))
_INTENSITY = ("mean", "sd", "median", "p5", "p95")
_BOX_MM = tuple(f"bbox_{axis}_{end}_mm" for axis in "ras" for end in ("min", "max"))
_BOX = tuple(f"bbox_{axis}_{end}" for axis in "ijk" for end in ("min", "max"))
_CENTRE = tuple(f"centroid_{axis}_mm" for axis in "ras")
COLUMNS = (
    *_CENTRE,
    "surface_mm2",
    "components",
    *(f"intensity_{name}" for name in _INTENSITY),
    *_BOX_MM,
    *_BOX,
)

Row = dict[str, float | int | str]
Box = tuple[slice, slice, slice]


def measure(
    labels: NDArray[np.uint8],
    data: NDArray[Any],
    affine: NDArray[np.float64],
    components: Mapping[int, int] | None = None,
) -> dict[int, Row]:
    """Measure every label of a map.

    Args:
        labels: (I, J, K) label indices, 0 for none.
        data: (I, J, K) intensities in the unit of the scan; NaN and infinities are left out.
        affine: (4, 4) voxel to RAS+ mm.
        components: Number of pieces by label index where it is known; the others are counted.

    Returns:
        Values of :data:`COLUMNS` by label index, of labels that have voxels: centroid (RAS mm),
        surface (mm², see :func:`surface_areas`), number of pieces that share no face, edge or
        corner, intensities (``sd`` divides by n), the box in RAS mm that holds its voxels with
        their edges, and its first and last voxel index along each axis.
    """
    surfaces = surface_areas(labels, affine)
    boxes = ndimage.find_objects(labels, max_label=255)
    rows: dict[int, Row] = {}
    for index, box in enumerate(boxes, start=1):
        if box is None:
            continue
        inside = labels[box] == index
        row = _place(inside, box, affine)
        row["surface_mm2"] = round(float(surfaces[index]), 2)
        count = (components or {}).get(index)
        row["components"] = count or int(ndimage.label(inside, _EVERY_SIDE)[1])
        row |= _intensity(data[box][inside])
        rows[index] = {name: row[name] for name in COLUMNS}
    return rows


def voxel_counts(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(256,) number of voxels of each value of an (I, J, K) map."""
    counts = np.zeros(256, np.int64)
    for slab in _slabs(labels.shape):
        counts += np.bincount(labels[slab].ravel(), minlength=256)
    return counts


def surface_areas(labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(256,) surface of each label of an (I, J, K) map in mm².

    By the formula of Crofton: lines in the 13 directions between neighbouring voxels are counted
    where they enter or leave a label, and each direction has a weight by the part of the sphere
    that is nearest to it (Lehmann and Legland 2012, 10.54294/wdu86d). Unlike the faces of voxels
    or a mesh around them it does not grow with the stairs of a grid; for balls it is right to
    about 1 %. Directions are taken in world space, so the grid may be anisotropic or sheared.
    What is cut by the edge of the scan has a surface there.
    """
    found = ndimage.find_objects(labels > 0, max_label=1)
    total = np.zeros(256)
    if not found or found[0] is None:
        return total
    padded = np.pad(labels[found[0]], 1)
    vectors = np.array(_DIRECTIONS) @ affine[:3, :3].T
    lengths = np.linalg.norm(vectors, axis=1)
    voxel = abs(float(np.linalg.det(affine[:3, :3])))
    for direction, length, share in zip(_DIRECTIONS, lengths, _shares(vectors), strict=True):
        total += 2 * share * voxel / length * _crossings(padded, direction)
    total[0] = 0
    return total


def _shares(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(13,) share of the sphere that is nearest to each direction or to its opposite."""
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    areas = SphericalVoronoi(np.concatenate([unit, -unit])).calculate_areas()
    return np.asarray(areas.reshape(2, -1).sum(0) / areas.sum())


def _crossings(padded: NDArray[np.uint8], direction: tuple[int, ...]) -> NDArray[np.int64]:
    """(256,) how often lines along a direction enter or leave each label."""
    here = tuple(
        slice(max(0, -d), n - max(0, d)) for d, n in zip(direction, padded.shape, strict=True)
    )
    there = tuple(
        slice(max(0, d), n - max(0, -d)) for d, n in zip(direction, padded.shape, strict=True)
    )
    first, second = padded[here], padded[there]
    counts = np.zeros(256, np.int64)
    for slab in _slabs(first.shape):
        differ = first[slab] != second[slab]
        for side in (first, second):
            counts += np.bincount(side[slab][differ], minlength=256)
    return counts


def _slabs(shape: tuple[int, ...]) -> Iterator[slice]:
    """Parts of the first axis that hold about ``_SLAB`` voxels."""
    step = max(1, _SLAB // max(1, shape[1] * shape[2]))
    return (slice(i, i + step) for i in range(0, shape[0], step))


def _place(inside: NDArray[np.bool_], box: Box, affine: NDArray[np.float64]) -> Row:
    """Centroid and boxes of one structure."""
    start = np.array([s.start for s in box])
    stop = np.array([s.stop for s in box])
    centre = []
    for axis in range(3):
        sums = np.count_nonzero(inside, axis=tuple({0, 1, 2} - {axis}))
        centre.append(float((sums * np.arange(len(sums))).sum() / sums.sum()))
    world = affine[:3, :3] @ (start + centre) + affine[:3, 3]
    row: Row = dict(zip(_CENTRE, (round(float(x), 2) for x in world), strict=True))
    # The ends of lines of voxels hold every extreme of the box, in any direction.
    lines = np.argwhere(inside.any(0))
    column = inside[:, lines[:, 0], lines[:, 1]]
    ends = (column.argmax(0), len(column) - 1 - column[::-1].argmax(0))
    spots = np.concatenate([np.column_stack([end, lines]) for end in ends]) + start
    points = spots @ affine[:3, :3].T + affine[:3, 3]
    half = np.abs(affine[:3, :3]).sum(1) / 2
    sides = np.column_stack([points.min(0) - half, points.max(0) + half]).ravel()
    row |= zip(_BOX_MM, (round(float(x), 2) for x in sides), strict=True)
    row |= zip(_BOX, np.column_stack([start, stop - 1]).ravel().tolist(), strict=True)
    return row


def _intensity(values: NDArray[Any]) -> Row:
    """Of the finite ones of (n,) values."""
    values = values[np.isfinite(values)] if np.issubdtype(values.dtype, np.floating) else values
    if not values.size:
        return {f"intensity_{name}": "" for name in _INTENSITY}
    low, middle, high = np.percentile(values, (5, 50, 95))
    found = (values.mean(dtype=np.float64), values.std(dtype=np.float64), middle, low, high)
    # Six digits: parametric maps may be as small as 1e-6, CT values are whole numbers.
    return {
        f"intensity_{name}": float(f"{value:.6g}")
        for name, value in zip(_INTENSITY, found, strict=True)
    }
