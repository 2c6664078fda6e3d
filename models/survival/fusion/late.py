"""Late fusion: a network for each modality, their logits averaged over those that are there.

Each is trained by its own likelihood alone, so that none leans on another; those who have a
modality are weighted to stand for all of their class (:func:`as_if_present`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtool.models.survival.fusion.concat import flat
from mmtool.models.survival.network.hazard_net import Fused, HazardNet, Layout, present
from mmtool.models.survival.network.hazards import as_if_present, nll
from mmtool.models.survival.network.layers import ByName, dense
from mmtool.models.survival.network.tokens import Parts


def mean_over(values: Tensor, there: Tensor) -> Tensor:
    """Mean of (B, M, ...) over the modalities of (B, M); 0 where there is none."""
    weight = there.to(values.dtype).reshape(*there.shape, *[1] * (values.ndim - 2))
    return (values * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


class Network(HazardNet):
    """One network a modality."""

    def __init__(self, layout: Layout, bins: int, dim: int, dropout: float) -> None:
        super().__init__(layout, bins)
        self.own = ByName(
            {
                s.name: nn.Sequential(
                    dense(s.numbers, dim, dropout), dense(dim, dim, dropout), nn.Linear(dim, bins)
                )
                for s in layout
            }
        )

    def forward(self, parts: Parts) -> Fused:
        """See :class:`HazardNet`; ``alone`` of the trace is (B, M, K)."""
        alone = torch.stack([self.own[s.name](flat(parts[s.name], s)) for s in self.layout], 1)
        there = present(parts, self.layout)
        return Fused(mean_over(alone, there), trace={"alone": alone, "present": there})

    def loss(self, fused: Fused, label: Tensor, event: Tensor) -> Tensor:
        """(B,) mean over the modalities of the loss of each."""
        alone = fused.trace["alone"]
        own = torch.stack([nll(alone[:, m], label, event) for m in range(alone.shape[1])], 1)
        return (own * as_if_present(label, event, fused.trace["present"])).mean(dim=1)
