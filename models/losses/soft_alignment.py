"""Contrast of images and texts with shared targets: MGCA's instance loss, FLAIR's soft labels.

Sources: MGCA (doi 10.48550/arXiv.2210.06044), FLAIR (doi 10.1016/j.media.2024.103357).
"""

from __future__ import annotations

from torch import Tensor


def shared_targets(same: Tensor) -> Tensor:
    """Rows that sum to 1: equal shares to all that belong together.

    Args:
        same: (N, M) bool; each row has one at least.
    """
    weight = same.float()
    return weight / weight.sum(1, keepdim=True)


def soft_alignment(first: Tensor, second: Tensor, same: Tensor, scale: Tensor | float) -> Tensor:
    """Mean of the cross entropies first to second and back.

    Args:
        first: (N, dim) of length 1.
        second: (M, dim) of length 1.
        same: (N, M) bool: which belong together.
        scale: 1 / temperature.
    """
    logits = scale * first @ second.T
    there = -(shared_targets(same) * logits.log_softmax(1)).sum(1).mean()
    back = -(shared_targets(same.T) * logits.T.log_softmax(1)).sum(1).mean()
    return (there + back) / 2
