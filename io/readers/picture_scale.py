"""Size and grey values of pictures: means of blocks, and windows to 0..1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError

SOFT_TISSUE = (40.0, 400.0)  # HU: centre and width of the usual window
_SIDE = 1024  # pixels; a picture with twice as many along its longer side is averaged
_VOXELS = 1 << 26  # of a volume
_SHARES = (0.5, 99.5)  # percentiles where no window is known
_SAMPLE = 1 << 20  # pixels that percentiles are taken of


def reduced(data: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Whole-number means over height and width, so that the longer side is below 2,048.

    Args:
        data: (D, H, W) or (D, H, W, 3).

    Returns:
        float32, or the array itself where it is small; and the factor.
    """
    return _averaged(data, max(1, max(data.shape[1:3]) // _SIDE))


def limited(data: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """The same of a volume (D, H, W), by its number of voxels."""
    factor = 1
    while data.size / factor**2 > _VOXELS and min(data.shape[1:3]) // (factor + 1) > 32:
        factor += 1
    return _averaged(data, factor)


def _averaged(data: NDArray[Any], factor: int) -> tuple[NDArray[Any], int]:
    if factor == 1:
        return data, 1
    deep, high, wide = data.shape[0], data.shape[1] // factor, data.shape[2] // factor
    out = np.empty((deep, high, wide, *data.shape[3:]), np.float32)
    for k in range(deep):  # one slice at a time: a copy of the whole may not fit
        part = data[k, : high * factor, : wide * factor]
        blocks = part.reshape(high, factor, wide, factor, *data.shape[3:])
        out[k] = blocks.mean((1, 3), dtype=np.float32)
    return out, factor


def windowed(
    data: NDArray[Any], window: tuple[float, float] | None, name: str
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Grey values from 0 to 1.

    Args:
        data: Of any shape.
        window: Centre and width; from the percentile 0.5 to 99.5 where None, or where the window
            would leave nothing to see.
        name: File for messages.

    Returns:
        float32 of the same shape, and notes.

    Raises:
        InputError: No finite values.
    """
    sample = _sample(data)
    if not len(sample):
        raise InputError(f"{name}: no pixel holds a number", "the file is broken")
    notes: tuple[str, ...] = ()
    if window is not None:
        low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
        inside = (sample > low) & (sample < high)
        if not inside.any() and sample.min() < sample.max():
            window, notes = None, ("the window of the header hides everything; it is passed over",)
    if window is None:
        low, high = (float(v) for v in np.percentile(sample, _SHARES))
        if high <= low:
            low, high = float(sample.min()), float(sample.max())
    out = np.asarray(data, np.float32, copy=True)
    out -= np.float32(low)
    out /= np.float32(high - low if high > low else 1.0)
    np.nan_to_num(out, copy=False, nan=0.0, posinf=1.0, neginf=0.0)
    return np.clip(out, 0, 1, out=out), notes


def _sample(data: NDArray[Any]) -> NDArray[np.float64]:
    """Finite values, at even distances where there are many."""
    flat = data.reshape(-1) if data.flags.c_contiguous else data.ravel()
    step = max(1, flat.size // _SAMPLE) | 1  # odd: even steps would meet the same columns again
    values = flat[::step].astype(np.float64)
    return values[np.isfinite(values)]
