"""Pictures by what can be counted: directions of edges, means of regions, grey values.

Nothing here is learned, so it encodes any picture alike and reads no words. Histograms of oriented
gradients of 16-pixel cells (https://doi.org/10.1109/CVPR.2005.177), 8 x 8 means and a histogram
of 16 grey values; each of the three parts has length 1 and the same weight.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray

from mmtool.errors import UsageError
from mmtool.models.encoders.planes import even_planes
from mmtool.retrieval import Encoded, Kind, Picture

_SIZE = 160
_CELL = 16
_BINS = 8
_MEANS = 8
_GREYS = 16
_TOP, _BOTTOM = 0.07, 0.09  # shares of the height in which viewers write names and windows
_SLICES = 8  # of a volume, at even distances
_VERSION = "1"


class HistogramGradients:
    """See the module; `mmtool.retrieval.JointEncoder`."""

    name = "hog"
    sha256 = hashlib.sha256(f"histogram_gradients {_VERSION}".encode()).hexdigest()
    preprocessing: Mapping[str, object] = {
        "size": _SIZE,
        "masked": [_TOP, _BOTTOM],
        "slices": _SLICES,
    }
    dim = (_SIZE // _CELL) ** 2 * _BINS + _MEANS**2 + _GREYS
    kinds: frozenset[Kind] = frozenset(("image", "volume", "slide"))

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """(N, dim) vectors; of a volume the mean over its slices."""
        rows = [self._one(picture) for picture in pictures]
        return Encoded(np.stack(rows) if rows else np.zeros((0, self.dim), np.float32))

    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """Refuse: it reads no words."""
        raise UsageError("the encoder 'hog' reads no words", "choose another by --model")

    def _one(self, picture: Picture) -> NDArray[np.float32]:
        planes = even_planes(picture, _SLICES)
        grey = planes.mean(-1) if picture.colour else planes
        small = F.interpolate(
            torch.from_numpy(np.ascontiguousarray(grey, np.float32))[:, None],
            (_SIZE, _SIZE),
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )[:, 0].numpy()
        small[:, : round(_TOP * _SIZE)] = 0
        small[:, _SIZE - round(_BOTTOM * _SIZE) :] = 0
        parts = (_gradients(small), _means(small), _greys(small))
        joined = np.concatenate([_unit(part) for part in parts], 1).mean(0)
        return np.asarray(_unit(joined), np.float32)


def _gradients(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, cells * bins) of (S, H, W): strength of edges by direction, each cell of length <= 1."""
    down, across = np.gradient(images, axis=(1, 2))
    strength = np.hypot(down, across)
    direction = np.mod(np.arctan2(down, across), np.pi) / np.pi * _BINS
    low = np.floor(direction).astype(int) % _BINS
    share = direction - np.floor(direction)
    cells = _SIZE // _CELL
    out = np.zeros((len(images), cells, cells, _BINS), np.float32)
    for k in range(_BINS):
        weight = strength * ((low == k) * (1 - share) + ((low + 1) % _BINS == k) * share)
        out[..., k] = weight.reshape(-1, cells, _CELL, cells, _CELL).sum((2, 4))
    length = np.linalg.norm(out, axis=-1, keepdims=True)
    return np.asarray((out / (length + 0.5)).reshape(len(images), -1), np.float32)


def _means(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, 64): means of a grid, from the mean of all."""
    edge = _SIZE // _MEANS
    grid = images.reshape(-1, _MEANS, edge, _MEANS, edge).mean((2, 4)).reshape(len(images), -1)
    return np.asarray(grid - grid.mean(1, keepdims=True), np.float32)


def _greys(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, 16): root of the share of each grey value."""
    level = np.minimum((images * _GREYS).astype(int), _GREYS - 1).reshape(len(images), -1)
    counts = np.stack([np.bincount(row, minlength=_GREYS) for row in level])
    return np.asarray(np.sqrt(counts / level.shape[1]), np.float32)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-9), np.float32)
