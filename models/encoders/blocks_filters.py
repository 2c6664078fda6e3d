"""What ``blocks`` counts, and beside it how much of each of many small filters is in each part.

Nothing here is learned. Filters like simple cells (10.1364/JOSAA.2.001160; of three waves and
twelve directions, even and odd) go over a small picture whose contrast is made even; what they
answer above a soft threshold, up and down apart, is averaged over fields. Such a layer needs no
fitted filters (Coates and Ng, ICML 2011; Jarrett et al., 10.1109/ICCV.2009.5459469). It sees the
form of what is shown at a coarser scale than the blocks do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mmtool.errors import UsageError
from mmtool.models.encoders.blocks_texture import BlocksTexture
from mmtool.models.encoders.joint_input import DEPTH, InputSettings, slabs
from mmtool.retrieval import Encoded, Kind, Picture

_SETTINGS = InputSettings(size=56, slices=8)
_SIDE = 6  # pixels of a filter
_WAVES = (3.0, 4.5, 7.0)  # pixels
_DIRECTIONS = 12
_WIDTH = 2.2  # standard deviation of a filter's window, in pixels
_GAIN = 1.2
_SOFT = 1.0  # threshold of the answers
_FLOOR = 1e-3  # of the variance, so that air stays even
_FIELDS = 4  # along a side
_SHARE = 0.5  # of the filters in a likeness
_VERSION = "1"


class BlocksFilters:
    """See the module; `mmtool.retrieval.JointEncoder`."""

    name = "blocks-filters"
    sha256 = hashlib.sha256(
        f"{BlocksTexture.sha256} blocks_filters {_VERSION}".encode()
    ).hexdigest()
    preprocessing: Mapping[str, object] = {
        "blocks": dict(BlocksTexture.preprocessing),
        "filters": _SETTINGS.plain(),
    }
    dim = BlocksTexture.dim + 4 * len(_WAVES) * _DIRECTIONS * _FIELDS**2
    kinds: frozenset[Kind] = frozenset(("image", "volume", "slide"))

    def __init__(self) -> None:
        self._blocks = BlocksTexture()
        self._filters = torch.from_numpy(filters())[:, None]

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """(N, dim) vectors; of a volume the mean over its slices."""
        blocks = self._blocks.encode_pictures(pictures).vectors
        if not len(blocks):
            return Encoded(np.zeros((0, self.dim), np.float32))
        other = np.stack([self._filtered(picture) for picture in pictures])
        both = (blocks * (1 - _SHARE) ** 0.5, other * _SHARE**0.5)
        return Encoded(np.concatenate(both, 1).astype(np.float32))

    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """Refuse: it reads no words."""
        raise UsageError("the encoder 'blocks-filters' reads no words", "choose another by --model")

    def _filtered(self, picture: Picture) -> NDArray[np.float32]:
        with torch.inference_mode():
            found = answers(slabs(picture, _SETTINGS)[:, DEPTH // 2], self._filters)
            mean = functional.normalize(found.sqrt(), dim=1).mean(0)
            vector: NDArray[np.float32] = functional.normalize(mean, dim=0).numpy()
        return vector


def filters() -> NDArray[np.float32]:
    """(F, 6, 6) filters of mean 0."""
    place = np.arange(_SIDE) - (_SIDE - 1) / 2
    down, across = np.meshgrid(place, place, indexing="ij")
    window = np.exp(-(across**2 + down**2) / (2 * _WIDTH**2))
    out = []
    for wave in _WAVES:
        for turn in np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS:
            along = across * np.cos(turn) + down * np.sin(turn)
            for phase in (0, np.pi / 2):
                shape = window * np.cos(2 * np.pi * along / wave + phase)
                shape -= shape.mean()
                out.append(shape * _GAIN / np.linalg.norm(shape))
    return np.asarray(out, np.float32)


def answers(planes: Tensor, kernels: Tensor) -> Tensor:
    """(S, 2 x F x fields) means over fields of what (F, 1, 6, 6) filters answer.

    Args:
        planes: (S, edge, edge) in 0..1.
        kernels: The filters.
    """
    grey = planes[:, None]
    mean = functional.avg_pool2d(grey, _SIDE, 1)
    spread = (functional.avg_pool2d(grey.square(), _SIDE, 1) - mean.square()).clamp(min=0)
    found = functional.conv2d(grey, kernels) / (spread + _FLOOR).sqrt()
    above = [functional.relu(side * found - _SOFT) for side in (1, -1)]
    pooled = [functional.adaptive_avg_pool2d(a, _FIELDS) for a in above]
    return torch.cat(pooled, 1).flatten(1)
