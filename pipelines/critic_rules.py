"""Rules by which a label map can be judged without knowing the truth, each from 0 to 1.

They follow what Label Critic (2411.02753) asks a vision language model: is the structure to be
expected here, is it in one piece, is it of usual size, on its side, at its place. None of them
needs a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

RULES = ("expected", "whole", "size", "side", "place", "border", "gaps", "intensity")
_TOUCHING = np.ones((3, 3, 3), bool)
_NEAR = 2  # voxels around the masks within which intensities are compared
_LEAST_LOG_SD = 0.12  # of volumes: twelve heads don't show all that is usual
_LEAST_PLACE_SD_MM = 2.0
_MARGIN_MM = 5.0  # a centre this near the edge of the view may well be cut off


@dataclass(frozen=True)
class Reference:
    """What training cases say of one structure.

    Attributes:
        name: Name of the structure; ``left ...`` and ``right ...`` are a pair.
        log_ml: Mean and standard deviation of ln(volume / mL).
        offset_mm: Mean place of its centre, RAS mm, from the mean centre of all structures.
        offset_sd_mm: Standard deviation of that, along R, A, S.
        loose: Share of its voxels outside its largest piece that is still usual.
    """

    name: str
    log_ml: tuple[float, float]
    offset_mm: tuple[float, float, float]
    offset_sd_mm: tuple[float, float, float]
    loose: float


@dataclass(frozen=True)
class Shape:
    """What is measured of one structure in a mask.

    Attributes:
        ml: Volume, mL.
        centre_mm: Centre, RAS+ mm.
        pieces: 26-connected pieces.
        loose: Share of voxels outside the largest piece.
        border: Share of voxels in the outermost layer of the scan.
        gaps: Voxels that a slice lacks against the smaller of its neighbours, as a share of all;
            the largest over the axes.
    """

    ml: float
    centre_mm: NDArray[np.float64]
    pieces: int
    loose: float
    border: float
    gaps: float


def measure_shapes(labels: NDArray[np.integer], affine: NDArray[np.float64]) -> dict[int, Shape]:
    """Measure every structure of a label map.

    Args:
        labels: (I, J, K) label map.
        affine: (4, 4) voxel to RAS+ mm.
    """
    ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    found = enumerate(ndimage.find_objects(labels), start=1)
    return {i: _shape(labels, i, box, affine, ml) for i, box in found if box is not None}


def _shape(
    labels: NDArray[np.integer],
    index: int,
    box: tuple[slice, ...],
    affine: NDArray[np.float64],
    ml: float,
) -> Shape:
    mask = labels[box] == index
    voxels = int(mask.sum())
    numbered, count = ndimage.label(mask, _TOUCHING)
    largest = int(np.bincount(numbered.ravel())[1:].max())
    start = np.array([s.start for s in box])
    places = np.array(ndimage.center_of_mass(mask)) + start
    ends = [(s.start == 0, s.stop == n) for s, n in zip(box, labels.shape, strict=True)]
    edge = np.zeros_like(mask)
    for axis, (low, high) in enumerate(ends):
        layers = np.moveaxis(edge, axis, 0)
        if low:
            layers[0] = True
        if high:
            layers[-1] = True
    gaps = max(_gap(mask.sum(axis=tuple({0, 1, 2} - {a}))) for a in range(3))
    return Shape(
        voxels * ml,
        affine[:3, :3] @ places + affine[:3, 3],
        count,
        1 - largest / voxels,
        float((mask & edge).sum()) / voxels,
        gaps / voxels,
    )


def _gap(area: NDArray[np.int64]) -> float:
    """Voxels lacking where a slice is smaller than both neighbours, up to two slices wide."""
    if len(area) < 3:
        return 0.0
    one = np.minimum(area[:-2], area[2:]) - area[1:-1]
    gap = one.clip(0).sum()
    if len(area) > 3:
        two = 2 * np.minimum(area[:-3], area[3:]) - area[1:-2] - area[2:-1]
        gap = max(gap, two.clip(0).max(initial=0))
    return float(gap)


def score_shapes(
    shapes: Mapping[int, Shape],
    reference: Mapping[int, Reference],
    asked: Iterable[int],
    shape: Sequence[int],
    affine: NDArray[np.float64],
) -> dict[str, float]:
    """Scores of all rules but ``intensity``.

    Args:
        shapes: Of :func:`measure_shapes`.
        reference: Label index -> what training says; empty if nothing is known.
        asked: Label indices that the mask could hold.
        shape: Voxels of the scan along I, J, K.
        affine: (4, 4) voxel to RAS+ mm.
    """
    centre = estimate_centre(shapes, reference)
    due = expected(asked, reference, centre, shapes, shape, affine)
    present = [i for i in shapes if i in due]
    sizes = [_size(shapes[i], reference[i]) if i in shapes else 0.0 for i in due if i in reference]
    loose = [
        max(0.0, s.loose - (reference[i].loose if i in reference else 0.0))
        for i, s in shapes.items()
    ]
    return {
        "expected": len(present) / len(due) if due else 1.0,
        "whole": _mean([1 - v for v in loose]),
        "size": _mean(sizes),
        "side": _side(shapes, reference),
        "place": _place(shapes, reference, centre),
        "border": _mean([1 - min(1.0, 5 * s.border) for s in shapes.values()]),
        "gaps": _mean([1 - min(1.0, 5 * s.gaps) for s in shapes.values()]),
    }


def estimate_centre(
    shapes: Mapping[int, Shape], reference: Mapping[int, Reference]
) -> NDArray[np.float64] | None:
    """Where the mean centre of all structures lies, RAS+ mm; None if nothing known is there."""
    votes = [s.centre_mm - reference[i].offset_mm for i, s in shapes.items() if i in reference]
    return np.asarray(np.median(votes, axis=0)) if votes else None


def expected(
    asked: Iterable[int],
    reference: Mapping[int, Reference],
    centre: NDArray[np.float64] | None,
    shapes: Mapping[int, Shape],
    shape: Sequence[int],
    affine: NDArray[np.float64],
) -> list[int]:
    """Structures that should be there: those asked for whose usual place lies in the view."""
    inverse = np.linalg.inv(affine)
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    out = []
    for index in sorted(asked):
        if centre is not None and index in reference and index not in shapes:
            world = centre + reference[index].offset_mm
            voxel = inverse[:3, :3] @ world + inverse[:3, 3]
            room = np.minimum(voxel, np.array(shape) - 1 - voxel) * steps
            if room.min() < _MARGIN_MM:
                continue
        out.append(index)
    return out


def z_of_size(shape: Shape, reference: Reference) -> float:
    """Standard deviations from the usual logarithm of the volume."""
    mean, sd = reference.log_ml
    return float((np.log(shape.ml) - mean) / max(sd, _LEAST_LOG_SD))


def z_of_place(shape: Shape, reference: Reference, centre: NDArray[np.float64]) -> float:
    """Standard deviations from the usual place, root mean square over the axes."""
    off = shape.centre_mm - centre - reference.offset_mm
    return float(
        np.sqrt(np.mean((off / np.maximum(reference.offset_sd_mm, _LEAST_PLACE_SD_MM)) ** 2))
    )


def wrong_sides(
    shapes: Mapping[int, Shape], reference: Mapping[int, Reference]
) -> tuple[list[str], int]:
    """Pairs whose left structure lies to the right of the other one, and the number of pairs."""
    by_name = {reference[i].name: s for i, s in shapes.items() if i in reference}
    wrong, pairs = [], 0
    for name, left in by_name.items():
        right = by_name.get(f"right {name.removeprefix('left ')}")
        if name.startswith("left ") and right is not None:
            pairs += 1
            if left.centre_mm[0] > right.centre_mm[0]:
                wrong.append(name.removeprefix("left "))
    return wrong, pairs


def intensity_scores(
    data: NDArray[np.generic], masks: Sequence[NDArray[np.integer]]
) -> list[float]:
    """How much of the spread of intensities each mask explains, on the region of all masks.

    The share of the variance that lies between the classes (eta squared), background among them,
    within two voxels of any mask. The same region for all makes them comparable.

    Args:
        data: (I, J, K) intensities, finite.
        masks: Label maps on that grid.
    """
    anything = np.logical_or.reduce([m > 0 for m in masks])
    if not anything.any():
        return [0.0] * len(masks)
    box = tuple(
        slice(max(0, s.start - _NEAR), s.stop + _NEAR)
        for s in ndimage.find_objects(anything.astype(np.uint8))[0]
    )
    region = ndimage.binary_dilation(anything[box], _TOUCHING, iterations=_NEAR)
    values = data[box][region].astype(np.float64)
    low, high = np.percentile(values, (1, 99))  # vessels and spikes would rule the variance
    values = values.clip(low, high)
    total = float(((values - values.mean()) ** 2).sum())
    if total <= 0:
        return [0.0] * len(masks)
    out = []
    for mask in masks:
        classes = mask[box][region]
        counts = np.bincount(classes)
        sums = np.bincount(classes, values)
        kept = counts > 0
        means = sums[kept] / counts[kept]
        between = float((counts[kept] * (means - values.mean()) ** 2).sum())
        out.append(between / total)
    return out


def _size(shape: Shape, reference: Reference) -> float:
    return 1 / (1 + (z_of_size(shape, reference) / 2) ** 2)


def _side(shapes: Mapping[int, Shape], reference: Mapping[int, Reference]) -> float:
    wrong, pairs = wrong_sides(shapes, reference)
    return 1 - len(wrong) / pairs if pairs else 1.0 if shapes else 0.0


def _place(
    shapes: Mapping[int, Shape],
    reference: Mapping[int, Reference],
    centre: NDArray[np.float64] | None,
) -> float:
    if centre is None:
        return 0.0
    z = [z_of_place(s, reference[i], centre) for i, s in shapes.items() if i in reference]
    return _mean([1 / (1 + (v / 2) ** 2) for v in z])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
