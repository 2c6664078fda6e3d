"""One vector of a picture, of a text, or of both, by pools of prompts for the side that is missing.

PTUnifier (Chen et al. 2023, doi 10.1109/ICCV51070.2023.02139): of a pool of learned vectors those
that are nearest to the mean token of the present side stand for the missing side; then both sides
look at each other. The pools learn through the vectors that were taken, not through which were.
Here the result is a correction of the frozen encoder's vectors: by strength 0 nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmtool.models.attention.cross import CrossAttention
from mmtool.models.retrieval.standard import Standard


@dataclass(frozen=True)
class PromptSize:
    """Sizes of the network.

    Attributes:
        part_dim: Of a patch and of a word.
        dim: Of the encoder's vectors.
        width: Of a token inside.
        pool: Prompts of each pool.
        taken: Prompts that stand for a missing side.
        layers: Of co-attention.
        heads: Of each attention.
    """

    part_dim: int = 48
    dim: int = 672
    width: int = 64
    pool: int = 256
    taken: int = 16
    layers: int = 1
    heads: int = 4


class Side(NamedTuple):
    """Pictures or texts as the frozen encoder gives them.

    Attributes:
        vectors: (B, dim) of length 1.
        parts: (B, T, part_dim): patches or words.
        there: (B, T) bool: whether there is a part.
    """

    vectors: Tensor
    parts: Tensor
    there: Tensor


class Joined(NamedTuple):
    """What the network makes of B pictures, texts, or both.

    Attributes:
        vectors: (B, dim) of length 1.
        match: (B,) logit of picture and text being of one case; of use where both were given.
    """

    vectors: Tensor
    match: Tensor


class PromptPools(nn.Module):
    """Pools, co-attention and the correction."""

    def __init__(self, size: PromptSize) -> None:
        super().__init__()
        self.size = size
        self.sides = nn.ModuleDict(
            {"picture": _Tokens(size), "text": _Tokens(size)}  # each with the pool for its absence
        )
        self.layers = nn.ModuleList(_CoAttention(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(2 * size.width)
        self.out = nn.Linear(2 * size.width, size.dim)
        nn.init.normal_(self.out.weight, std=0.01)
        self.match = nn.Linear(2 * size.width, 1)
        self.strength: Tensor
        self.words: Tensor
        self.register_buffer("strength", torch.tensor(1.0))
        self.register_buffer("words", torch.tensor(1.0))

    def fit(self, picture: Side, text: Side) -> None:
        """Take the means and spreads of what comes in."""
        for name, side in (("picture", picture), ("text", text)):
            tokens: _Tokens = self.sides[name]  # type: ignore[assignment]
            tokens.fit(side)

    def forward(self, picture: Side | None, text: Side | None) -> Joined:
        """Vectors of pictures, of texts, or of pictures with texts.

        Raises:
            ValueError: Neither is given.
        """
        correction, match = self.correction(picture, text)
        base = plain_vector(picture, text, self.words)
        return Joined(functional.normalize(base + self.strength * correction, dim=-1), match)

    def correction(self, picture: Side | None, text: Side | None) -> tuple[Tensor, Tensor]:
        """(B, dim) that the frozen vectors are corrected by, and `Joined.match`."""
        if picture is None and text is None:
            raise ValueError("a picture, a text or both")
        seen, seen_there = self._side("picture", picture, text)
        read, read_there = self._side("text", text, picture)
        for layer in self.layers:
            seen, read = layer(seen, seen_there, read, read_there)
        whole = self.norm(torch.cat([seen[:, 0], read[:, 0]], 1))
        out: Tensor = self.out(whole)
        match: Tensor = self.match(whole)[:, 0]
        return out, match

    def _side(self, name: str, own: Side | None, other: Side | None) -> tuple[Tensor, Tensor]:
        """Tokens of a side, the first its whole, and which of them are there."""
        tokens: _Tokens = self.sides[name]  # type: ignore[assignment]
        if own is not None:
            found: tuple[Tensor, Tensor] = tokens(own)
            return found
        assert other is not None
        present, there = self.sides["text" if name == "picture" else "picture"](other)
        return tokens.absent(present, there)


class _Tokens(nn.Module):
    """Tokens of one side, and the pool that stands for it where it is missing."""

    def __init__(self, size: PromptSize) -> None:
        super().__init__()
        self.taken = size.taken
        self.whole = nn.Sequential(Standard(size.dim), nn.Linear(size.dim, size.width))
        self.part = nn.Sequential(Standard(size.part_dim), nn.Linear(size.part_dim, size.width))
        self.missing = nn.Parameter(torch.randn(size.width) * 0.02)
        self.pool = nn.Parameter(torch.randn(size.pool, size.width) * 0.02)

    def forward(self, side: Side) -> tuple[Tensor, Tensor]:
        tokens = torch.cat([self.whole(side.vectors)[:, None], self.part(side.parts)], 1)
        return tokens, functional.pad(side.there, (1, 0), value=True)

    def fit(self, side: Side) -> None:
        """Take the means and spreads of many."""
        for part, rows in ((self.whole, side.vectors), (self.part, side.parts[side.there])):
            standard = part[0]
            assert isinstance(standard, Standard)
            standard.fit(rows)

    def absent(self, present: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Prompts for the tokens (B, T, width) of the present side."""
        query = (present * there[..., None]).sum(1) / there.sum(1, keepdim=True)
        chosen = (query @ self.pool.T).topk(self.taken, 1).indices
        whole = self.missing.expand(len(query), 1, -1)
        tokens = torch.cat([whole, self.pool[chosen]], 1)
        return tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)


class _CoAttention(nn.Module):
    """Each side looks at itself and then at the other."""

    def __init__(self, size: PromptSize) -> None:
        super().__init__()
        self.picture = _Half(size)
        self.text = _Half(size)

    def forward(
        self, seen: Tensor, seen_there: Tensor, read: Tensor, read_there: Tensor
    ) -> tuple[Tensor, Tensor]:
        after: Tensor = self.picture(seen, seen_there, read, read_there)
        return after, self.text(read, read_there, seen, seen_there)


class _Half(nn.Module):
    def __init__(self, size: PromptSize) -> None:
        super().__init__()
        width = size.width
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.own = CrossAttention(width, width, heads=size.heads)
        self.cross = CrossAttention(width, width, heads=size.heads)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width)
        )

    def forward(
        self, tokens: Tensor, there: Tensor, others: Tensor, others_there: Tensor
    ) -> Tensor:
        own = self.norms[0](tokens)
        tokens = tokens + self.own(own, own, there)
        tokens = tokens + self.cross(self.norms[1](tokens), self.norms[2](others), others_there)
        result: Tensor = tokens + self.feed(self.norms[3](tokens))
        return result


def plain_vector(picture: Side | None, text: Side | None, words: Tensor | float = 1.0) -> Tensor:
    """(B, dim) of length 1: the frozen vectors, or of both their sum, so cosines are summed.

    Args:
        picture: Or None.
        text: Or None.
        words: How much the text counts against 1 of the picture.
    """
    if picture is None or text is None:
        there = picture if text is None else text
        assert there is not None
        return there.vectors
    return functional.normalize(picture.vectors + words * text.vectors, dim=-1)
