"""Concatenation: the plain way, and what every other method must be measured against.

Each modality is embedded on its own, the embeddings are laid side by side, two layers follow. What
is absent is taken as the training mean (zeros, after scaling), so that the network may learn who
lacks what: the parallel fusion that MultiModN (arXiv 2309.14118) is compared with.
"""

from __future__ import annotations

import torch
from torch import nn

from mmtool.models.survival.network.hazard_net import Fused, HazardNet, Layout
from mmtool.models.survival.network.layers import ByName, dense, masked_mean
from mmtool.models.survival.network.tokens import Part, Parts, Shape


def flat(part: Part, shape: Shape) -> torch.Tensor:
    """(B, T x W) numbers of a modality, a bag taken as its mean; 0 where absent."""
    return masked_mean(part.x, part.mask) if shape.tokens == 0 else part.x.flatten(1)


class Network(HazardNet):
    """Embeddings of all modalities side by side."""

    def __init__(self, layout: Layout, bins: int, dim: int, dropout: float) -> None:
        super().__init__(layout, bins)
        self.embed = ByName({s.name: dense(s.numbers, dim, dropout) for s in layout})
        self.mix = dense(dim * len(layout), dim, dropout)
        self.head = nn.Linear(dim, bins)

    def forward(self, parts: Parts) -> Fused:
        """See :class:`HazardNet`."""
        said = {s.name: self.embed[s.name](flat(parts[s.name], s)) for s in self.layout}
        fused = self.mix(torch.cat(list(said.values()), dim=1))
        return Fused(self.head(fused), said)
