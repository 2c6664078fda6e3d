"""How much of each label lies in every slice: one walk through a label map for all that asks so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 2_000_000  # voxels looked at a time: bounds memory, any value is right


@dataclass(frozen=True)
class LabelProfiles:
    """Voxels of every label in every slice across each axis.

    Attributes:
        slices: For axes I, J, K: (length, kinds) int64 numbers of voxels. Column 0 holds zeros:
            the background is not counted.
    """

    slices: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(kinds,) voxels of each label; 0 for the background."""
        total: NDArray[np.int64] = self.slices[0].sum(0)
        return total


def label_profiles(labels: NDArray[Any], kinds: int = 256) -> LabelProfiles:
    """Count labels by slice.

    Args:
        labels: (I, J, K) bool or non-negative integers below ``kinds``, in any memory order.
        kinds: Columns of the result.
    """
    order = sorted(range(3), key=lambda axis: -abs(labels.strides[axis]))
    stored = labels.transpose(order)
    found = [np.zeros((n, kinds), np.int64) for n in stored.shape]
    step = max(1, _CHUNK // max(1, stored.shape[1] * stored.shape[2]))
    for start in range(0, stored.shape[0], step):
        part = stored[start : start + step]
        spots = np.flatnonzero(part)
        values = part.reshape(-1)[spots].astype(np.int64)
        for axis, index in enumerate(np.unravel_index(spots, part.shape)):
            length = part.shape[axis]
            counts = np.bincount(index * kinds + values, minlength=length * kinds)
            first = start if axis == 0 else 0
            found[axis][first : first + length] += counts.reshape(length, kinds)
    i, j, k = (found[order.index(axis)] for axis in range(3))
    return LabelProfiles((i, j, k))
