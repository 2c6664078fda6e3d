"""MGCA's prototype loss: an image predicts the cluster of its text, and a text that of its image.

Sources: MGCA (doi 10.48550/arXiv.2210.06044); balanced codes by Sinkhorn and Knopp as in SwAV
(doi 10.48550/arXiv.2006.09882).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_SHARP, _SOFT = 0.05, 0.2  # temperatures of codes and of predictions
_ROUNDS = 3


class PrototypeAlignment(nn.Module):
    """The loss and its prototypes."""

    def __init__(self, dim: int, prototypes: int = 500) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(functional.normalize(torch.randn(prototypes, dim), dim=1))

    def forward(self, images: Tensor, texts: Tensor) -> Tensor:
        """Loss of (B, dim) images and texts of length 1, paired."""
        directions = functional.normalize(self.prototypes, dim=1)
        image, text = images @ directions.T, texts @ directions.T
        there = -(codes(image) * (text / _SOFT).log_softmax(1)).sum(1).mean()
        back = -(codes(text) * (image / _SOFT).log_softmax(1)).sum(1).mean()
        return (there + back) / 2


@torch.no_grad()
def codes(scores: Tensor) -> Tensor:
    """(B, K) rows that sum to 1, all prototypes about equally used; no gradient.

    Args:
        scores: (B, K) cosines of items and prototypes.
    """
    plan = ((scores.detach() - scores.detach().max()) / _SHARP).exp().T
    plan = plan / plan.sum()
    for _ in range(_ROUNDS):
        plan = plan / plan.sum(1, keepdim=True).clamp(min=1e-12) / plan.shape[0]
        plan = plan / plan.sum(0, keepdim=True).clamp(min=1e-12) / plan.shape[1]
    return (plan * plan.shape[1]).T
