"""Masked autoencoding of the joint encoder's visual side: hidden patches are drawn from the others.

Source: He et al. 2022 (doi 10.1109/CVPR52688.2022.01553), as M3Ret uses it
(doi 10.48550/arXiv.2509.01360). The encoder begins with convolutions, so hidden cells are zero
before and after each of them, and attention is among the shown patches alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmtool.models.encoders.joint_input import DEPTH
from mmtool.models.encoders.picture_net import CELL, PictureNet, PictureSize, firsts

PATCH = 4 * CELL  # pixels along an edge


class PatchDecoder(nn.Module):
    """Pixels of all patches from those that were shown; it is thrown away after training."""

    def __init__(self, size: PictureSize) -> None:
        super().__init__()
        width = size.channels[-1]
        self.hidden = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, (size.edge // PATCH) ** 2, width) * 0.02)
        self.block = nn.TransformerEncoderLayer(
            width, size.heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.pixels = nn.Linear(width, DEPTH * PATCH * PATCH)

    def forward(self, tokens: Tensor, rows: Tensor) -> Tensor:
        """(B, T, 3 x 256) pixels of all patches.

        Args:
            tokens: (B, V, C): patches that the encoder was shown.
            rows: (B, V) their numbers among T.
        """
        count, _, width = tokens.shape
        every = self.hidden.expand(count, self.places.shape[1], width)
        index = rows[..., None].expand(-1, -1, width)
        filled = every.scatter(1, index, tokens.to(every.dtype))
        drawn: Tensor = self.pixels(self.block(filled + self.places))
        return drawn


def masked_patches(
    net: PictureNet, decoder: PatchDecoder, parts: Sequence[Tensor], rows: Tensor
) -> Tensor:
    """Mean squared error of hidden patches, each to mean 0 and spread 1.

    Args:
        net: The encoder.
        decoder: Draws the patches.
        parts: Slabs, (B, 3, edge, edge) float32 in 0..1 in all.
        rows: (B, V): numbers of the patches that are shown, the same count of each slab.
    """
    shown = torch.zeros(len(rows), net.side**2, device=rows.device).scatter(1, rows, 1.0)
    cells = shown.view(-1, 1, net.side, net.side)
    cells = cells.repeat_interleave(4, 2).repeat_interleave(4, 3)
    tokens = net.patches(firsts(net, parts, cells)[0], cells)
    seen = net.attended(tokens.gather(1, rows[..., None].expand(-1, -1, tokens.shape[-1])))
    wanted = torch.cat([normalised(part) for part in parts])
    error = (decoder(seen, rows) - wanted).square().mean(-1)
    hidden = 1 - shown
    loss: Tensor = (error * hidden).sum() / hidden.sum()
    return loss


def normalised(slabs: Tensor) -> Tensor:
    """(B, T, 3 x 256): pixels of each patch of (B, 3, edge, edge), to mean 0 and spread 1."""
    count, depth, edge = slabs.shape[:3]
    side = edge // PATCH
    cut = slabs.reshape(count, depth, side, PATCH, side, PATCH).permute(0, 2, 4, 1, 3, 5)
    rows = cut.reshape(count, side * side, depth * PATCH * PATCH)
    middle = rows.mean(-1, keepdim=True)
    spread = (rows.var(-1, keepdim=True) + 1e-3).sqrt()  # an even patch is drawn as it is
    return (rows - middle) / spread


def drawn_rows(count: int, patches: int, share: float, draw: torch.Generator) -> Tensor:
    """(count, V) numbers of patches to be shown, at random: all but a share that is hidden."""
    order = torch.rand(count, patches, generator=draw).argsort(1)
    return order[:, : max(1, round(patches * (1 - share)))]
