"""Message passing over atoms and bonds: a graph isomorphism network with bonds.

After doi 10.48550/arXiv.1810.00826, with bonds added to the messages as in doi
10.48550/arXiv.1905.12265; MolFM (doi 10.48550/arXiv.2307.09484) reads molecules by such a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmtool.models.encoders.molecule_features import ATOM, BOND, Graph


class Graphs(NamedTuple):
    """N molecules as one graph of A atoms and E directed bonds.

    Attributes:
        atoms: (A, ATOM).
        ends: (2, E): from and to which atom.
        bonds: (E, BOND).
        owner: (A,): which molecule an atom is of.
        sizes: (N,): atoms of each.
    """

    atoms: Tensor
    ends: Tensor
    bonds: Tensor
    owner: Tensor
    sizes: Tensor


def together(graphs: Sequence[Graph]) -> Graphs:
    """One graph of several, in order."""
    sizes = np.array([len(g.atoms) for g in graphs])
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    ends = np.concatenate([g.ends + f for g, f in zip(graphs, first, strict=True)], 1)
    return Graphs(
        torch.from_numpy(np.concatenate([g.atoms for g in graphs])),
        torch.from_numpy(ends),
        torch.from_numpy(np.concatenate([g.bonds for g in graphs])),
        torch.from_numpy(np.repeat(np.arange(len(graphs)), sizes)),
        torch.from_numpy(sizes),
    )


class _Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.bond = nn.Linear(BOND, width)
        self.mix = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, x: Tensor, graphs: Graphs) -> Tensor:
        start, end = graphs.ends
        messages = torch.relu(x[start] + self.bond(graphs.bonds))
        added: Tensor = x + self.mix(x.index_add(0, end, messages))
        return added


class GraphNet(nn.Module):
    """Molecules to (N, dim): the mean and the damped sum of what the atoms became."""

    def __init__(self, width: int, layers: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.atom = nn.Linear(ATOM, width)
        self.layers = nn.ModuleList(_Layer(width) for _ in range(layers))
        self.head = nn.Sequential(
            nn.LayerNorm(2 * width), nn.Dropout(dropout), nn.Linear(2 * width, dim)
        )

    def forward(self, graphs: Graphs) -> Tensor:
        """(N, dim) of N molecules."""
        x = self.atom(graphs.atoms)
        for layer in self.layers:
            x = layer(x, graphs)
        total = x.new_zeros(len(graphs.sizes), x.shape[1]).index_add(0, graphs.owner, x)
        size = graphs.sizes[:, None].to(x.dtype)
        out: Tensor = self.head(torch.cat([total / size, total / size.sqrt()], 1))
        return out
