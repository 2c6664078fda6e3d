"""The text side of the joint encoder: words and their letters, attention, a weighted mean.

A word is the sum of its own vector, where training texts had it often enough, and of the mean
vector of its groups of three letters (after doi 10.1162/tacl_a_00051), so unknown words still
mean something.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_WORD = re.compile(r"[a-z0-9]+(?:\*)?")
MOST_WORDS = 64  # of a text
_GROUPS = 12  # of letters that a word is known by


@dataclass(frozen=True)
class WordSize:
    """Vector of a word, groups of letters that are told apart, attention, sizes of outputs."""

    width: int = 128
    buckets: int = 2048
    layers: int = 2
    heads: int = 4
    dim: int = 192
    part_dim: int = 64


class Read(NamedTuple):
    """What the network makes of B texts.

    Attributes:
        vectors: (B, dim) of length 1.
        parts: (B, T, part_dim) of length 1.
        weights: (B, T): share of each word, 0 where there is none.
        there: (B, T) bool: whether there is a word.
    """

    vectors: Tensor
    parts: Tensor
    weights: Tensor
    there: Tensor


def words_of(text: str) -> list[tuple[str, int, int]]:
    """Words in lower case with their first and last letter's place; at most 64."""
    found = _WORD.finditer(text.lower())
    return [(m[0], m.start(), m.end()) for m, _ in zip(found, range(MOST_WORDS), strict=False)]


def vocabulary(texts: Iterable[str], fewest: int = 3, most: int = 6000) -> list[str]:
    """The words that come up often enough, most frequent first."""
    counts = Counter(w for text in texts for w, _, _ in words_of(text))
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [word for word, count in ranked[:most] if count >= fewest]


class WordNet(nn.Module):
    """Texts to vectors and to words.

    Args:
        size: See there.
        known: Words with a vector of their own.
    """

    def __init__(self, size: WordSize, known: Sequence[str]) -> None:
        super().__init__()
        self.size = size
        self.numbers = {word: k + 1 for k, word in enumerate(known)}
        self.own = nn.Embedding(len(known) + 1, size.width, padding_idx=0)
        self.letters = nn.Embedding(size.buckets + 1, size.width, padding_idx=0)
        for table in (self.own, self.letters):
            nn.init.normal_(table.weight, std=0.1)
            with torch.no_grad():
                table.weight[0] = 0
        self.attention = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size.width, size.heads, 2 * size.width, 0.1, "gelu", batch_first=True
            )
            for _ in range(size.layers)
        )
        self.weight = nn.Linear(size.width, 1)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(size.width, size.dim))
        self.part = nn.Linear(size.width, size.part_dim)

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(B, T) numbers of words, 0 for unknown ones, and (B, T, 12) of groups of letters."""
        rows = [[w for w, _, _ in words_of(text)] or [""] for text in texts]
        longest = max(len(row) for row in rows)
        numbers = torch.zeros(len(rows), longest, dtype=torch.long)
        groups = torch.zeros(len(rows), longest, _GROUPS, dtype=torch.long)
        for b, row in enumerate(rows):
            numbers[b, : len(row)] = torch.tensor([self.numbers.get(w, 0) for w in row])
            groups[b, : len(row)] = torch.tensor([self._groups(w) for w in row])
        return numbers, groups

    def forward(self, numbers: Tensor, groups: Tensor) -> Read:
        """Read texts as `tokens` gives them."""
        there = (groups > 0).any(-1)
        count = (groups > 0).sum(-1, keepdim=True).clamp(min=1)
        x = self.own(numbers) + self.letters(groups).sum(2) / count
        for layer in self.attention:
            x = layer(x, src_key_padding_mask=~there)
        weights = self.weight(x)[..., 0].float().masked_fill(~there, -torch.inf).softmax(-1)
        pooled = (weights[..., None] * x).sum(1)
        vectors = functional.normalize(self.head(pooled).float(), dim=-1)
        return Read(vectors, functional.normalize(self.part(x).float(), dim=-1), weights, there)

    def _groups(self, word: str) -> list[int]:
        marked = f"<{word}>"
        parts = [marked[k : k + 3] for k in range(max(1, len(marked) - 2))][:_GROUPS]
        numbers = [zlib.crc32(p.encode()) % self.size.buckets + 1 for p in parts]
        return numbers + [0] * (_GROUPS - len(numbers))
