"""Sequential cross attention of TextBraTS (Shi et al. 2025, arXiv 2506.16784).

First the words ask the image, then the image asks the words that have seen it. Unlike the
published network there is a residual path with a learned gate that starts at zero, so that
without text the image's features stay as they are, and the normalisation runs over channels, so
that any size of image fits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtool.models.attention.cross import CrossAttention, to_map, to_tokens
from mmtool.models.fusion.fused import Fused


class Sequential(nn.Module):
    """See the module's docstring.

    Args:
        image: Channels of the deepest image features.
        text: Channels of the words.
        dense: Channels of the dense prompt (not given here).
    """

    def __init__(self, image: int, text: int, dense: int) -> None:
        super().__init__()
        del dense
        self.project = nn.Sequential(
            nn.Linear(text, 2 * image), nn.ReLU(), nn.Linear(2 * image, image)
        )
        self.words_ask = CrossAttention(image, image)
        self.image_asks = CrossAttention(image, image)
        self.inner = nn.LayerNorm(image)
        self.mix = nn.Linear(image, image)
        self.outer = nn.LayerNorm(image)
        self.gate = nn.Parameter(torch.zeros(image))

    def forward(self, image: Tensor, words: Tensor, mask: Tensor, pooled: Tensor) -> Fused:
        """Steer the image's features.

        Args:
            image: (B, C, i, j, k).
            words: (B, L, text).
            mask: (B, L) bool, True for words.
            pooled: (B, T) vector of the whole text.
        """
        tokens = to_tokens(image)
        seen = self.words_ask(self.project(words), tokens)
        told = self.image_asks(tokens, seen, mask)
        change = self.outer(torch.relu(self.mix(self.inner(told))))
        return Fused(to_map(tokens + self.gate * change, image.shape[2:]), None, pooled)
