"""What a file holds where there is no head: air, or the number that someone put there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_FACES = 0.3  # share of the outermost voxels that a constant background covers at least
_LOW = 0.005


def air_value(data: NDArray[Any]) -> float:
    """Intensity of air: a low quantile of a sample of (I, J, K) voxels."""
    step = tuple(slice(None, None, max(1, n // 64)) for n in data.shape)
    return float(np.quantile(data[step], _LOW))


def darken_background(data: NDArray[Any]) -> NDArray[Any]:
    """Make a constant background as dark as air.

    Skull-stripped scans that were normalised to zero mean hold zero around the head: a grey in the
    middle of the brain's own. Zeros inside the brain are tissue and stay.

    Args:
        data: (I, J, K) intensities, finite.

    Returns:
        The same array when its background is dark already, else a copy.
    """
    faces = np.concatenate([data.take(end, axis).ravel() for axis in range(3) for end in (0, -1)])
    values, counts = np.unique(faces, return_counts=True)
    usual = values[counts.argmax()]
    if counts.max() < _FACES * faces.size or not (data < usual).any():
        return data
    same = data == usual
    pieces, _ = ndimage.label(same)
    edges = [pieces.take(end, axis).ravel() for axis in range(3) for end in (0, -1)]
    outer = np.isin(pieces, np.setdiff1d(np.concatenate(edges), [0]))
    head = data[~outer]
    air = np.quantile(head[:: max(1, head.size >> 18)], _LOW)
    return np.where(outer, air.astype(data.dtype), data)
