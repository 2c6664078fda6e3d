"""What sets the binders of an epitope apart, letter by letter: linear scores of a chain.

A chain is told by which letter stands in each of its places, and by which two letters follow each
other in its junction, at once or after one more, wherever that is. An epitope's log odds are linear
in these; those of many epitopes share a few axes (reduced-rank regression,
https://doi.org/10.1016/0047-259X(75)90042-1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mmtool.models.tcr.chain_space import LETTERS, PLACES, codes_of
from mmtool.receptors import AMINO_ACIDS, Receptor

STEPS = (1, 2)  # from the first letter of a pair to the second
_PLACED = PLACES * len(LETTERS)
_PAIRS = len(AMINO_ACIDS) ** 2
_LETTERS = AMINO_ACIDS.encode("ascii")


def token_count(steps: Sequence[int] = STEPS) -> int:
    """How many tokens there are: letters in places, then pairs of letters."""
    return _PLACED + len(steps) * _PAIRS


def tokens_of(
    receptors: Sequence[Receptor], chain: str, steps: Sequence[int] = STEPS
) -> NDArray[np.int64]:
    """Tokens of N chains, (N, T) below `token_count`; that number itself stands for none.

    Places of an unknown V gene or junction have none.

    Args:
        receptors: N receptors.
        chain: ``a`` or ``b``.
        steps: Between the letters of pairs.
    """
    codes = codes_of(receptors, chain)
    none = token_count(steps)
    parts = [np.where(codes >= 0, codes + np.arange(PLACES) * len(LETTERS), none)]
    junctions = [getattr(r, f"cdr3_{chain}") for r in receptors]
    width = max((len(j) for j in junctions), default=0)
    table = np.full(256, -1, np.int64)
    table[np.frombuffer(_LETTERS, np.uint8)] = np.arange(len(_LETTERS))
    raw = "".join(j.ljust(width) for j in junctions).encode("ascii")
    letters = table[np.frombuffer(raw, np.uint8)].reshape(len(junctions), width)
    for number, step in enumerate(steps):
        first, second = letters[:, : max(0, width - step)], letters[:, step:]
        begin = _PLACED + number * _PAIRS
        pair = begin + first * len(_LETTERS) + second
        parts.append(np.where((first >= 0) & (second >= 0), pair, none))
    return np.concatenate(parts, 1)


def counts_of(tokens: NDArray[np.int64], steps: Sequence[int] = STEPS) -> Tensor:
    """(N, tokens) how often each occurs in N chains; arguments as of `tokens_of`."""
    out = torch.zeros(len(tokens), token_count(steps) + 1)
    at = torch.from_numpy(tokens)
    out.scatter_add_(1, at, torch.ones(at.shape))
    return out[:, :-1].contiguous()


def summed(tokens: NDArray[np.int64], table: Tensor) -> Tensor:
    """(N, R) sums of a table's rows over the tokens of each chain.

    Args:
        tokens: (N, T) of `tokens_of`.
        table: (tokens, R).
    """
    padded = functional.pad(table, (0, 0, 0, 1))
    at = torch.from_numpy(tokens).to(table.device)
    return functional.embedding_bag(at, padded, mode="sum", padding_idx=len(table))


@dataclass(frozen=True)
class Motifs:
    """Of one chain and E epitopes.

    Attributes:
        axes: (tokens, R).
        heads: (R, E).
        offsets: (E,).
        controls: (M, R) sums of the axes over the tokens of M control receptors.
        epitopes: Epitope -> its column.
    """

    axes: Tensor
    heads: Tensor
    offsets: Tensor
    controls: Tensor
    epitopes: Mapping[str, int]

    def points(self, receptors: Sequence[Receptor], chain: str) -> Tensor:
        """(N, R) of N chains."""
        return summed(tokens_of(receptors, chain), self.axes)

    def chosen(self, epitopes: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Heads (R, n) and offsets (n,) of n epitopes; zeros for those that have none."""
        places = [self.epitopes.get(e, len(self.epitopes)) for e in epitopes]
        heads, offsets = self._with_none
        return heads[:, places], offsets[places]

    @cached_property
    def _with_none(self) -> tuple[Tensor, Tensor]:
        return functional.pad(self.heads, (0, 1)), functional.pad(self.offsets, (0, 1))
