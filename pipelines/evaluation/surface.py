"""Distances between the surfaces of two masks, in mm of the patient.

The surface is cut into elements between the centres of 2 x 2 x 2 voxels, each with its area, as in
Nikolov et al. 2021 (10.2196/26151); MONAI has the table of areas for any voxel size. So voxels that
are thick along one axis count by the area they show, and not by their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics.utils import get_mask_edges
from numpy.typing import NDArray
from scipy import ndimage

TOLERANCES_MM = (1.0, 2.0)


@dataclass(frozen=True)
class SurfaceMeasures:
    """How near two surfaces are.

    Attributes:
        hd95_mm: 95th percentile, by area, of the distances from one surface to the other; the
            larger of both directions. Infinite if one mask is empty, NaN if both are.
        dice: Share of both surfaces that lies within each tolerance of the other one (surface
            Dice, NSD), in the order of the tolerances; 0 if one mask is empty, NaN if both are.
    """

    hd95_mm: float
    dice: tuple[float, ...]


def surface_per_label(
    truth: NDArray[np.integer],
    predicted: NDArray[np.integer],
    labels: Iterable[int],
    spacing: Sequence[float],
    tolerances: Sequence[float] = TOLERANCES_MM,
) -> dict[int, SurfaceMeasures]:
    """Surface measures of each label of two label maps.

    Args:
        truth: (I, J, K) label map.
        predicted: Label map of the same shape.
        labels: Label indices, > 0.
        spacing: Edge of a voxel along I, J, K, mm.
        tolerances: For the surface Dice, mm.
    """
    boxes = [_boxes(m) for m in (truth, predicted)]
    out = {}
    for label in labels:
        box = _joined(boxes[0].get(label), boxes[1].get(label))
        if box is None:
            out[label] = _without_surface(0, len(tolerances))
            continue
        pair = (truth[box] == label, predicted[box] == label)
        out[label] = surface_measures(*pair, spacing, tolerances)
    return out


def surface_measures(
    truth: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    spacing: Sequence[float],
    tolerances: Sequence[float] = TOLERANCES_MM,
) -> SurfaceMeasures:
    """Compare two masks.

    Args:
        truth: (I, J, K) bool. A mask that touches the border of the array ends there.
        predicted: (I, J, K) bool.
        spacing: Edge of a voxel along I, J, K, mm.
        tolerances: For the surface Dice, mm.

    Example:
        >>> cube = np.zeros((9, 9, 9), bool)
        >>> cube[3:6, 3:6, 3:6] = True
        >>> surface_measures(cube, np.roll(cube, 1, 0), (2.0, 1.0, 1.0)).hd95_mm
        2.0
    """
    there = int(truth.any()) + int(predicted.any())
    if there < 2:
        return _without_surface(there, len(tolerances))
    padded = [torch.from_numpy(np.pad(m, 1)) for m in (truth, predicted)]
    edges = get_mask_edges(*padded, crop=False, spacing=[float(s) for s in spacing])
    one, two, area_one, area_two = (np.asarray(e) for e in edges)
    one, two = one.astype(bool), two.astype(bool)
    to_one = ndimage.distance_transform_edt(~one, sampling=spacing)[two]
    to_two = ndimage.distance_transform_edt(~two, sampling=spacing)[one]
    weights = (area_two[two].astype(np.float64), area_one[one].astype(np.float64))
    total = float(weights[0].sum() + weights[1].sum())
    pairs = tuple(zip((to_one, to_two), weights, strict=True))
    near = [sum(float(w[d <= t].sum()) for d, w in pairs) / total for t in tolerances]
    return SurfaceMeasures(max(_percentile(d, w, 0.95) for d, w in pairs), tuple(near))


def _percentile(distances: NDArray[np.float64], weights: NDArray[np.float64], at: float) -> float:
    """Smallest distance that at least this share of the weight doesn't exceed."""
    order = np.argsort(distances, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    place = int(np.searchsorted(reached, at))
    return float(distances[order][min(place, len(order) - 1)])


def _without_surface(masks: int, tolerances: int) -> SurfaceMeasures:
    if masks == 0:
        return SurfaceMeasures(float("nan"), (float("nan"),) * tolerances)
    return SurfaceMeasures(float("inf"), (0.0,) * tolerances)


def _boxes(labels: NDArray[np.integer]) -> Mapping[int, tuple[slice, ...]]:
    found = ndimage.find_objects(labels)
    return {i: box for i, box in enumerate(found, start=1) if box is not None}


def _joined(
    one: tuple[slice, ...] | None, two: tuple[slice, ...] | None
) -> tuple[slice, ...] | None:
    """Smallest box that holds both."""
    if one is None or two is None:
        return one or two
    return tuple(
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, two, strict=True)
    )
