"""What is counted in pictures and words, beside what a network learned of them.

Of a picture: gradient histograms (doi 10.1109/CVPR.2005.177), means and grey values of its square,
and the edges and textures of `mmtool.models.encoders.blocks_texture`; seen along axes in which
images of one case differ little (within-class covariance normalisation, doi
10.21437/Interspeech.2006-183); and the topics of words that ridge regression foretells from these.
Of a text: the topics of its words (`mmtool.models.encoders.word_net.WordNet.bag`). All is fitted in
closed form. With few training images, such a side knows single pictures better than a network does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmtool.models.encoders.blocks_texture import SLICES, BlocksTexture
from mmtool.models.encoders.joint_input import DEPTH, InputSettings, masked
from mmtool.models.encoders.picture_net import CELL, oriented
from mmtool.models.encoders.planes import even_planes
from mmtool.models.linear_probe import ridge
from mmtool.retrieval import Picture

_GRID = 8  # cells along an edge for the means
_LEVELS = 16
_PENALTY = 3.0
_PRINCIPAL = 1024  # components in which the spread of a case is measured
COUNTED = 8 * (_GRID**2 + (_GRID // 2) ** 2) + _GRID**2 + _LEVELS  # of a square
FEATURES = BlocksTexture.dim + COUNTED
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FixedSize:
    """Numbers that a picture comes to; topics are those of the words."""

    components: int = 384


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


def features(picture: Picture, slabs: Tensor, settings: InputSettings) -> Tensor:
    """(FEATURES,) of a picture; of a volume means over its slices.

    Args:
        picture: As it was read.
        slabs: (S, 3, edge, edge): the same as `joint_input.slabs` cuts it.
        settings: How letters are blackened.
    """
    planes = even_planes(picture, SLICES)  # only those that blocks look at are copied
    without = replace(picture, pixels=masked(planes, settings))
    blocks = torch.from_numpy(BlocksTexture().encode_pictures([without]).vectors[0])
    return torch.cat([blocks, counted(slabs[:, DEPTH // 2]).mean(0)])


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
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("axes", torch.zeros(FEATURES, size.components))
        self.register_buffer("bridge", torch.zeros(size.components, topics))
        self.register_buffer("shares", torch.tensor([1.0, 0.0, 0.0]))

    def fit(self, seen: NDArray[np.float32], cases: Sequence[str], topics: Tensor) -> None:
        """Fit on training images.

        Args:
            seen: (N, FEATURES).
            cases: (N,): which images are of one case.
            topics: (N, topics): of their texts, of length 1.
        """
        rows = seen.astype(np.float64)
        mean = rows.mean(0)
        weights = _weights(rows)
        _, _, principal = np.linalg.svd((rows - mean) * weights, full_matrices=False)
        principal = principal[:_PRINCIPAL].T
        inner = (rows - mean) * weights @ principal
        whitened = _whitening(inner, cases)
        _, _, axes = np.linalg.svd(inner @ whitened, full_matrices=False)
        kept = axes[: self.axes.shape[1]].T
        self.mean.copy_(torch.from_numpy(mean))
        self.axes[:, : kept.shape[1]] = torch.from_numpy(
            weights[:, None] * (principal @ (whitened @ kept))
        )
        components = self.components(torch.from_numpy(seen)).double().numpy()
        self.bridge.copy_(torch.from_numpy(ridge(components, topics.double().numpy(), _PENALTY)))

    def components(self, seen: Tensor) -> Tensor:
        """(B, components) of length 1, of (B, FEATURES)."""
        return functional.normalize((seen - self.mean) @ self.axes, dim=-1)

    def of_picture(self, learned: Tensor, components: Tensor) -> Tensor:
        """(B, D + dim) of length 1: learned, foretold topics, components, by their shares."""
        topics = functional.normalize(components @ self.bridge, dim=-1)
        return self._joined(learned, topics, components)

    def of_text(self, learned: Tensor, topics: Tensor) -> Tensor:
        """The same of a text; it has no components."""
        empty = topics.new_zeros(len(topics), self.axes.shape[1])
        return self._joined(learned, topics, empty)

    @property
    def dim(self) -> int:
        """Numbers of a vector beside those that are learned; parts of share 0 have none."""
        components, topics = self.bridge.shape
        told, there = (float(share) > 0 for share in self.shares[1:])
        return topics * told + components * there

    def _joined(self, *parts: Tensor) -> Tensor:
        weighed = [p * s.sqrt() for p, s in zip(parts, self.shares, strict=True) if s > 0]
        return functional.normalize(torch.cat(weighed, 1).float(), dim=-1)


def _weights(rows: Floats) -> Floats:
    """(FEATURES,): blocks by their spread in all, each of the others by its own; both count alike.

    The parts of blocks have weights among themselves already.
    """
    spread = rows.std(0) + 1e-6
    blocks, others = spread[: BlocksTexture.dim], spread[BlocksTexture.dim :]
    whole = np.full(len(blocks), np.sqrt((blocks**2).sum()))
    return 1 / np.concatenate([whole, others * np.sqrt(len(others))])


def _whitening(rows: Floats, cases: Sequence[str]) -> Floats:
    """(F, F): shrinks what differs within cases, half way to what shrinks all alike."""
    _, case = np.unique(cases, return_inverse=True)
    count = np.bincount(case)
    means = np.zeros((len(count), rows.shape[1]))
    np.add.at(means, case, rows)
    apart = (rows - (means / count[:, None])[case])[count[case] > 1]
    within = apart.T @ apart / max(1, len(apart) - int((count > 1).sum()))
    level = np.trace(within) / len(within)
    if level <= 0:  # no case has two images that differ
        return np.eye(len(within))
    values, vectors = np.linalg.eigh(within + level * np.eye(len(within)))
    return np.asarray(vectors / np.sqrt(values))
