"""What a threshold makes of tumours: the baseline beside ``tumor``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mmtool.pipelines.evaluation.overlap import dice_per_label
from mmtool.pipelines.training.lesions import ENHANCING, NECROSIS, OEDEMA
from mmtool.pipelines.training.random_fields import blur
from mmtool.pipelines.training.tumor_scans import TumorSample

_FLAIR = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
_T1C = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
_SMOOTH = 0.8  # voxels


@dataclass(frozen=True)
class Threshold:
    """Bright in FLAIR is tumour, bright in T1c there is enhancing, what it encloses is necrosis.

    Attributes:
        flair: Standardised intensity from which a voxel is tumour.
        t1c: From which tumour is enhancing.
    """

    flair: float
    t1c: float

    def __call__(self, image: Tensor, brain: Tensor) -> NDArray[np.uint8]:
        """(I, J, K) BraTS labels of (2, I, J, K) standardised channels."""
        flair, t1c = (blur(channel, _SMOOTH) for channel in image)
        pieces, number = ndimage.label(((flair > self.flair) & brain).numpy())
        out = np.zeros(pieces.shape, np.uint8)
        if not number:
            return out
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        whole = ndimage.binary_fill_holes(pieces == sizes.argmax())
        bright = whole & (t1c > self.t1c).numpy()
        out[whole] = OEDEMA
        out[ndimage.binary_fill_holes(ndimage.binary_closing(bright)) & whole] = NECROSIS
        out[bright] = ENHANCING
        return out


def fit_threshold(samples: Sequence[TumorSample]) -> Threshold:
    """The thresholds of the best mean Dice on drawn cases: of FLAIR, then of T1c beside it."""

    def score(candidate: Threshold, parts: tuple[int, ...]) -> float:
        values = []
        for sample in samples:
            found = candidate(sample.image, sample.brain)
            pair = [np.isin(m, parts).view(np.uint8) for m in (sample.labels.numpy(), found)]
            values.append(dice_per_label(pair[0], pair[1], [1])[1])
        return float(np.nanmean(values))

    with torch.inference_mode():
        flair = max(_FLAIR, key=lambda v: score(Threshold(v, _T1C[0]), (1, 2, 3, 4)))
        t1c = max(_T1C, key=lambda v: score(Threshold(flair, v), (ENHANCING,)))
    return Threshold(flair, t1c)
