"""The two towers of CLIP (Radford et al. 2021, 10.48550/arXiv.2103.00020).

A transformer over the patches of a picture and one over the tokens of a text, both projected into
one space. Weights have the names that open_clip gives them; those of a ViT as timm names them are
renamed first.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Shape:
    """Of a transformer.

    Attributes:
        width: Numbers of a token.
        layers: Blocks.
        heads: Of each block.
        hidden: Numbers between the two layers of a block's perceptron.
        quick: Whether GELU is taken as x times the sigmoid of 1.702 x.
        eps: Of the norms.
    """

    width: int
    layers: int
    heads: int
    hidden: int
    quick: bool = False
    eps: float = 1e-5


class QuickGelu(nn.Module):
    """The estimate of GELU that the first CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """Attention and a perceptron, each behind a norm and beside a shortcut."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(shape.width, shape.eps)
        self.attn = nn.MultiheadAttention(shape.width, shape.heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(shape.width, shape.eps)
        layers: list[tuple[str, nn.Module]] = [
            ("c_fc", nn.Linear(shape.width, shape.hidden)),
            ("gelu", QuickGelu() if shape.quick else nn.GELU()),
            ("c_proj", nn.Linear(shape.hidden, shape.width)),
        ]
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(N, T, width); of the mask (T, T), what is True is not looked at."""
        own = self.ln_1(x)
        x = x + self.attn(own, own, own, need_weights=False, attn_mask=mask)[0]
        return x + torch.as_tensor(self.mlp(self.ln_2(x)))


class Blocks(nn.Module):
    """Blocks behind each other."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(N, T, width)."""
        for block in self.resblocks:
            x = block(x, mask)
        return x


class PictureTower(nn.Module):
    """Of pictures.

    Args:
        shape: Of the transformer.
        dim: Of the common space.
        patch: Height and width of a patch.
        patches: How many a picture has.
        plain: As the ViT of timm: no norm before the blocks, a bias of the patches.
    """

    def __init__(
        self, shape: Shape, dim: int, patch: tuple[int, int], patches: int, *, plain: bool
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, shape.width, patch, patch, bias=plain)
        self.class_embedding = nn.Parameter(torch.zeros(shape.width))
        self.positional_embedding = nn.Parameter(torch.zeros(patches + 1, shape.width))
        self.ln_pre = nn.Identity() if plain else nn.LayerNorm(shape.width, shape.eps)
        self.transformer = Blocks(shape)
        self.ln_post = nn.LayerNorm(shape.width, shape.eps)
        self.proj = nn.Parameter(torch.zeros(shape.width, dim))

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, dim)."""
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(pixels), 1, -1)
        x = self.ln_pre(torch.cat([first, patches], 1) + self.positional_embedding)
        return torch.as_tensor(self.ln_post(self.transformer(x)[:, 0]) @ self.proj)


class TextTower(nn.Module):
    """Of words.

    Args:
        shape: Of the transformer.
        dim: Of the common space.
        words: Of the vocabulary; the last one ends a text.
        context: Most tokens of a text.
    """

    def __init__(self, shape: Shape, dim: int, words: int, context: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(words, shape.width)
        self.positional_embedding = nn.Parameter(torch.zeros(context, shape.width))
        self.transformer = Blocks(shape)
        self.ln_final = nn.LayerNorm(shape.width, shape.eps)
        self.text_projection = nn.Parameter(torch.zeros(shape.width, dim))

    def forward(self, ids: Tensor) -> Tensor:
        """(N, T) to (N, dim): the token that ends the text, which has seen all before it."""
        many = ids.shape[1]
        mask = torch.ones(many, many, dtype=torch.bool, device=ids.device).triu(1)
        x = self.token_embedding(ids) + self.positional_embedding[:many]
        x = self.ln_final(self.transformer(x, mask))
        ends = ids.argmax(1)
        return torch.as_tensor(x[torch.arange(len(ids)), ends] @ self.text_projection)


class BertTower(nn.Module):
    """Of words, by BERT as transformers computes it.

    Args:
        config: Of BERT, as transformers takes it.
        dim: Of the common space.
        hidden: Numbers between two layers of the projection; one layer when None.
        mean: Whether the mean over the tokens is projected, or the first one.
    """

    def __init__(self, config: Any, dim: int, hidden: int | None, *, mean: bool) -> None:
        super().__init__()
        from transformers import BertModel

        self.transformer = BertModel(config, add_pooling_layer=False)
        width = int(config.hidden_size)
        self.proj: nn.Module = nn.Linear(width, dim, bias=False)
        if hidden is not None:
            first = nn.Linear(width, hidden, bias=False)
            self.proj = nn.Sequential(first, nn.GELU(), nn.Linear(hidden, dim, bias=False))
        self._mean = mean

    def forward(self, ids: Tensor) -> Tensor:
        """(N, T) without padding to (N, dim)."""
        found = self.transformer(input_ids=ids).last_hidden_state
        return torch.as_tensor(self.proj(found.mean(1) if self._mean else found[:, 0]))


_TIMM = (
    (r"^trunk\.patch_embed\.proj\.", "conv1."),
    (r"^trunk\.cls_token$", "class_embedding"),
    (r"^trunk\.pos_embed$", "positional_embedding"),
    (r"^trunk\.norm\.", "ln_post."),
    (r"^trunk\.blocks\.(\d+)\.norm([12])\.", r"transformer.resblocks.\1.ln_\2."),
    (r"^trunk\.blocks\.(\d+)\.attn\.qkv\.", r"transformer.resblocks.\1.attn.in_proj_"),
    (r"^trunk\.blocks\.(\d+)\.attn\.proj\.", r"transformer.resblocks.\1.attn.out_proj."),
    (r"^trunk\.blocks\.(\d+)\.mlp\.fc1\.", r"transformer.resblocks.\1.mlp.c_fc."),
    (r"^trunk\.blocks\.(\d+)\.mlp\.fc2\.", r"transformer.resblocks.\1.mlp.c_proj."),
    (r"^head\.proj\.weight$", "proj"),
)


def of_timm(weights: Mapping[str, Tensor]) -> Weights:
    """Weights of a ViT as timm names and shapes them, as `PictureTower` does."""
    out: Weights = {}
    for name, value in weights.items():
        new = name
        for pattern, instead in _TIMM:
            new = re.sub(pattern, instead, new)
        if new == "proj":
            value = value.T
        elif new in ("class_embedding", "positional_embedding"):
            value = value.reshape(-1, value.shape[-1]).squeeze(0)
        out[new] = value
    return out
