"""What a file holds where there is no head: air, or the number that someone put there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_FACES = 0.3  # share of the outermost voxels that a constant background covers at least
_GREY = 0.1  # share of the range of intensities; resampling leaves less than that below zero
_LOW, _HIGH = 0.005, 0.995


def finite(data: NDArray[Any]) -> NDArray[Any]:
    """The same array if all is finite, else a copy: NaN and infinities are air to a network."""
    if np.issubdtype(data.dtype, np.floating) and not np.isfinite(data).all():
        return np.asarray(np.nan_to_num(data, nan=0.0, posinf=0.0, neginf=0.0))
    return data


def air_value(data: NDArray[Any]) -> float:
    """Intensity of air: a low quantile of a sample of (I, J, K) voxels."""
    return float(np.quantile(_sample(data), _LOW))


def _sample(data: NDArray[Any]) -> NDArray[Any]:
    return data[tuple(slice(None, None, max(1, n // 64)) for n in data.shape)]


def outer_air(data: NDArray[Any]) -> float | None:
    """The constant around a head whose skull was stripped, whatever it is; None if there is none.

    Args:
        data: (I, J, K) intensities, finite.
    """
    values, counts = np.unique(_faces(data), return_counts=True)
    enough = counts.max() >= _FACES * counts.sum()
    return float(values[counts.argmax()]) if enough else None


def darken_background(data: NDArray[Any]) -> NDArray[Any]:
    """Make a constant background as dark as air.

    Skull-stripped scans that were normalised to zero mean hold zero around the head: a grey in the
    middle of the brain's own. Zeros inside the brain are tissue and stay.

    Args:
        data: (I, J, K) intensities, finite.

    Returns:
        The same array when its background is dark already, else a copy.
    """
    usual = outer_air(data)
    low, high = np.quantile(_sample(data), (_LOW, _HIGH))
    if usual is None or usual - low <= _GREY * (high - low):
        return data
    pieces, number = ndimage.label(data == usual)
    touching = np.zeros(number + 1, bool)
    touching[_faces(pieces)] = True
    touching[0] = False
    outer = touching[pieces]
    del pieces
    head = data[~outer]
    air = np.quantile(head[:: max(1, head.size >> 18)], _LOW)
    return np.where(outer, air.astype(data.dtype), data)


def _faces(data: NDArray[Any]) -> NDArray[Any]:
    """Voxels of the six faces."""
    faces = [np.moveaxis(data, axis, 0)[end] for axis in range(3) for end in (0, -1)]
    return np.concatenate([face.ravel() for face in faces])
