"""A small encoder of prompts and reports that needs no vocabulary.

A word is the sum of the embeddings of its letter n-grams (Bojanowski et al. 2017,
10.1162/tacl_a_00051), so that a misspelt or unseen word is still near its kin. Convolutions along
the text join a word to its neighbours (a side to its structure), transformer layers (Vaswani et
al. 2017, arXiv 1706.03762) to the whole, and one learned query for each structure asks the words
whether the structure is meant.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from mmtool.models.text.sections import clean

_TOKEN = re.compile(r"[a-z]+|[0-9]+|[^\sa-z0-9]|\n")
_GRAMS = 24  # n-grams kept of a word
_LOST = 0.15  # share of n-grams that are taken from a word in training


@dataclass(frozen=True)
class TextEncoderConfig:
    """Shape of the encoder.

    Attributes:
        structures: How many structures a text can ask for.
        width: Channels of a word.
        reach: For each convolution over five words, how many words apart they are.
        layers: Transformer layers.
        heads: Heads of each.
        buckets: Hash buckets of the letter n-grams.
        words: Longest text; the rest is cut.
    """

    structures: int
    width: int = 96
    reach: tuple[int, ...] = (1, 1, 3)
    layers: int = 2
    heads: int = 4
    buckets: int = 12288
    words: int = 256

    def to_json(self) -> dict[str, Any]:
        """Plain dict for ``config.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TextEncoderConfig:
        """Rebuild from ``config.json``."""
        return cls(**(data | {"reach": tuple(data["reach"])}))


@lru_cache(maxsize=65536)
def _grams(word: str, buckets: int) -> tuple[int, ...]:
    framed = f"<{word}>"
    parts = [framed] + [
        framed[i : i + n] for n in (3, 4, 5) for i in range(len(framed) - n + 1) if n < len(framed)
    ]
    # crc32 is the same on every machine; 0 is kept for "nothing".
    return tuple(1 + zlib.crc32(p.encode()) % (buckets - 1) for p in parts[:_GRAMS])


@dataclass(frozen=True)
class Tokens:
    """Texts as numbers.

    Attributes:
        grams: (W, 24) int64 n-gram buckets of each different word; 0 fills up. The first row is
            no word at all.
        index: (B, L) int64 rows of ``grams``; L is at least 1.
    """

    grams: Tensor
    index: Tensor

    def to(self, device: torch.device) -> Tokens:
        """The same on a device."""
        return Tokens(self.grams.to(device), self.index.to(device))


def tokenise(texts: Sequence[str], config: TextEncoderConfig) -> Tokens:
    """Cut texts into words."""
    rows = [_TOKEN.findall(clean(t).lower())[: config.words] for t in texts]
    numbers: dict[str, int] = {}
    for row in rows:
        for word in row:
            numbers.setdefault(word, len(numbers) + 1)
    grams = torch.zeros(len(numbers) + 1, _GRAMS, dtype=torch.int64)
    for word, number in numbers.items():
        buckets = _grams(word, config.buckets)
        grams[number, : len(buckets)] = torch.tensor(buckets)
    index = torch.zeros(len(rows), max([1, *(len(r) for r in rows)]), dtype=torch.int64)
    for b, row in enumerate(rows):
        index[b, : len(row)] = torch.tensor([numbers[w] for w in row])
    return Tokens(grams, index)


@dataclass(frozen=True)
class EncodedText:
    """Texts as tensors.

    Attributes:
        words: (B, L + 1, width); the first stands for the whole text and is there even when the
            text is empty.
        mask: (B, L + 1) bool, True for real words.
        asked: (B, structures) logits: is the structure meant?
        pooled: (B, width) vector of the text.
    """

    words: Tensor
    mask: Tensor
    asked: Tensor
    pooled: Tensor


class _Neighbours(nn.Module):
    """Residual convolution over five words that are ``apart`` words from each other."""

    def __init__(self, width: int, apart: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.join = nn.Conv1d(width, width, 5, padding=2 * apart, dilation=apart)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """(B, L, width) to the same; fillers stay out of their neighbours."""
        x = (self.norm(words) * mask[..., None]).transpose(1, 2)
        return words + nn.functional.gelu(self.join(x).transpose(1, 2))


class TextEncoder(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.grams = nn.Embedding(config.buckets, width, padding_idx=0)
        nn.init.normal_(self.grams.weight, std=0.3)
        with torch.no_grad():
            self.grams.weight[0] = 0
        self.start = nn.Parameter(torch.zeros(width))
        self.places = nn.Parameter(0.1 * torch.randn(config.words + 1, width))
        self.near = nn.ModuleList(_Neighbours(width, apart) for apart in config.reach)
        layer = nn.TransformerEncoderLayer(
            width, config.heads, 3 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(0.3 * torch.randn(config.structures, width))
        self.ask = nn.MultiheadAttention(width, config.heads, batch_first=True)
        self.judge = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())
        self.verdict = nn.Parameter(torch.zeros(config.structures, width))
        self.bias = nn.Parameter(torch.zeros(config.structures))
        self.pool = nn.Linear(config.structures + width, width)

    def forward(self, tokens: Tokens) -> EncodedText:
        """Encode the output of :func:`tokenise`."""
        words = self._spelled(tokens.grams)[tokens.index]
        words = torch.cat([self.start.expand(len(words), 1, -1), words], 1)
        words = words + self._placed(words.shape[1])
        mask = torch.cat([tokens.index.new_ones(len(words), 1), tokens.index], 1) > 0
        for near in self.near:
            words = near(words, mask)
        words = self.norm(self.layers(words, src_key_padding_mask=~mask))
        queries = self.queries.expand(len(words), -1, -1)
        answers, _ = self.ask(queries, words, words, key_padding_mask=~mask, need_weights=False)
        slots = self.judge(queries + answers)
        asked = (slots * self.verdict).sum(-1) + self.bias
        pooled = self.pool(torch.cat([asked.tanh(), words[:, 0]], -1))
        return EncodedText(words, mask, asked, pooled)

    def _spelled(self, grams: Tensor) -> Tensor:
        """(W, width) of words; in training some n-grams are lost, so that none is relied on."""
        if self.training:
            grams = grams * (torch.rand(grams.shape, device=grams.device) > _LOST)
        counts = (grams > 0).sum(-1, keepdim=True)
        spelled: Tensor = self.grams(grams).sum(1) / counts.clamp_min(1).sqrt()
        return spelled

    def _placed(self, length: int) -> Tensor:
        """(length, width) of places; in training a text begins anywhere, as its words may later."""
        spare = len(self.places) - length
        first = int(torch.randint(spare + 1, ())) if self.training else 0
        return self.places[first : first + length]
