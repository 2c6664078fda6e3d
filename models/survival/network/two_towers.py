"""Two sides, one that asks and one that is asked, and a tower for each (MCAT and MOTCat)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtool.models.survival.network.hazard_net import Fused, HazardNet, Layout, sides
from mmtool.models.survival.network.layers import ByName, Embed, Encoder, GatedPool, dense, joined
from mmtool.models.survival.network.tokens import Parts


class Tower(nn.Module):
    """A set of tokens to one vector: transformer, gated attention, a layer.

    Args:
        dim: D.
        dropout: Share.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.encoder = Encoder(dim, layers=1, dropout=dropout)
        self.pool = GatedPool(dim, dropout)
        self.rho = dense(dim, dim, dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, D) of (B, T, D) and (B, T); 0 of an empty set."""
        pooled, _ = self.pool(self.encoder(tokens, mask), mask)
        out: Tensor = self.rho(pooled) * mask.any(dim=1, keepdim=True)
        return out


class TwoTowers(HazardNet):
    """What those who ask take, two towers, hazards; a method says how they take it."""

    def __init__(self, layout: Layout, bins: int, dim: int, dropout: float) -> None:
        super().__init__(layout, bins)
        self.asking, self.asked = sides(layout)
        self.embed = ByName({s.name: Embed(s, dim, dropout) for s in layout})
        self.tower_asked, self.tower_asking = Tower(dim, dropout), Tower(dim, dropout)
        self.mix = nn.Sequential(dense(2 * dim, dim, dropout), nn.Linear(dim, dim), nn.ReLU())
        self.head = nn.Linear(dim, bins)

    def seen(self) -> tuple[list[str], list[str]]:
        """See :class:`HazardNet`."""
        return self.asking, self.asked

    def side(self, names: list[str], parts: Parts) -> tuple[Tensor, Tensor]:
        """(B, T, D) tokens and (B, T) mask of some modalities."""
        tokens = [self.embed[name](parts[name]) for name in names]
        return joined(tokens, [parts[name].mask for name in names])

    def co_attend(
        self, asking: Tensor, asking_mask: Tensor, asked: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, G, D) what the asking take, and the map (B, 1, G, N)."""
        raise NotImplementedError

    def forward(self, parts: Parts) -> Fused:
        """See :class:`HazardNet`; ``map`` of the trace is (B, 1, G, N)."""
        asking, asking_mask = self.side(self.asking, parts)
        asked, asked_mask = self.side(self.asked, parts)
        taken, weights = self.co_attend(asking, asking_mask, asked, asked_mask)
        # Tokens that have nobody to ask, or are absent themselves, take nothing. Where those who
        # ask are all absent, what was asked speaks for itself.
        both = asking_mask & asked_mask.any(dim=1, keepdim=True)
        lone = asked_mask & ~asking_mask.any(dim=1, keepdim=True)
        tokens, mask = joined([taken * both[..., None], asked], [both, lone])
        said = {
            "asked": self.tower_asked(tokens, mask),
            "asking": self.tower_asking(asking, asking_mask),
        }
        fused = self.mix(torch.cat(list(said.values()), dim=1))
        return Fused(self.head(fused), said, {"map": weights})
