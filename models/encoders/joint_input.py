"""Pictures as the joint encoder takes them: grey slabs of three slices in a square.

An image is a slab of three copies of itself, so images, volumes and videos go one way.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mmtool.retrieval import Picture

DEPTH = 3  # slices of a slab
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class InputSettings:
    """How a picture becomes a tensor.

    Attributes:
        size: Edge of the square in pixels.
        top, bottom: Shares of the height that are blackened, since names, marks and windows are
            burned in there.
        slices: Most slabs of a volume, at even distances.
    """

    size: int = 128
    top: float = 0.07
    bottom: float = 0.09
    slices: int = 16

    def plain(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


def slabs(picture: Picture, settings: InputSettings) -> Tensor:
    """(S, 3, size, size) float32 in 0..1: the slabs of a picture, letters blackened.

    Each slab is a slice between its neighbours. The longer side, in mm where spacing is known,
    fills the square; the rest is black.
    """
    depth = picture.pixels.shape[0]
    count = min(depth, settings.slices)
    middles = np.floor((np.arange(count) + 0.5) * depth / count).astype(int)
    rows = np.clip(middles[:, None] + np.arange(-1, 2)[None], 0, depth - 1)
    unique, back = np.unique(rows, return_inverse=True)
    pixels = masked(picture.pixels[unique], settings)
    grey = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))
    if picture.colour:
        grey = grey @ torch.tensor(_LUMA)
    aspect = 1.0 if picture.spacing is None else picture.spacing[1] / picture.spacing[2]
    square = _fitted(grey, settings.size, aspect)
    return square[torch.from_numpy(back.reshape(count, DEPTH))]


def masked(pixels: NDArray[np.float32], settings: InputSettings) -> NDArray[np.float32]:
    """The same, (D, H, W) or (D, H, W, 3), black where letters are burned in."""
    height = pixels.shape[1]
    out = pixels.copy()
    out[:, : round(settings.top * height)] = 0
    out[:, height - round(settings.bottom * height) :] = 0
    return out


def fitted_shape(high: float, wide: float, size: int) -> tuple[int, int]:
    """Rows and columns that a picture takes of the square."""
    scale = size / max(high, wide)
    return max(1, round(high * scale)), max(1, round(wide * scale))


def _fitted(grey: Tensor, size: int, aspect: float) -> Tensor:
    """(D, size, size): as large as the square takes it, in the middle."""
    high, wide = fitted_shape(grey.shape[1] * aspect, grey.shape[2], size)
    small = functional.interpolate(
        grey[:, None], (high, wide), mode="bilinear", antialias=True, align_corners=False
    )[:, 0]
    top, left = (size - high) // 2, (size - wide) // 2
    return functional.pad(small, (left, size - wide - left, top, size - high - top)).clamp(0, 1)
