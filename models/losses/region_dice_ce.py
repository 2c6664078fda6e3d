"""Cross-entropy of classes plus soft Dice of the regions that they make up.

Tumours are scored by nested regions (whole tumour, core, enhancing part; Menze et al. 2015,
10.1109/TMI.2014.2377694): a class that is rare or ill-defined within its region costs little.
Sampling and its weights: as in ``sampled_dice_ce``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def region_dice_ce(
    logits: Tensor,
    target: Tensor,
    weight: Tensor,
    regions: Sequence[Sequence[int]],
    *,
    smooth: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Loss of one image.

    Args:
        logits: (C, N) float32.
        target: (N,) int64 class of each sampled voxel.
        weight: (N,) float32 inverse sampling probability.
        regions: Classes of each region.
        smooth: Added to numerator and denominator of Dice, in voxels.

    Returns:
        Scalar loss, and (regions,) detached Dice (NaN where the region is absent).
    """
    entropy = F.cross_entropy(logits.T, target, reduction="none")
    loss = (entropy * weight).sum() / weight.sum()
    probability = logits.softmax(0)
    dices = []
    for region in regions:
        found = probability[list(region)].sum(0)
        truth = torch.isin(target, torch.tensor(region, device=target.device)).to(found.dtype)
        overlap = (found * truth * weight).sum()
        size = ((found + truth) * weight).sum()
        dice = (2 * overlap + smooth) / (size + smooth)
        dices.append(torch.where(truth.any(), dice, torch.full_like(dice, float("nan"))))
    shown = torch.stack(dices)
    present = ~shown.isnan()
    if bool(present.any()):
        loss = loss + (1 - shown[present]).mean()
    return loss, shown.detach()
