"""Co-attention: groups of genes ask tiles (MCAT, Chen et al., 10.1109/ICCV48922.2021.00398).

Tokens of genes G (B, 6, D) ask tokens of tiles H (B, N, D) by one head of attention; what they
take (B, 6, D) and G go through a transformer and gated attention each, are laid side by side, and
give hazards. The weights (B, 1, 6, N) are the map of the explanation.

Apart from the published: D 64 for 256, one layer for two, the norm before it, for cohorts of some
hundreds; clinical columns ask beside the genes; batches of patients with masks instead of one
patient at a time; a patient without one side has zeros in its tower instead of being left out.
"""

from __future__ import annotations

from torch import Tensor

from mmtool.models.survival.network.hazard_net import Layout
from mmtool.models.survival.network.layers import Attention
from mmtool.models.survival.network.two_towers import TwoTowers


class Network(TwoTowers):
    """Co-attention, two towers, hazards."""

    def __init__(self, layout: Layout, bins: int, dim: int, dropout: float) -> None:
        super().__init__(layout, bins, dim, dropout)
        self.co_attention = Attention(dim, heads=1)

    def co_attend(
        self, asking: Tensor, asking_mask: Tensor, asked: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, G, D) what the asking take, and the map (B, 1, G, N)."""
        del asking_mask  # a masked token's row is left out by the tower
        taken, weights = self.co_attention(asking, asked, mask)
        return taken, weights
