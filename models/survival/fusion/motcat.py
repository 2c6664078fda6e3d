"""Co-attention by optimal transport (MOTCat, Xu and Chen, arXiv 2306.08330).

As ``mcat``, but what the G groups of genes take from N tiles is P'H (B, G, D), P (B, N, G) the plan
of unbalanced entropic transport between tokens, each less its smallest entry; the cost is the
squared distance over the largest one; no gradient through P. P is the map of the explanation.
Tiles go in micro-batches of 256, and the logits are averaged over them.

Apart from the published: what differs in ``mcat``; logarithms, where the released update underflows
with small epsilon; micro-batches are drawn evenly over the tiles' order, not at random, so
that a prediction does not depend on a draw; columns of the plan are scaled to sum 1, as those of
co-attention do (the released code leaves the size of what is taken to fall with G).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmtool.models.survival.network.hazard_net import Fused
from mmtool.models.survival.network.tokens import Part, Parts
from mmtool.models.survival.network.transport import transport
from mmtool.models.survival.network.two_towers import TwoTowers

EPSILON = 0.1
TAU = 0.5
MICRO = 256


def cost_between(asked: Tensor, asking: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(B, N, G) squared distances over the largest of each patient."""
    x = asked - asked.amin(dim=2, keepdim=True)
    y = asking - asking.amin(dim=2, keepdim=True)
    cost = (x[:, :, None, :] - y[:, None, :, :]).square().sum(dim=3)
    there = rows[:, :, None] & columns[:, None, :]
    return cost / (cost * there).amax(dim=(1, 2), keepdim=True).clamp(min=1e-9)


class Network(TwoTowers):
    """Transport, two towers, hazards."""

    def co_attend(
        self, asking: Tensor, asking_mask: Tensor, asked: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, G, D) what the asking take, and the plan as a map (B, 1, G, N)."""
        with torch.no_grad():
            cost = cost_between(asked, asking, mask, asking_mask)
        plan = transport(cost, mask, asking_mask, EPSILON, TAU, tolerance=1e-4)
        share = plan / plan.sum(dim=1, keepdim=True).clamp(min=1e-9)
        return share.transpose(1, 2) @ asked, plan.transpose(1, 2)[:, None]

    def forward(self, parts: Parts) -> Fused:
        """See :class:`HazardNet`; ``map`` of the trace is (B, 1, G, N)."""
        tiles = torch.cat([parts[name].mask for name in self.asked], dim=1).sum(dim=1)
        count = (-(-tiles // MICRO)).clamp(min=1)
        batches = [self._batch(parts, k, count) for k in range(int(count.max()))]
        said = [super(Network, self).forward(batch) for batch in batches]
        weight = torch.stack([k < count for k in range(len(said))], 1) / count[:, None]
        logits = (torch.stack([f.logits for f in said], 1) * weight[..., None]).sum(dim=1)
        towers = {
            name: (torch.stack([f.parts[name] for f in said], 1) * weight[..., None]).sum(dim=1)
            for name in said[0].parts
        }
        plan = torch.stack([f.trace["map"] for f in said]).sum(dim=0)
        return Fused(logits, towers, {"map": plan})

    def _batch(self, parts: Parts, k: int, count: Tensor) -> Parts:
        """Every ``count``-th tile of each patient from the k-th on; the others masked."""
        out = dict(parts)
        for name in self.asked:
            place = torch.arange(parts[name].mask.shape[1], device=count.device)
            left = place[None, :] % count[:, None] != k
            mask = parts[name].mask & ~left
            out[name] = Part(parts[name].x * mask[..., None], mask)
        return out
