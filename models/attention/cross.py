"""Cross attention between two sets of tokens (Vaswani et al. 2017, arXiv 1706.03762)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """Queries of one set ask the tokens of another.

    Args:
        query: Channels of the asking tokens, and of the result.
        asked: Channels of the tokens that are asked.
        heads: Number of heads; divides ``width``.
        width: Channels of queries, keys and values in all heads together.
    """

    def __init__(self, query: int, asked: int, *, heads: int = 1, width: int = 0) -> None:
        super().__init__()
        width = width or query
        self.heads = heads
        self.to_query = nn.Linear(query, width)
        self.to_key = nn.Linear(asked, width)
        self.to_value = nn.Linear(asked, width)
        self.out = nn.Linear(width, query)

    def forward(self, query: Tensor, asked: Tensor, mask: Tensor | None = None) -> Tensor:
        """Answer each query.

        Args:
            query: (B, N, query).
            asked: (B, M, asked).
            mask: (B, M) bool, True for real tokens; at least one in each row.

        Returns:
            (B, N, query).
        """
        q = self._split(self.to_query(query))
        k, v = self._split(self.to_key(asked)), self._split(self.to_value(asked))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])  # (B, heads, N, M)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None], float("-inf"))
        answer = scores.softmax(-1) @ v
        result: Tensor = self.out(answer.transpose(1, 2).flatten(2))
        return result

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, width) to (B, heads, N, width / heads)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


def to_tokens(x: Tensor) -> Tensor:
    """(B, C, I, J, K) to (B, I*J*K, C)."""
    return x.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, size: torch.Size) -> Tensor:
    """Inverse of :func:`to_tokens`; ``size`` is (I, J, K)."""
    return tokens.transpose(1, 2).reshape(len(tokens), tokens.shape[-1], *size)
