"""Blocks whose latents live in the frequency domain, and ways to merge them (MM-Lego).

Hemker et al., arXiv 2405.19950. Every block, one a modality, has latents of one shape, so that
latents of different blocks can be merged and one block can go on with those of another.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmtool.models.survival.network.layers import Attention, Embed, feed_forward
from mmtool.models.survival.network.tokens import Part, Shape

LATENTS = 16
DEPTH = 2
_SEEDS = 8  # tokens that tiles are gathered to


class LegoBlock(nn.Module):
    """Latents ask a modality, in the frequency domain along the token axis.

    A pass: L over its norm, F = FFT(L), the real part takes from Re FFT(x) by attention and goes
    through a feed-forward layer; then, but after the last pass, the inverse FFT. Passes share
    their weights. A Fourier transform depends on the order of its tokens and tiles have none, so
    they are first gathered by attention to 8 tokens.

    Args:
        shape: Of the modality.
        dim: D.
        dropout: Share.
    """

    def __init__(self, shape: Shape, dim: int, dropout: float) -> None:
        super().__init__()
        self.embed = Embed(shape, dim, dropout)
        self.seeds = nn.Parameter(torch.randn(_SEEDS, dim)) if shape.tokens == 0 else None
        self.gather = Attention(dim, heads=4) if shape.tokens == 0 else None
        self.own, self.own_norm = Attention(dim, heads=4), nn.LayerNorm(dim)
        self.cross = Attention(dim, heads=4)
        self.norm_latent, self.norm_context = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.feed = feed_forward(dim, nn.SELU())
        self.dropout = nn.Dropout(dropout)

    def encode(self, part: Part) -> Tensor:
        """(B, T, D) tokens of one number for all patients."""
        x: Tensor = self.embed(part)
        if self.gather is not None and self.seeds is not None:
            x, _ = self.gather(self.seeds.expand(len(x), -1, -1), x, part.mask)
            mask = part.present[:, None].expand(-1, _SEEDS)
        else:
            mask = part.mask
        y = self.own_norm(x)
        out: Tensor = x + self.own(y, y, mask)[0]
        return out

    def forward(self, latents: Tensor, part: Part) -> Tensor:
        """(B, L, D) complex latents after the last pass, of (B, L, D) real ones."""
        context = torch.fft.fft(self.encode(part), dim=1).real
        keys = self.norm_context(context)
        mask = part.present[:, None].expand(-1, context.shape[1])
        out = torch.complex(latents, torch.zeros_like(latents))
        for step in range(DEPTH):
            if step:
                latents = torch.fft.ifft(out, dim=1).real
            scaled = latents / latents.norm(dim=1, keepdim=True).clamp(min=1e-6)
            frequencies = torch.fft.fft(scaled, dim=1)
            real = frequencies.real
            taken, _ = self.cross(self.norm_latent(real), keys, mask)
            real = real + self.dropout(taken)
            real = real + self.dropout(self.feed(real))
            out = torch.complex(real, frequencies.imag)
        return out


class LegoHead(nn.Module):
    """Hazards from the real part of latents: mean over tokens, norm, linear.

    Args:
        dim: D.
        bins: K.
    """

    def __init__(self, dim: int, bins: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.linear = nn.Linear(dim, bins)

    def forward(self, latents: Tensor) -> Tensor:
        """(B, K) of (B, L, D) complex."""
        out: Tensor = self.linear(self.norm(latents.real.mean(dim=1)))
        return out


def merge_latents(latents: Sequence[Tensor]) -> Tensor:
    """Harmonic merge of complex latents of one shape: one alone is returned as it is.

    The harmonic mean of the sizes times the mean of the unit phasors, so that blocks that disagree
    in phase cancel. The published mean of angles jumps where they wrap round (the mean frequency
    of real latents, with angles of 0 and pi, is such a place), its factor 2 a (1 - a) gives half
    the harmonic mean at a = 1/2, and folded over M blocks it would weigh the last ones most.
    """
    if len(latents) == 1:
        return latents[0]
    stacked = torch.stack(list(latents))
    size = stacked.abs().clamp(min=1e-9)
    merged = len(latents) / (1 / size).sum(dim=0)
    return merged * (stacked / size).mean(dim=0)


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Spherical interpolation along the last axis: a at share 0, b at share 1.

    Directions move along the great circle and lengths along the straight line, so unit vectors
    stay unit vectors; the released code does not give b back when lengths differ. Opposite or
    parallel directions, for which there is no one circle, are interpolated straight.

    Args:
        a: (..., D).
        b: (..., D).
        share: 0 to 1.
    """
    length_a, length_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    unit_a, unit_b = a / length_a.clamp(min=1e-12), b / length_b.clamp(min=1e-12)
    angle = (unit_a * unit_b).sum(-1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    curved = (((1 - share) * angle).sin() * unit_a + (share * angle).sin() * unit_b) / sine.clamp(
        min=1e-6
    )
    straight = (1 - share) * a + share * b
    length = (1 - share) * length_a + share * length_b
    return torch.where(sine > 1e-4, curved * length, straight)


def merge_heads(heads: Sequence[LegoHead]) -> tuple[Tensor, Tensor]:
    """(K, D) weight and (K,) bias of M heads: slerp folded so that each counts 1 / M.

    The released code merges the first two heads whatever their number.
    """
    weight: Tensor = heads[0].linear.weight
    bias: Tensor = heads[0].linear.bias
    for count, head in enumerate(heads[1:], start=2):
        weight = slerp(weight, head.linear.weight, 1 / count)
        bias = slerp(bias, head.linear.bias, 1 / count)
    return weight, bias
