"""Blocks trained alone, then chained and tuned together (LegoFuse of MM-Lego, arXiv 2405.19950).

First as ``lego-merge``; then the latents of one block, back from the frequency domain, are what
the next begins with (the published ``stack``), and all weights are tuned on the likelihood of one
head, which starts as the merge of the blocks' heads. Who lacks a modality passes its block by.

Apart from the published: latents are handed on as values; the release rebinds a parameter inside
``forward``, which the optimiser then no longer sees.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmtool.models.survival.fusion import lego_merge
from mmtool.models.survival.network.hazard_net import Fused, Layout, present
from mmtool.models.survival.network.hazards import nll
from mmtool.models.survival.network.lego_block import LegoHead, merge_heads
from mmtool.models.survival.network.tokens import Parts


class Network(lego_merge.Network):
    """A block and a head a modality, and a head of the chain."""

    stages = ("blocks", "chain")

    def __init__(self, layout: Layout, bins: int, dim: int, dropout: float) -> None:
        super().__init__(layout, bins, dim, dropout)
        self.chained = LegoHead(dim, bins)
        self.head = self.chained.linear

    def begin(self, stage: str) -> None:
        """Start the chain's head as the merge of the blocks' heads."""
        super().begin(stage)
        if stage == "chain":
            weight, bias = merge_heads(self.own_heads())
            with torch.no_grad():
                self.chained.linear.weight.copy_(weight)
                self.chained.linear.bias.copy_(bias)

    def forward(self, parts: Parts) -> Fused:
        """See :class:`HazardNet`."""
        if self.stage == "blocks":
            return super().forward(parts)
        there = present(parts, self.layout)
        latents = self.latents.expand(len(there), -1, -1)
        last = torch.fft.fft(latents, dim=1)
        for m, shape in enumerate(self.layout):
            inside = there[:, m, None, None]
            last = torch.where(inside, self.blocks[shape.name](latents, parts[shape.name]), last)
            latents = torch.where(inside, torch.fft.ifft(last, dim=1).real, latents)
        return Fused(self.chained(last), trace={"present": there})

    def loss(self, fused: Fused, label: Tensor, event: Tensor) -> Tensor:
        """(B,) of the blocks, or of the chain."""
        if self.stage == "blocks":
            return super().loss(fused, label, event)
        return nll(fused.logits, label, event)
