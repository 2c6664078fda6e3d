"""The visual side of the joint encoder: oriented gradients, convolutions and attention.

One network for images, volumes and videos without branches, after M3Ret
(doi 10.48550/arXiv.2509.01360): a first convolution over slabs of three slices, of which an image
fills all three, then two-dimensional blocks, attention among patches, and a mean and maximum over
all patches of all slabs. Since the training images are few, the first convolution reads histograms
of oriented gradients (doi 10.1109/CVPR.2005.177) beside the pixels, and their coarse means also go
straight to the head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmtool.models.encoders.joint_input import DEPTH

CELL = 4  # pixels of the finest cell
_ORIENTATIONS = 8
_FIRST = CELL * CELL + _ORIENTATIONS  # maps of the first convolution, of each slice
_GRIDS = (8, 4)  # cells along an edge that go straight to the head
_LEVELS = 16  # of the histogram of grey values


@dataclass(frozen=True)
class PictureSize:
    """Channels of the three stages, blocks of the last two, attention blocks, sizes of outputs."""

    channels: tuple[int, int, int] = (32, 64, 96)
    blocks: tuple[int, int] = (1, 1)
    attention: int = 2
    heads: int = 4
    coarse: int = 96
    dim: int = 128
    part_dim: int = 48
    edge: int = 128


class Seen(NamedTuple):
    """What the network makes of B slabs.

    Attributes:
        pooled: (B, P): mean and maximum over patches, and coarse gradients.
        parts: (B, T, part_dim) of length 1: patches, row by row.
    """

    pooled: Tensor
    parts: Tensor


class PictureNet(nn.Module):
    """Slabs to a vector and to patches."""

    def __init__(self, size: PictureSize) -> None:
        super().__init__()
        first, second, last = size.channels
        self.size = size
        self.stem = nn.Conv3d(_FIRST, first, (DEPTH, 3, 3), padding=(0, 1, 1), bias=False)
        self.stem_norm = nn.BatchNorm2d(first)
        self.second = _stage(first, second, size.blocks[0])
        self.last = _stage(second, last, size.blocks[1])
        self.side = size.edge // CELL // 4
        self.places = nn.Parameter(torch.randn(1, self.side**2, last) * 0.02)
        self.attention = nn.ModuleList(
            nn.TransformerEncoderLayer(
                last, size.heads, 3 * last, 0.1, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(size.attention)
        )
        self.norm = nn.LayerNorm(last)
        coarse = _ORIENTATIONS * sum(g * g for g in _GRIDS) + 64 + _LEVELS
        self.coarse = nn.Sequential(
            nn.LayerNorm(coarse), nn.Dropout(0.3), nn.Linear(coarse, size.coarse), nn.GELU()
        )
        self.pooled = 2 * last + size.coarse
        self.head = nn.Sequential(
            nn.LayerNorm(self.pooled), nn.Dropout(0.2), nn.Linear(self.pooled, size.dim)
        )
        self.part = nn.Linear(last, size.part_dim)

    def see(self, slabs: Tensor) -> Seen:
        """Patches of (B, 3, edge, edge) float32 in 0..1."""
        return self.gathered(*self.first(slabs))

    def gathered(self, first: Tensor, seen: Tensor) -> Seen:
        """Patches of what `first` gives."""
        tokens = self.attended(self.patches(first))
        pooled = torch.cat([tokens.mean(1), tokens.amax(1), self.coarse(seen)], 1).float()
        return Seen(pooled, functional.normalize(self.part(tokens).float(), dim=-1))

    def first(self, slabs: Tensor, shown: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the first convolution makes of slabs, and coarse gradients of their middle slices.

        Args:
            slabs: (B, 3, edge, edge) float32 in 0..1; the edge may be any multiple of 32.
            shown: (B, 1, edge/4, edge/4): 1 where cells are seen, 0 where they are hidden; all are
                seen if None.

        Returns:
            (B, C, edge/4, edge/4), and (B, coarse).
        """
        if slabs.stride(1) == 0:  # one slice, expanded: a sum over depth does for a slab of copies
            middle = oriented(slabs[:, 0])
            x = functional.conv2d(_shown(middle, shown), self.stem.weight.sum(2), padding=1)
        else:
            maps = oriented(slabs.flatten(0, 1))
            maps = maps.view(*slabs.shape[:2], *maps.shape[1:])
            middle = maps[:, DEPTH // 2]
            hidden = maps if shown is None else maps * shown[:, None]
            weight = self.stem.weight.transpose(1, 2).flatten(1, 2)  # as channels: quicker
            x = functional.conv2d(hidden.flatten(1, 2), weight, padding=1)
        return x, _coarse(middle, slabs[:, DEPTH // 2])

    def patches(self, first: Tensor, shown: Tensor | None = None) -> Tensor:
        """(B, T, C) patches with their places, of what `first` gives; T is the square of a side."""
        x = _shown(functional.relu(self.stem_norm(first)), shown)
        for stage in (self.second, self.last):
            shown = None if shown is None else shown[..., ::2, ::2]
            x = _shown(stage(x), shown)
        return x.flatten(2).transpose(1, 2) + self._places(x.shape[-1])

    def attended(self, tokens: Tensor) -> Tensor:
        """(B, T, C) of the same, after attention among them; T may be any number of patches."""
        for block in self.attention:
            tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed

    def _places(self, side: int) -> Tensor:
        """(1, side x side, C): vectors of places, of a smaller picture those between."""
        if side == self.side:
            return self.places
        square = self.places.view(1, self.side, self.side, -1).permute(0, 3, 1, 2)
        between = functional.interpolate(square, (side, side), mode="bilinear", antialias=True)
        return between.flatten(2).transpose(1, 2)

    def vector(self, pooled: Tensor) -> Tensor:
        """(B, dim) of length 1, of (B, P)."""
        return functional.normalize(self.head(pooled).float(), dim=-1)


def _stage(before: int, after: int, blocks: int) -> nn.Sequential:
    down = nn.Sequential(
        nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )
    return nn.Sequential(down, *(_Block(after) for _ in range(blocks)))


class _Block(nn.Module):
    """Residual block (doi 10.1109/CVPR.2016.90)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return functional.relu(x + self.body(x))


def firsts(
    net: PictureNet, parts: Sequence[Tensor], shown: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`PictureNet.first` of slabs in several tensors, so that those of copies stay quick."""
    counts = [len(part) for part in parts]
    hidden = [None] * len(parts) if shown is None else torch.split(shown, counts)
    each = [net.first(part, cells) for part, cells in zip(parts, hidden, strict=True)]
    return torch.cat([x for x, _ in each]), torch.cat([seen for _, seen in each])


def _shown(x: Tensor, shown: Tensor | None) -> Tensor:
    return x if shown is None else x * shown


def oriented(grey: Tensor) -> Tensor:
    """(N, 24, edge/4, edge/4) of (N, edge, edge): 16 pixels and 8 orientations of each cell."""
    padded = functional.pad(grey[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    strength = (across.square() + down.square() + 1e-12).sqrt()
    turn = torch.remainder(torch.atan2(down, across) * (_ORIENTATIONS / math.pi), _ORIENTATIONS)
    low = turn.floor()  # a half turn has 8 steps; the strength goes to the two nearest
    second = strength * (turn - low)
    count, high, wide = strength.shape
    rows, columns = high // CELL, wide // CELL
    cell = torch.arange(rows, device=grey.device)[:, None] * columns
    cell = (cell + torch.arange(columns, device=grey.device)).repeat_interleave(CELL, 0)
    cell = cell.repeat_interleave(CELL, 1)
    cells = strength.new_zeros(count, _ORIENTATIONS * rows * columns)
    for step, part in ((low, strength - second), (low + 1, second)):
        place = step.long().remainder(_ORIENTATIONS) * (rows * columns) + cell
        cells.scatter_add_(1, place.flatten(1), part.flatten(1))
    cells = cells.view(count, _ORIENTATIONS, rows, columns) / CELL**2
    around = functional.avg_pool2d(cells.sum(1, keepdim=True), 5, 1, 2, count_include_pad=False)
    pixels = functional.pixel_unshuffle(grey[:, None], CELL)
    return torch.cat([2 * pixels - 1, (cells / (around + 0.01)).sqrt()], 1)


def _coarse(maps: Tensor, grey: Tensor) -> Tensor:
    """Means of orientations over coarse cells, of grey values, and their histogram."""
    cells = [functional.adaptive_avg_pool2d(maps[:, CELL * CELL :], g).flatten(1) for g in _GRIDS]
    means = functional.adaptive_avg_pool2d(grey[:, None], 8).flatten(1)
    levels = torch.linspace(0, 1, _LEVELS, device=grey.device)
    small = functional.avg_pool2d(grey[:, None], CELL).flatten(1)
    near = (1 - (small[..., None] - levels).abs() * (_LEVELS - 1)).clamp(min=0)
    return torch.cat([*cells, 2 * means, 4 * near.mean(1).sqrt()], 1)
