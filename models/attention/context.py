"""Context attention: the tokens of one sequence weighed by what the other sequence holds.

After TITAN (Weber et al. 2021, https://doi.org/10.1093/bioinformatics/btab294). The two halves of
the sum under the tanh each depend on one sequence alone, so that N receptors against E epitopes
cost N + E encodings and only the rest N * E times.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ContextAttention(nn.Module):
    """Pool the tokens of a reference, weighed by a context.

    Args:
        reference: Channels of the reference's tokens.
        context: Channels of the context's tokens.
        length: Most tokens of the reference.
        context_length: Most tokens of the context.
        size: Channels in which the two meet.
    """

    def __init__(
        self, reference: int, context: int, length: int, context_length: int, size: int
    ) -> None:
        super().__init__()
        self.of_reference = nn.Linear(reference, size)
        self.of_context = nn.Linear(context, size)
        self.over_time = nn.Linear(context_length, length)
        self.weigh = nn.Linear(size, 1, bias=False)

    def keys(self, reference: Tensor) -> Tensor:
        """The reference's half, (N, T, reference) to (N, T, size)."""
        out: Tensor = self.of_reference(reference)
        return out

    def asks(self, context: Tensor, mask: Tensor, length: int) -> Tensor:
        """The context's half.

        Args:
            context: (M, T', context).
            mask: (M, T') bool, True for real tokens.
            length: T, tokens of the references that will be asked.

        Returns:
            (M, T, size).
        """
        seen = self.of_context(context) * mask[..., None]
        weight = self.over_time.weight[:length, : context.shape[1]]
        out: Tensor = torch.einsum("ts,msa->mta", weight, seen)
        return out + self.over_time.bias[:length, None]

    def weights(self, keys: Tensor, asks: Tensor, mask: Tensor) -> Tensor:
        """Weight of each token of the reference, (P, T), 0 where ``mask`` (P, T) is False.

        Args:
            keys: (P, T, size) of :meth:`keys`, one for each pair.
            asks: (P, T, size) of :meth:`asks`.
            mask: (P, T) bool; at least one True in each row.
        """
        scores: Tensor = self.weigh(torch.tanh(keys + asks))[..., 0]
        return scores.masked_fill(~mask, float("-inf")).softmax(-1)
