"""Cross-entropy plus soft Dice on a weighted sample of voxels.

Soft Dice: Milletari et al. 2016, 10.1109/3DV.2016.79. Sampling with inverse-probability weights
(Horvitz and Thompson 1952, 10.1080/01621459.1952.10483446) keeps both terms unbiased in their
sums while the softmax over all classes is paid for only where it teaches something.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def sampled_dice_ce(
    logits: Tensor, target: Tensor, weight: Tensor, *, smooth: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Loss of one image.

    Args:
        logits: (C, N) float32.
        target: (N,) int64 class of each sampled voxel.
        weight: (N,) float32 inverse sampling probability.
        smooth: Added to numerator and denominator of Dice, in voxels.

    Returns:
        Scalar loss, and (C,) detached Dice of each class (NaN where the class is absent).
    """
    classes = logits.shape[0]
    probability = logits.softmax(0)
    entropy = F.cross_entropy(logits.T, target, reduction="none")
    cross_entropy = (entropy * weight).sum() / weight.sum()
    one_hot = F.one_hot(target, classes).T.to(logits.dtype)
    overlap = (probability * one_hot * weight).sum(1)
    size = (probability * weight).sum(1) + (one_hot * weight).sum(1)
    dice = (2 * overlap + smooth) / (size + smooth)
    present = one_hot.any(1)
    present[0] = False  # background is large and easy; cross-entropy holds it
    loss = cross_entropy + (1 - dice[present]).sum() / max(1, int(present.sum()))
    shown = torch.where(present, dice, torch.full_like(dice, float("nan")))
    return loss, shown.detach()
