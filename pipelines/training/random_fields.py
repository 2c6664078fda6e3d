"""Random tensors from one numpy generator, and what scanners do to images."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


class RandomTensors:
    """Draws from one numpy generator, as tensors."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return bool(self.rng.random() < probability)

    def uniform(self, low: float, high: float) -> float:
        """One number."""
        return float(self.rng.uniform(low, high))

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.from_numpy(self.rng.standard_normal(shape, dtype=np.float32))

    def smooth(self, channels: int, cells: int, size: tuple[int, ...]) -> Tensor:
        """(channels, *size) smooth noise of unit variance at ``cells`` knots an axis."""
        field = self.normal(channels, cells, cells, cells)
        for length in size:  # axis by axis, which is trilinear, and a fraction of the time
            field = torch.tensordot(field, _between(cells, length), dims=([1], [0]))
        return field


def _between(cells: int, length: int) -> Tensor:
    """(cells, length) weights that interpolate linearly between knots; both ends are knots."""
    weights = torch.zeros(cells, length)
    at = torch.linspace(0, cells - 1, length)
    low = at.long().clamp_max(max(0, cells - 2))
    share = at - low
    points = torch.arange(length)
    weights[low, points] = 1 - share
    weights[(low + 1).clamp_max(cells - 1), points] += share
    return weights


def rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) matrix of three angles, radians."""
    out = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = math.cos(angle), math.sin(angle)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
        out = out @ turn
    return out


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (I, J, K); ``sigma`` in voxels."""
    radius = max(1, math.ceil(2.5 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    for axis in range(3):
        image = sum(  # shifted sums beat conv3d with one channel on a CPU
            (
                float(w) * torch.roll(image, shift, axis)
                for w, shift in zip(kernel, range(-radius, radius + 1), strict=True)
            ),
            start=torch.zeros_like(image),
        )
    return image


def thick_slices(image: Tensor, axis: int, factor: float) -> Tensor:
    """Average along an axis as thick slices do, on the same grid."""
    size = list(image.shape)
    coarse = list(size)
    coarse[axis] = max(2, round(size[axis] / factor))
    x = image[None, None]
    x = F.interpolate(x, size=coarse, mode="area")
    return F.interpolate(x, size=size, mode="trilinear")[0, 0]
