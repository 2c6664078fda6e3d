"""Self-normalising network on tables alone, images left out (Klambauer et al., arXiv 1706.02515).

The omics-only network of MCAT's comparison. Clinical columns, where given, are numbers beside the
others. Published: four layers of 256 with an L1 penalty on all weights; here two of D and AdamW's
decay, for cohorts of some hundreds.
"""

from __future__ import annotations

import torch
from torch import nn

from mmtool.models.survival.network.hazard_net import Fused, HazardNet, Layout
from mmtool.models.survival.network.tokens import Parts, Shape


class Network(HazardNet):
    """All numbers of all tables, self-normalising layers, hazards."""

    def __init__(self, layout: Layout, bins: int, dim: int, dropout: float) -> None:
        super().__init__(layout, bins)
        width = sum(s.numbers for s in layout)
        layers: list[nn.Module] = []
        for inside in (width, dim):
            linear = nn.Linear(inside, dim)
            nn.init.normal_(linear.weight, std=inside**-0.5)  # what keeps unit variance
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ELU(), nn.AlphaDropout(dropout)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(dim, bins)

    @classmethod
    def uses(cls, shape: Shape) -> bool:
        """Tables, no images."""
        return shape.kind in ("clinical", "omics")

    def forward(self, parts: Parts) -> Fused:
        """See :class:`HazardNet`."""
        x = torch.cat([parts[s.name].x.flatten(1) for s in self.layout], dim=1)
        return Fused(self.head(self.body(x)))
