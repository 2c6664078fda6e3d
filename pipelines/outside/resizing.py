"""Resampling of nnU-Net: by splines, and across thick slices apart from within them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_THICK = 3  # times the smallest voxel size from which slices count as thick, as in nnU-Net


def separate_axis(
    now: Sequence[float], wanted: Sequence[float], *, force: bool | None
) -> int | None:
    """Axis of thick slices, which is resampled apart, or None.

    Args:
        now: Voxel size, mm.
        wanted: Voxel size after resampling, mm.
        force: Apart, or not; None decides by how much the sizes differ.
    """
    if force is False:
        return None
    for spacing in (now, wanted):
        if force or max(spacing) / min(spacing) > _THICK:
            thick = [n for n, v in enumerate(spacing) if v == max(spacing)]
            return thick[0] if len(thick) == 1 else None
    return None


def resize(
    image: NDArray[np.float32],
    shape: Sequence[int],
    order: int,
    across: int,
    axis: int | None,
) -> NDArray[np.float32]:
    """Resample to a number of voxels over the same extent.

    Args:
        image: (X, Y, Z).
        shape: Voxels wanted.
        order: Of the spline.
        across: Of the spline across thick slices.
        axis: Of thick slices, or None.
    """
    if tuple(shape) == image.shape:
        return image
    if axis is None:
        return _zoom(image, shape, order).astype(np.float32)
    flat = [n for a, n in enumerate(shape) if a != axis]
    slices = np.moveaxis(image, axis, 0)
    planes = np.stack([_zoom(s, flat, order) for s in slices])
    out = planes
    if shape[axis] != image.shape[axis]:
        place = (np.arange(shape[axis]) + 0.5) * (image.shape[axis] / shape[axis]) - 0.5
        if across == 0:
            index = np.floor(place.clip(0, len(planes) - 1) + 0.5).astype(int)
            out = planes[index]
        else:
            out = _zoom(planes, (shape[axis], *flat), across)
    return np.ascontiguousarray(np.moveaxis(out, 0, axis), np.float32)


def _zoom(image: NDArray[Any], shape: Sequence[int], order: int) -> NDArray[np.float64]:
    """As scikit-image's ``resize`` with mode ``edge``: what overshoots is cut off."""
    wide = np.asarray(image, np.float64)
    factors = [n / m for n, m in zip(shape, image.shape, strict=True)]
    out = np.empty(tuple(shape))
    ndimage.zoom(wide, factors, output=out, order=order, mode="nearest", grid_mode=True)
    return np.clip(out, wide.min(), wide.max(), out=out)
