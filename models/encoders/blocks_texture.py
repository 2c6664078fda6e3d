"""Pictures by what can be counted, in more detail than ``hog``: blocks of edges, and texture.

Nothing here is learned. Histograms of oriented gradients in overlapping blocks
(10.1109/CVPR.2005.177) at two sizes of cell, uniform local binary patterns at two radii
(10.1109/TPAMI.2002.1017623), the spectrum by frequency, grey values and means. Texture tells CT
from MR better than edges do; it also hangs on how an image was scaled and compressed.
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

_SIZE, _FINE = 160, 256  # pixels of a side, for edges and for texture
_CELLS = (20, 40)
_BINS = 9
_CLIP = 0.2
_RADII = (1, 3)
_GRID = 4  # fields along a side that have patterns of their own
_NOISE = 0.004  # grey levels that are no edge of a pattern
_RINGS = 24  # of frequency
_POWER = 13.0  # logarithm of the usual power of a ring
_GREYS = 32
_MEANS = 16
_TOP, _BOTTOM = 0.07, 0.09  # shares of the height in which viewers write names and windows
SLICES = 8  # of a volume, at even distances
# Of the parts. Images of CT, MR and X-ray differ by about 1 in the edges of small cells, by 0.6 in
# those of large cells and in each set of patterns, and by 0.5 in each of the rest.
_WEIGHTS: Mapping[str, float] = {
    "edges 20": 0.26,
    "edges 40": 0.47,
    "patterns 1": 0.55,
    "patterns 3": 0.56,
    "spectrum": 0.12,
    "greys": 0.9,
    "means": 0.16,
}
_VERSION = "1"
Plane = NDArray[np.float32]


class BlocksTexture:
    """See the module; `mmtool.retrieval.JointEncoder`."""

    name = "blocks"
    sha256 = hashlib.sha256(f"blocks_texture {_VERSION}".encode()).hexdigest()
    preprocessing: Mapping[str, object] = {
        "size": [_SIZE, _FINE],
        "masked": [_TOP, _BOTTOM],
        "slices": SLICES,
    }
    dim = (
        sum((_SIZE // cell - 1) ** 2 * 4 * _BINS for cell in _CELLS)
        + len(_RADII) * _GRID**2 * 10
        + _RINGS
        + _GREYS
        + _MEANS**2
    )
    kinds: frozenset[Kind] = frozenset(("image", "volume", "slide"))

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """(N, dim) vectors; of a volume the mean over its slices."""
        rows = [self._one(picture) for picture in pictures]
        return Encoded(np.stack(rows) if rows else np.zeros((0, self.dim), np.float32))

    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """Refuse: it reads no words."""
        raise UsageError("the encoder 'blocks' reads no words", "choose another by --model")

    def _one(self, picture: Picture) -> NDArray[np.float32]:
        planes = even_planes(picture, SLICES)
        grey = planes.mean(-1) if picture.colour else planes
        rows = [
            _vector(small, fine)
            for small, fine in zip(_sized(grey, _SIZE), _sized(grey, _FINE), strict=True)
        ]
        mean = np.mean(rows, 0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def _sized(grey: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(S, size, size) without what viewers write at the top and the bottom."""
    tensor = torch.from_numpy(np.ascontiguousarray(grey, np.float32))[:, None]
    small: NDArray[np.float32] = F.interpolate(
        tensor, (size, size), mode="bilinear", antialias=True, align_corners=False
    )[:, 0].numpy()
    small[:, : round(_TOP * size)] = 0
    small[:, size - round(_BOTTOM * size) :] = 0
    return small


def _vector(small: Plane, fine: Plane) -> NDArray[np.float64]:
    """(dim,) of one slice."""
    parts = {f"edges {cell}": _edges(small, cell) for cell in _CELLS}
    parts |= {f"patterns {radius}": _patterns(fine, radius) for radius in _RADII}
    parts |= {"spectrum": _spectrum(fine), "greys": _greys(small), "means": _means(small)}
    return np.concatenate([part * _WEIGHTS[name] for name, part in parts.items()])


def _edges(plane: Plane, cell: int) -> NDArray[np.float64]:
    """Directions of edges by cell, four cells to a block of length 1."""
    down, across = np.gradient(plane.astype(np.float64))
    strength = np.hypot(down, across)
    direction = np.mod(np.arctan2(down, across), np.pi) / np.pi * _BINS
    low = np.floor(direction).astype(int) % _BINS
    share = direction - np.floor(direction)
    count = _SIZE // cell
    cells = np.empty((count, count, _BINS))
    for k in range(_BINS):
        weight = strength * ((low == k) * (1 - share) + ((low + 1) % _BINS == k) * share)
        cells[..., k] = weight.reshape(count, cell, count, cell).sum((1, 3))
    corners = (cells[:-1, :-1], cells[1:, :-1], cells[:-1, 1:], cells[1:, 1:])
    blocks = _short(np.concatenate(corners, -1), 1e-2).clip(max=_CLIP)
    return _short(blocks, 1e-3).ravel()


def _short(blocks: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Blocks of length 1 at most; ``floor`` keeps empty ones near 0."""
    length = np.sqrt((blocks**2).sum(-1, keepdims=True) + floor)
    return np.asarray(blocks / length)


def _patterns(plane: Plane, r: int) -> NDArray[np.float64]:
    """Roots of the shares of the ten uniform patterns of eight neighbours, by field."""
    high, wide = plane.shape
    centre = plane[r:-r, r:-r] + np.float32(_NOISE)
    ring = ((-r, -r), (-r, 0), (-r, r), (0, r), (r, r), (r, 0), (r, -r), (0, -r))
    bits = [
        (plane[r + y : high - r + y, r + x : wide - r + x] >= centre).astype(np.int8)
        for y, x in ring
    ]
    turns = sum(np.abs(bits[i] - bits[i - 1]) for i in range(len(bits)))
    code = np.where(turns <= 2, sum(bits), 9).astype(int)
    shares = [
        np.bincount(field.ravel(), minlength=10) / field.size
        for row in np.array_split(code, _GRID, 0)
        for field in np.array_split(row, _GRID, 1)
    ]
    return np.sqrt(np.concatenate(shares))


def _spectrum(plane: Plane) -> NDArray[np.float64]:
    """Logarithm of the power in each ring of frequency."""
    power = np.abs(np.fft.fft2(plane - plane.mean())) ** 2
    step = np.fft.fftfreq(len(plane))
    ring = np.minimum((np.hypot(step[:, None], step) * 2 * _RINGS).astype(int), _RINGS)
    found = np.bincount(ring.ravel(), power.ravel(), _RINGS + 1)[:_RINGS]
    return np.asarray(np.log(found + 1e-3) - _POWER)


def _greys(plane: Plane) -> NDArray[np.float64]:
    """Root of the share of each grey value, without the masked rows."""
    inside = plane[round(_TOP * _SIZE) : _SIZE - round(_BOTTOM * _SIZE)]
    level = np.minimum((inside * _GREYS).astype(int), _GREYS - 1).ravel()
    return np.asarray(np.sqrt(np.bincount(level, minlength=_GREYS) / level.size))


def _means(plane: Plane) -> NDArray[np.float64]:
    edge = _SIZE // _MEANS
    return np.asarray(plane.reshape(_MEANS, edge, _MEANS, edge).mean((1, 3)).ravel(), np.float64)
