"""The text side of the joint encoder: words and their letters, attention, a weighted mean.

A word is the sum of its topics, where training texts had it often enough, and of the mean vector
of its groups of three letters (after doi 10.1162/tacl_a_00051), so unknown words still mean
something. Topics are those of latent semantic analysis (doi
10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9): they are counted, not trained.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import svds
from torch import Tensor, nn
from torch.nn import functional

_WORD = re.compile(r"[a-z0-9]+(?:\*)?")
MOST_WORDS = 64  # of a text
_GROUPS = 12  # of letters that a word is known by


@dataclass(frozen=True)
class WordSize:
    """Vector of a word, topics, groups of letters that are told apart, attention, outputs."""

    width: int = 96
    topics: int = 96
    buckets: int = 1024
    layers: int = 2
    heads: int = 4
    dim: int = 128
    part_dim: int = 48


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


def vocabulary(texts: Iterable[str], fewest: int = 3, most: int = 4000) -> list[str]:
    """The words that come up often enough, most frequent first."""
    counts = Counter(w for text in texts for w, _, _ in words_of(text))
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [word for word, count in ranked[:most] if count >= fewest]


def topics_of(texts: Sequence[str], known: Sequence[str], count: int) -> NDArray[np.float32]:
    """(words + 1, count): what each word adds to the topics of a text, weighed by its rarity."""
    place = {word: k for k, word in enumerate(known)}
    rows, columns, values = [], [], []
    for row, text in enumerate(texts):
        for word, often in Counter(_WORD.findall(text.lower())).items():
            if word in place:
                rows.append(row)
                columns.append(place[word])
                values.append(1 + math.log(often))
    shape = (len(texts), len(known))
    counts = sparse.csr_array((values, (rows, columns)), shape)
    held = np.bincount(columns, minlength=len(known))
    rarity = np.log((1 + len(texts)) / (1 + held)) + 1
    weighed = counts * rarity
    lengths = np.sqrt((weighed * weighed).sum(axis=1))
    scaled = sparse.diags_array(1 / np.maximum(lengths, 1e-9)) @ weighed
    _, _, axes = svds(scaled, k=min(count, min(shape) - 1), random_state=0)
    out = np.zeros((len(known) + 1, count), np.float32)
    out[1:, : len(axes)] = rarity[:, None] * axes[::-1].T
    return out


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
        self.topics: Tensor  # (words + 1, topics): row 0 is of unknown words
        self.register_buffer("topics", torch.zeros(len(known) + 1, size.topics))
        self.own = nn.Linear(size.topics, size.width, bias=False)
        self.letters = nn.Embedding(size.buckets + 1, size.width, padding_idx=0)
        nn.init.normal_(self.letters.weight, std=0.1)
        with torch.no_grad():
            self.letters.weight[0] = 0
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
        own = self.own(functional.normalize(self.topics[numbers], dim=-1))
        x = own + self.letters(groups).sum(2) / count
        for layer in self.attention:
            x = layer(x, src_key_padding_mask=~there)
        weights = self.weight(x)[..., 0].float().masked_fill(~there, -torch.inf).softmax(-1)
        pooled = (weights[..., None] * x).sum(1)
        vectors = functional.normalize(self.head(pooled).float(), dim=-1)
        return Read(vectors, functional.normalize(self.part(x).float(), dim=-1), weights, there)

    def bag(self, texts: Sequence[str]) -> Tensor:
        """(B, topics) of length 1: the sum of the words' topics; 0 where no word is known."""
        rows = []
        for text in texts:
            counts = Counter(self.numbers.get(w, 0) for w in _WORD.findall(text.lower()))
            counts.pop(0, None)
            often = torch.tensor(list(counts.values()), dtype=torch.float32)
            numbers = torch.tensor(list(counts), dtype=torch.long, device=self.topics.device)
            weights = (1 + often.log()).to(self.topics.device)
            rows.append((weights[:, None] * self.topics[numbers]).sum(0))
        return functional.normalize(torch.stack(rows), dim=-1)

    def _groups(self, word: str) -> list[int]:
        marked = f"<{word}>"
        parts = [marked[k : k + 3] for k in range(max(1, len(marked) - 2))][:_GROUPS]
        numbers = [zlib.crc32(p.encode()) % self.size.buckets + 1 for p in parts]
        return numbers + [0] * (_GROUPS - len(numbers))
