"""Vectors of length 1 with their common mean taken off, each channel by its spread."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standard(nn.Module):
    """(x - mean) / spread; before it was fitted, x itself.

    Patches of all pictures have much in common, and cosines of what is left tell more.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(dim))

    def fit(self, rows: Tensor) -> None:
        """Take mean and spread of (N, dim)."""
        self.mean.copy_(rows.mean(0))
        self.spread.copy_(rows.std(0).clamp(min=1e-4))

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) of the same."""
        result: Tensor = (x - self.mean) / self.spread
        return result
