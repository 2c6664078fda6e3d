"""What is counted in pictures and words, beside what a network learned of them.

Of a picture: gradient histograms (doi 10.1109/CVPR.2005.177), means and grey values, on their
principal components; and the topics of words that ridge regression foretells from these. Of a text:
the topics of its words (`mmtool.models.encoders.word_net.WordNet.bag`). All is fitted in closed
form. With few training images, such a side knows single pictures better than a network does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmtool.models.encoders.picture_net import CELL, oriented
from mmtool.models.linear_probe import ridge

_GRID = 8  # cells along an edge for the means
_LEVELS = 16
_PENALTY = 10.0
COUNTED = 8 * (_GRID**2 + (_GRID // 2) ** 2) + _GRID**2 + _LEVELS  # of a picture


@dataclass(frozen=True)
class FixedSize:
    """Principal components of a picture; topics are those of the words."""

    components: int = 192


def counted(grey: Tensor) -> Tensor:
    """(B, COUNTED) of (B, edge, edge) in 0..1, edge a multiple of 32."""
    step = grey.shape[-1] // _GRID
    maps = oriented(grey)[:, CELL * CELL :]
    fine = functional.adaptive_avg_pool2d(maps, _GRID).flatten(1)
    coarse = functional.adaptive_avg_pool2d(maps, _GRID // 2).flatten(1)
    means = functional.avg_pool2d(grey[:, None], step).flatten(1)
    level = (grey * _LEVELS).long().clamp(0, _LEVELS - 1).flatten(1)
    shares = torch.zeros(len(grey), _LEVELS, device=grey.device)
    shares.scatter_add_(1, level, torch.full_like(level, 1.0 / level.shape[1], dtype=shares.dtype))
    return torch.cat([fine, coarse, means, shares], 1)


class FixedSide(nn.Module):
    """The fitted side of a joint encoder.

    Args:
        size: See there.
        topics: Of the words.
    """

    def __init__(self, size: FixedSize, topics: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.axes: Tensor
        self.bridge: Tensor
        self.shares: Tensor
        self.register_buffer("mean", torch.zeros(COUNTED))
        self.register_buffer("axes", torch.zeros(COUNTED, size.components))
        self.register_buffer("bridge", torch.zeros(size.components, topics))
        self.register_buffer("shares", torch.tensor([1.0, 0.0, 0.0]))

    def fit(self, grey: NDArray[np.uint8], topics: Tensor) -> None:
        """Fit on training images.

        Args:
            grey: (N, edge, edge) uint8.
            topics: (N, topics): of their texts, of length 1.
        """
        seen = torch.cat([counted(torch.from_numpy(g).float() / 255) for g in _parts(grey)])
        rows = seen.double().numpy()
        spread = rows.std(0) + 1e-6
        _, _, axes = np.linalg.svd((rows - rows.mean(0)) / spread, full_matrices=False)
        kept = axes[: self.axes.shape[1]].T
        self.mean.copy_(torch.from_numpy(rows.mean(0)))
        self.axes[:, : kept.shape[1]] = torch.from_numpy(kept / spread[:, None])
        components = self.components(seen).double().numpy()
        self.bridge.copy_(torch.from_numpy(ridge(components, topics.double().numpy(), _PENALTY)))

    def components(self, seen: Tensor) -> Tensor:
        """(B, components) of length 1, of (B, COUNTED)."""
        return functional.normalize((seen - self.mean) @ self.axes, dim=-1)

    def of_picture(self, learned: Tensor, components: Tensor) -> Tensor:
        """(B, D + topics + components) of length 1: learned, foretold topics, components."""
        topics = functional.normalize(components @ self.bridge, dim=-1)
        return self._joined(learned, topics, components)

    def of_text(self, learned: Tensor, topics: Tensor) -> Tensor:
        """The same of a text; it has no components."""
        empty = topics.new_zeros(len(topics), self.axes.shape[1])
        return self._joined(learned, topics, empty)

    def _joined(self, *parts: Tensor) -> Tensor:
        weighed = [p * s.sqrt() for p, s in zip(parts, self.shares, strict=True)]
        return functional.normalize(torch.cat(weighed, 1).float(), dim=-1)


def _parts(grey: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return np.array_split(grey, max(1, len(grey) // 64))
