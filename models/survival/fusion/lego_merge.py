"""Blocks trained alone and merged without training (LegoMerge of MM-Lego, arXiv 2405.19950).

Each modality has a block and a head, trained by their own likelihood. To predict, the complex
latents (B, L, D) of the blocks whose modality a patient has are merged and the heads of these same
blocks by spherical interpolation; who has one modality gets that block's own prediction.

Apart from the published: any number of blocks (the release merges two heads, whatever their
number), the harmonic mean (the release halves it), a slerp that ends where it should; the merged
head keeps the mean of the norms' weights instead of starting them anew. All blocks start from one
latent, so that their latents can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from mmtool.models.survival.fusion.late import mean_over
from mmtool.models.survival.network.hazard_net import Fused, HazardNet, Layout, present
from mmtool.models.survival.network.hazards import as_if_present, nll
from mmtool.models.survival.network.layers import ByName
from mmtool.models.survival.network.lego_block import (
    LATENTS,
    LegoBlock,
    LegoHead,
    merge_heads,
    merge_latents,
)
from mmtool.models.survival.network.tokens import Parts


class Network(HazardNet):
    """A block and a head a modality."""

    def __init__(self, layout: Layout, bins: int, dim: int, dropout: float) -> None:
        super().__init__(layout, bins)
        self.latents = nn.Parameter(torch.randn(LATENTS, dim))
        self.blocks = ByName({s.name: LegoBlock(s, dim, dropout) for s in layout})
        self.heads = ByName({s.name: LegoHead(dim, bins) for s in layout})

    def forward(self, parts: Parts) -> Fused:
        """See :class:`HazardNet`; ``alone`` of the trace is (B, M, K), of each block."""
        there = present(parts, self.layout)
        start = self.latents.expand(len(there), -1, -1)
        latents = [self.blocks[s.name](start, parts[s.name]) for s in self.layout]
        heads = self.own_heads()
        alone = torch.stack([head(z) for head, z in zip(heads, latents, strict=True)], dim=1)
        trace = {"alone": alone, "present": there}
        if self.training:  # the merge is not trained
            return Fused(mean_over(alone, there), trace=trace)
        logits = alone.new_zeros((len(there), self.bins))
        for kind in torch.unique(there, dim=0):
            rows = (there == kind).all(dim=1)
            chosen = kind.nonzero()[:, 0].tolist()
            if chosen:
                inside = [latents[m][rows] for m in chosen]
                logits[rows] = _merged(inside, [heads[m] for m in chosen])
        return Fused(logits, trace=trace)

    def own_heads(self) -> list[LegoHead]:
        """Of the blocks, in the order of the layout."""
        return [cast(LegoHead, self.heads[s.name]) for s in self.layout]

    def loss(self, fused: Fused, label: Tensor, event: Tensor) -> Tensor:
        """(B,) mean over the blocks of the loss of each."""
        alone = fused.trace["alone"]
        own = torch.stack([nll(alone[:, m], label, event) for m in range(alone.shape[1])], 1)
        return (own * as_if_present(label, event, fused.trace["present"])).mean(dim=1)


def _merged(latents: Sequence[Tensor], heads: Sequence[LegoHead]) -> Tensor:
    """(B, K) of merged latents and a merged head."""
    weight, bias = merge_heads(heads)
    scale = torch.stack([head.norm.weight for head in heads]).mean(dim=0)
    shift = torch.stack([head.norm.bias for head in heads]).mean(dim=0)
    pooled = merge_latents(latents).real.mean(dim=1)
    return linear(layer_norm(pooled, pooled.shape[-1:], scale, shift), weight, bias)
