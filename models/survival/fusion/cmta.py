"""Cross-modal translation and alignment (CMTA, Zhou and Chen, arXiv 2309.12855).

Each side has an encoder that gives a class token (p, g) and its tokens. Tokens of tiles ask tokens
of genes and a decoder makes of what they take a second class token p^ (B, D); the other way round
g^. Hazards come from [(p + p^) / 2, (g + g^) / 2]; the loss draws p^ to p and g^ to g (L1, no
gradient to the drawn-to).

Apart from the published: one layer for two; plain attention, exact and cheap for some hundred
tokens, where the release approximates it (Nystroem); no convolution over a square made of the
tiles' order, since that order says nothing and morphology tokens have none; one weight of the
alignment, 1, where the release has one a cohort, from 0.0001 to 100; AdamW; masks. A patient
without one side has the other's class token translated to it, and no alignment.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtool.models.survival.network.hazard_net import Fused, HazardNet, Layout, sides
from mmtool.models.survival.network.hazards import nll
from mmtool.models.survival.network.layers import Attention, ByName, Embed, Encoder, dense, joined
from mmtool.models.survival.network.tokens import Parts

ALIGN = 1.0


class ClassEncoder(nn.Module):
    """A transformer with a class token.

    Args:
        dim: D.
        dropout: Share.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.token = nn.Parameter(1e-2 * torch.randn(dim))
        self.encoder = Encoder(dim, layers=1, dropout=dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) class token and (B, T, D) tokens of (B, T, D) and (B, T)."""
        first = self.token.expand(len(tokens), 1, -1)
        there = torch.ones_like(mask[:, :1])
        out = self.encoder(torch.cat([first, tokens], 1), torch.cat([there, mask], 1))
        return out[:, 0], out[:, 1:]


class Network(HazardNet):
    """Two encoders, two translations, hazards."""

    def __init__(self, layout: Layout, bins: int, dim: int, dropout: float) -> None:
        super().__init__(layout, bins)
        self.genes, self.image = sides(layout)
        self.embed = ByName({s.name: Embed(s, dim, dropout) for s in layout})
        self.encode_p, self.encode_g = ClassEncoder(dim, dropout), ClassEncoder(dim, dropout)
        self.decode_p, self.decode_g = ClassEncoder(dim, dropout), ClassEncoder(dim, dropout)
        self.p_asks_g, self.g_asks_p = Attention(dim, heads=1), Attention(dim, heads=1)
        self.mix = dense(2 * dim, dim, dropout)
        self.head = nn.Linear(dim, bins)

    def seen(self) -> tuple[list[str], list[str]]:
        """See :class:`HazardNet`."""
        return self.genes, self.image

    def _side(self, names: list[str], parts: Parts) -> tuple[Tensor, Tensor]:
        return joined(
            [self.embed[name](parts[name]) for name in names], [parts[name].mask for name in names]
        )

    def forward(self, parts: Parts) -> Fused:
        """See :class:`HazardNet`; ``map`` of the trace is (B, 1, G, N)."""
        image, image_mask = self._side(self.image, parts)
        genes, genes_mask = self._side(self.genes, parts)
        p, image = self.encode_p(image, image_mask)
        g, genes = self.encode_g(genes, genes_mask)
        has_p, has_g = image_mask.any(1, keepdim=True), genes_mask.any(1, keepdim=True)
        # Who lacks the tokens of one side asks with its class token, which stands for all patients.
        asks_p, mask_p = joined([p[:, None], image], [~has_p, image_mask])
        asks_g, mask_g = joined([g[:, None], genes], [~has_g, genes_mask])
        from_g, _ = self.p_asks_g(asks_p, genes, genes_mask)
        from_p, weights = self.g_asks_p(asks_g, image, image_mask)
        p_made, _ = self.decode_p(from_g, mask_p & has_g)
        g_made, _ = self.decode_g(from_p, mask_g & has_p)
        both_p, both_g = _mean(p, has_p, p_made, has_g), _mean(g, has_g, g_made, has_p)
        aligned = (p.detach() - p_made).abs().mean(1) + (g.detach() - g_made).abs().mean(1)
        apart = aligned * (has_p & has_g)[:, 0]
        said = {"image": both_p, "genes": both_g}
        logits = self.head(self.mix(torch.cat([both_p, both_g], dim=1)))
        return Fused(logits, said, {"map": weights[:, :, 1:], "apart": apart})

    def loss(self, fused: Fused, label: Tensor, event: Tensor) -> Tensor:
        """(B,) likelihood and alignment."""
        return nll(fused.logits, label, event) + ALIGN * fused.trace["apart"]


def _mean(own: Tensor, has_own: Tensor, made: Tensor, has_made: Tensor) -> Tensor:
    """Mean of what is there of a side's own class token and its translation."""
    count = (has_own.long() + has_made.long()).clamp(min=1)
    return (own * has_own + made * has_made) / count
