"""A small generator of captions with unified spaces, aligned and refined: UAR.

After "Unify, Align and Refine: Multi-Level Semantic Alignment for Radiology Report Generation"
(10.48550/arXiv.2303.15932), written anew from its description. An image is a sentence of codes;
codes and words share one table and one transformer (latent space unifier). Both are set in
relation to one orthonormal basis and gated (aligner), and pulled together by a triplet loss. A
decoder writes words; where it looks at patches, a mask that is learned says which (refiner).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmtool.models.report.uar_words import PAD

_MASK_START = 3.0  # logit of the mask before it learns: each patch counts nearly in full


@dataclass(frozen=True)
class UarSize:
    """Sizes of the network.

    Attributes:
        words: Numbers of words, special ones among them.
        codes: Numbers of codes of all levels.
        patches: Of an image.
        most: Words of a text at most, with its start.
        dim: Of each feature.
        heads: Of each attention.
        shared: Blocks that images and words share.
        written: Blocks of the decoder.
        basis: Vectors of the basis.
        sharpness: k of the mask.
        dropout: Of what each part adds, in training.
    """

    words: int
    codes: int
    patches: int = 64
    most: int = 41
    dim: int = 128
    heads: int = 4
    shared: int = 2
    written: int = 3
    basis: int = 64
    sharpness: float = 1000.0
    dropout: float = 0.2


class Written(NamedTuple):
    """What the network makes of B images and the words before each word.

    Attributes:
        logits: (B, T, words) of the next word.
        image: (B, dim) of length 1.
        text: (B, dim) of length 1.
    """

    logits: Tensor
    image: Tensor
    text: Tensor


class Attention(nn.Module):
    """Attention of several heads, with what is added to its logits."""

    def __init__(self, size: UarSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.query = nn.Linear(size.dim, size.dim)
        self.both = nn.Linear(size.dim, 2 * size.dim)
        self.out = nn.Linear(size.dim, size.dim)

    def forward(self, asks: Tensor, told: Tensor, extra: Tensor | None = None) -> Tensor:
        """(B, T, dim) of (B, T, dim) that ask (B, S, dim); ``extra`` is (T, S) of the logits."""
        key, value = self.both(told).chunk(2, -1)
        query, key, value = (_in_heads(x, self.heads) for x in (self.query(asks), key, value))
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=extra)
        return self.out(found.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def _in_heads(x: Tensor, heads: int) -> Tensor:
    """(B, heads, T, dim / heads)."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


class Block(nn.Module):
    """Attention to itself, in a decoder also to the image, and two dense layers."""

    def __init__(self, size: UarSize, *, looks: bool) -> None:
        super().__init__()
        self.own_norm, self.own = nn.LayerNorm(size.dim), Attention(size)
        self.look_norm = nn.LayerNorm(size.dim) if looks else None
        self.look = Attention(size) if looks else None
        self.drop = nn.Dropout(size.dropout)
        self.dense = nn.Sequential(
            nn.LayerNorm(size.dim),
            nn.Linear(size.dim, 4 * size.dim),
            nn.GELU(),
            nn.Dropout(size.dropout),
            nn.Linear(4 * size.dim, size.dim),
        )

    def forward(
        self,
        x: Tensor,
        before: Tensor | None,
        image: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """(B, T, dim).

        Args:
            x: (B, T, dim).
            before: (T, T) added to the logits of the attention to itself.
            image: (B, P, dim) to look at.
            mask: (T, P) added to the logits of looking.
        """
        normed = self.own_norm(x)
        x = x + self.drop(self.own(normed, normed, before))
        if self.look is not None and self.look_norm is not None and image is not None:
            x = x + self.drop(self.look(self.look_norm(x), image, mask))
        return x + self.drop(self.dense(x))  # type: ignore[no-any-return]


class Aligner(nn.Module):
    """Features in relation to a basis that images and words share, through two gates."""

    def __init__(self, size: UarSize) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.empty(size.basis, size.dim))
        nn.init.orthogonal_(self.basis)
        self.gates = nn.Linear(2 * size.dim, 2 * size.dim)

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, dim): F + g_f F + g_i tanh(F + U), where U = softmax(F B' / sqrt d) B."""
        logits = features @ self.basis.T / math.sqrt(features.shape[-1])
        unified = logits.softmax(-1) @ self.basis
        both = self.gates(torch.cat([features, unified], -1)).sigmoid()
        let_in, kept = both.chunk(2, -1)
        found: Tensor = features + kept * features + let_in * torch.tanh(features + unified)
        return found

    def penalty(self) -> Tensor:
        """How far the basis is from orthonormal: ||B B' - I||² (Frobenius)."""
        gram = self.basis @ self.basis.T
        return ((gram - torch.eye(len(gram), device=gram.device)) ** 2).sum()


class Refiner(nn.Module):
    """A mask of words by patches that is learned: k sigmoid(M), added to the logits of looking."""

    def __init__(self, size: UarSize) -> None:
        super().__init__()
        self.sharpness = size.sharpness
        self.mask = nn.Parameter(torch.full((size.most, size.patches), _MASK_START))

    def forward(self, words: int) -> Tensor:
        """(words, P) for the first words of a text."""
        return self.sharpness * self.mask[:words].sigmoid()

    def penalty(self) -> Tensor:
        """The mean of 1 - sigmoid(M): the less is masked, the smaller."""
        return (1 - self.mask.sigmoid()).mean()


class Uar(nn.Module):
    """See the module.

    Attributes:
        size: Of it.
        refined: Whether the refiner takes part: in the second stage and after it.
    """

    def __init__(self, size: UarSize, *, refined: bool = False) -> None:
        super().__init__()
        self.size, self.refined = size, refined
        self.table = nn.Embedding(size.words + size.codes, size.dim)
        nn.init.normal_(self.table.weight, std=size.dim**-0.5)
        self.patch_places = nn.Parameter(torch.randn(size.patches, size.dim) * 0.02)
        self.word_places = nn.Parameter(torch.randn(size.most, size.dim) * 0.02)
        self.shared = nn.ModuleList(Block(size, looks=False) for _ in range(size.shared))
        self.aligner = Aligner(size)
        self.image_norm = nn.LayerNorm(size.dim)
        self.decoder = nn.ModuleList(Block(size, looks=True) for _ in range(size.written))
        self.refiner = Refiner(size)
        self.last_norm = nn.LayerNorm(size.dim)
        self.bias = nn.Parameter(torch.zeros(size.words))
        self.drop = nn.Dropout(size.dropout)

    def see(self, codes: Tensor) -> Tensor:
        """(B, P, dim) of the codes (B, P, L) of B images; the levels of a patch are added."""
        x = self.table(codes + self.size.words).sum(2) + self.patch_places
        x = self.drop(x)
        for block in self.shared:
            x = block(x, None)
        return self.image_norm(self.aligner(x))  # type: ignore[no-any-return]

    def write(self, image: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, words) logits of the next words, and (B, T, dim) of the words as they are read.

        Args:
            image: What `see` makes.
            words: (B, T) numbers; no word changes what is said before it.
        """
        count = words.shape[1]
        before = torch.full((count, count), -torch.inf, device=words.device).triu(1)
        x = self.drop(self.table(words) + self.word_places[:count])
        for block in self.shared:
            x = block(x, before)
        read = x = self.aligner(x)
        mask = self.refiner(count) if self.refined else None
        for block in self.decoder:
            x = block(x, before, image, mask)
        logits = self.last_norm(x) @ self.table.weight[: self.size.words].T + self.bias
        return logits, read

    def forward(self, codes: Tensor, words: Tensor) -> Written:
        """Logits and pooled features of images with their words (padded behind)."""
        image = self.see(codes)
        logits, read = self.write(image, words)
        there = (words != PAD).to(read.dtype)[..., None]
        text = (read * there).sum(1) / there.sum(1).clamp(min=1)
        unit = functional.normalize
        return Written(logits, unit(image.mean(1), dim=-1), unit(text, dim=-1))


def triplet_loss(image: Tensor, text: Tensor, groups: Tensor, margin: float = 0.2) -> Tensor:
    """Pairs must be nearer than the hardest strangers in the batch, both ways, by a margin.

    Args:
        image: (B, dim) of length 1.
        text: (B, dim) of length 1.
        groups: (B,) numbers; pairs of one group are no strangers.
        margin: m.
    """
    alike = image @ text.T
    own = alike.diagonal()
    others = alike.masked_fill(groups[:, None] == groups[None], -torch.inf)
    to_text = (margin - own + others.max(1).values).clamp(min=0)
    to_image = (margin - own + others.max(0).values).clamp(min=0)
    return (to_text + to_image).mean()
