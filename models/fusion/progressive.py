"""Progressive cross-attention interaction and semantic prompting of CRISP-SAM2.

Yu et al. 2025, arXiv 2506.23121. Two symmetric attentions between image and text, a common
feature that asks both again, and from the result a dense prompt (added to the decoder's features)
and a sparse one (added to the vector of the text). The gate that starts at zero is ours: without
text the image's features stay as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mmtool.models.attention.cross import CrossAttention, to_map, to_tokens
from mmtool.models.fusion.fused import Fused

_HEADS = 8


class _Grid(nn.Module):
    """Depthwise 3x3x3 and pointwise convolution before a grid is asked."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv3d(width, width, 3, padding=1, groups=width)
        self.pointwise = nn.Conv3d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


class Progressive(nn.Module):
    """See the module's docstring.

    Args:
        image: Channels of the deepest image features.
        text: Channels of the words.
        dense: Channels of the dense prompt.
    """

    def __init__(self, image: int, text: int, dense: int) -> None:
        super().__init__()
        width = image
        self.project = nn.Linear(text, width)
        self.image_norm, self.text_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.grid = _Grid(width)
        self.image_asks = CrossAttention(width, width, heads=_HEADS)
        self.words_ask = CrossAttention(width, width, heads=_HEADS)
        self.common = nn.Conv3d(2 * width, width, 3, padding=1)
        self.common_norm = nn.LayerNorm(width)
        self.asks_image = CrossAttention(width, width, heads=_HEADS)
        self.asks_words = CrossAttention(width, width, heads=_HEADS)
        self.refine = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(4 * width, width)
        )
        self.gate = nn.Parameter(torch.zeros(width))
        self.prompted = CrossAttention(width, width, heads=_HEADS)
        self.dense = nn.Conv3d(2 * width, dense, 3, padding=1)
        self.sparse = nn.Sequential(
            nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, text)
        )

    def forward(self, image: Tensor, words: Tensor, mask: Tensor, pooled: Tensor) -> Fused:
        """Steer the image's features; arguments as in :class:`sequential.Sequential`."""
        size = image.shape[2:]
        tokens, spoken = to_tokens(image), self.project(words)
        pixels = to_tokens(self.grid(to_map(self.image_norm(tokens), size)))
        lines = self.text_norm(spoken)
        image_told = self.image_asks(self.image_norm(tokens), lines, mask)
        words_told = self.words_ask(lines, pixels)
        whole = (words_told * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        spread = whole[:, :, None, None, None].expand(-1, -1, *size)
        common = to_tokens(self.common(torch.cat([to_map(image_told, size), spread], 1)))
        common = self.common_norm(common)
        raw = self.asks_image(common, image_told) + self.asks_words(common, words_told, mask)
        prompts = raw + self.refine(raw)
        located = self.prompted(common, prompts)
        both = torch.cat([to_map(common, size), to_map(located, size)], 1)
        pooled_grid = F.adaptive_avg_pool3d(to_map(located, size), 1).flatten(1)
        return Fused(
            to_map(tokens + self.gate * raw, size),
            self.dense(both),
            pooled + self.sparse(pooled_grid),
        )
