"""Gated attention over the tiles or morphology tokens of images (Ilse et al., arXiv 1802.04712).

The image-only network of MCAT's comparison. Published: 1024 to 512 to a gate of 256; here D.
"""

from __future__ import annotations

from torch import nn

from mmtool.models.survival.network.hazard_net import Fused, HazardNet, Layout
from mmtool.models.survival.network.layers import ByName, Embed, GatedPool, dense, joined
from mmtool.models.survival.network.tokens import Parts, Shape


class Network(HazardNet):
    """Tokens of the images, gated attention, hazards."""

    def __init__(self, layout: Layout, bins: int, dim: int, dropout: float) -> None:
        super().__init__(layout, bins)
        self.embed = ByName({s.name: Embed(s, dim, dropout) for s in layout})
        self.pool = GatedPool(dim, dropout)
        self.rho = dense(dim, dim, dropout)
        self.head = nn.Linear(dim, bins)

    @classmethod
    def uses(cls, shape: Shape) -> bool:
        """Images alone."""
        return shape.kind in ("image", "bag")

    def forward(self, parts: Parts) -> Fused:
        """See :class:`HazardNet`; ``attention`` of the trace is (B, T) over all tokens."""
        tokens, mask = joined(
            [self.embed[s.name](parts[s.name]) for s in self.layout],
            [parts[s.name].mask for s in self.layout],
        )
        pooled, weights = self.pool(tokens, mask)
        return Fused(self.head(self.rho(pooled)), trace={"attention": weights})
