"""Slices that stand for a volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmtool.retrieval import Picture


def even_planes(picture: Picture, most: int) -> NDArray[np.float32]:
    """(S, H, W) or (S, H, W, 3): at most so many slices, at even distances, both ends included."""
    deep = picture.pixels.shape[0]
    chosen = np.unique(np.linspace(0, deep - 1, min(deep, most)).round().astype(int))
    planes: NDArray[np.float32] = picture.pixels[chosen]
    return planes
