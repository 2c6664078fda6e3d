"""Images as sentences: patches become numbers of codes, as words become numbers.

A discrete variational autoencoder, which UAR (10.48550/arXiv.2303.15932) takes for this, needs
far more images than there are; so codes are the means of k-means over counted features of patches
(directions of edges by cell, grey values, contrast), in levels: each level codes what the one
before left over (residual quantisation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mmtool.models.encoders.joint_input import DEPTH, InputSettings, slabs
from mmtool.retrieval import Picture

_PATCH, _CELL, _BLOCK = 16, 8, 4  # pixels of a side
_BINS = 8
_FLOOR = 0.05  # of the strength that edges are compared with
_ROUNDS = 15  # of k-means
_DRAWN = 40_000  # patches that codes are made of


def squares_of(pictures: Sequence[Picture], settings: InputSettings) -> Tensor:
    """(N, size, size) float32 in 0..1: the middle slice of each picture."""
    stacks = [slabs(picture, settings) for picture in pictures]
    return torch.stack([stack[len(stack) // 2, DEPTH // 2] for stack in stacks])


def patch_features(squares: Tensor) -> Tensor:
    """(N, P, F) counted features of the patches of (N, size, size) images, row by row."""
    high, wide = squares.shape[1:]
    down = squares[:, 2:, 1:-1] - squares[:, :-2, 1:-1]
    across = squares[:, 1:-1, 2:] - squares[:, 1:-1, :-2]
    strength = functional.pad(torch.hypot(down, across), (1, 1, 1, 1))
    turn = functional.pad(torch.atan2(down, across).remainder(math.pi), (1, 1, 1, 1))
    place = (turn / math.pi * _BINS).long() % _BINS
    binned = functional.one_hot(place, _BINS).permute(0, 3, 1, 2) * strength[:, None]
    cells = functional.avg_pool2d(binned, _CELL)
    cells = (cells / (cells.sum(1, keepdim=True) + _FLOOR)).sqrt()
    grey = functional.avg_pool2d(squares[:, None], _BLOCK)
    fine = functional.avg_pool2d(strength[:, None], _PATCH)
    spread = functional.avg_pool2d(squares[:, None] ** 2, _PATCH)
    spread = (spread - functional.avg_pool2d(squares[:, None], _PATCH) ** 2).clamp(min=0).sqrt()
    parts = [_gathered(cells, _PATCH // _CELL), _gathered(grey, _PATCH // _BLOCK)]
    parts += [_gathered(4 * fine.sqrt(), 1), _gathered(4 * spread, 1)]
    found = torch.cat(parts, 1).flatten(2).transpose(1, 2)
    assert found.shape[1] == (high // _PATCH) * (wide // _PATCH)
    return found


def _gathered(maps: Tensor, side: int) -> Tensor:
    """(N, C x side², H / side, W / side): what lies in one patch, one behind the other."""
    return functional.pixel_unshuffle(maps, side)


@dataclass(frozen=True)
class Codebook:
    """Codes of patches.

    Attributes:
        mean: (F,) of the features.
        axes: (F, A) along which patches differ most.
        codes: (L, K, A) of L levels.
    """

    mean: Tensor
    axes: Tensor
    codes: Tensor

    @property
    def count(self) -> int:
        """Codes of all levels together."""
        return self.codes.shape[0] * self.codes.shape[1]

    def numbers(self, features: Tensor) -> Tensor:
        """(N, P, L) numbers of the codes of (N, P, F) patches; those of a level follow the last."""
        left = (features - self.mean) @ self.axes
        found = []
        for level, codes in enumerate(self.codes):
            nearest = _nearest(left.flatten(0, 1), codes).view(left.shape[:2])
            left = left - codes[nearest]
            found.append(nearest + level * len(codes))
        return torch.stack(found, -1)


def fit_codebook(features: Tensor, *, levels: int, codes: int, axes: int, seed: int) -> Codebook:
    """Codes of training patches.

    Args:
        features: (N, P, F).
        levels: L.
        codes: K of each level.
        axes: A.
        seed: Of the draws.
    """
    draw = torch.Generator().manual_seed(seed)
    rows = features.flatten(0, 1)
    rows = rows[torch.randperm(len(rows), generator=draw)[:_DRAWN]]
    mean = rows.mean(0)
    basis = torch.linalg.svd(rows - mean, full_matrices=False).Vh[:axes].T
    left = (rows - mean) @ basis
    found = []
    for _ in range(levels):
        means = _means(left, min(codes, len(left)), draw)
        left = left - means[_nearest(left, means)]
        found.append(means)
    return Codebook(mean, basis.contiguous(), torch.stack(found))


def _means(rows: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """(count, A) means of Lloyd's algorithm; a mean that nothing is near to stays."""
    means = rows[torch.randperm(len(rows), generator=draw)[:count]].clone()
    for _ in range(_ROUNDS):
        near = _nearest(rows, means)
        sums = torch.zeros_like(means).index_add_(0, near, rows)
        sizes = torch.bincount(near, minlength=count)[:, None]
        means = torch.where(sizes > 0, sums / sizes.clamp(min=1), means)
    return means


def _nearest(rows: Tensor, means: Tensor) -> Tensor:
    """(M,) number of the mean that is nearest to each row."""
    return (rows @ means.T - (means**2).sum(1) / 2).argmax(1)
