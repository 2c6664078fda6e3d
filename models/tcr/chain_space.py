"""One chain of a receptor as a point: squared distances add up substitutions over its loops.

The distance is of tcrdist's kind (https://doi.org/10.1038/nature22383): over the germline loops
CDR1, CDR2, CDR2.5 and the junction, each pair of letters costs ``min(4, 4 - BLOSUM62)``, times the
weight of its place. Here every chain is laid out in fixed places, and the cost of two letters is a
squared Euclidean distance, so that a chain becomes a short vector and many distances one matrix
product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from Bio.Align import substitution_matrices
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.tcr.germline import CDR1, CDR2, GAP, V_PLACES, in_places, v_loops
from mmtool.receptors import AMINO_ACIDS, Receptor

LETTERS = AMINO_ACIDS + GAP
JUNCTION = 22
PLACES = V_PLACES + JUNCTION
UNKNOWN = -1
# Where each group of places that has one weight begins and ends. The ends of a junction are
# encoded by the genes, its middle was made by chance.
PARTS: dict[str, tuple[int, int]] = {
    "cdr1": (0, CDR1),
    "cdr2": (CDR1, CDR1 + CDR2),
    "cdr2.5": (CDR1 + CDR2, V_PLACES),
    "start": (V_PLACES, V_PLACES + 3),
    "middle": (V_PLACES + 3, V_PLACES + 17),
    "join": (V_PLACES + 17, V_PLACES + 20),
    "end": (V_PLACES + 20, PLACES),
}
_DEAREST = 4.0
CHAINS = ("a", "b")


def codes_of(receptors: Sequence[Receptor], chain: str) -> NDArray[np.int64]:
    """Letters of a chain in their places, (N, PLACES) indices into `LETTERS`.

    `UNKNOWN` stands in all places of a V gene, or of a junction, that is not known.

    Args:
        receptors: N receptors.
        chain: ``a`` or ``b``.
    """
    rows = [_letters(getattr(r, f"v_{chain}"), getattr(r, f"cdr3_{chain}")) for r in receptors]
    place = {letter: i for i, letter in enumerate(LETTERS)} | {" ": UNKNOWN}
    table = np.full(128, len(AMINO_ACIDS), np.int64)
    for letter, index in place.items():
        table[ord(letter)] = index
    raw = np.frombuffer("".join(rows).encode("ascii"), np.uint8)
    return table[raw].reshape(len(receptors), PLACES)


def _letters(v: str, junction: str) -> str:
    loops = v_loops(v) if v else ""
    tail = in_places(junction, JUNCTION) if junction else ""
    return (loops or " " * V_PLACES) + (tail or " " * JUNCTION)


@cache
def letter_points() -> NDArray[np.float64]:
    """(21, 20) points of `LETTERS` whose squared distances are the costs of substitutions.

    A gap costs as much as the dearest substitution. The costs are exactly Euclidean: classical
    scaling leaves no negative eigenvalue.
    """
    blosum = substitution_matrices.load("BLOSUM62")
    n = len(LETTERS)
    cost = np.full((n, n), _DEAREST)
    for i, a in enumerate(AMINO_ACIDS):
        for j, b in enumerate(AMINO_ACIDS):
            cost[i, j] = min(_DEAREST, _DEAREST - blosum[a][b])
    np.fill_diagonal(cost, 0.0)
    centre = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centre @ cost @ centre)
    kept = values > 1e-9
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]), np.float64)


@dataclass(frozen=True)
class ChainSpace:
    """Where the chains of one kind lie.

    Attributes:
        tables: (PLACES, 21, D) float32, what a letter in a place adds to the point.
        typical: (2, D) float32, what stands for an unknown V gene and for an unknown junction.
    """

    tables: Tensor
    typical: Tensor

    def points(self, codes: NDArray[np.int64]) -> Tensor:
        """Points of N chains, (N, D), on the device of the tables.

        Args:
            codes: (N, PLACES) of :func:`codes_of`.
        """
        device = self.tables.device
        letters = torch.from_numpy(codes).to(device)
        out = torch.zeros(len(codes), self.tables.shape[-1], device=device)
        for half, (begin, end) in enumerate(((0, V_PLACES), (V_PLACES, PLACES))):
            part = letters[:, begin:end]
            offsets = torch.arange(end - begin, device=device) * len(LETTERS)
            summed = torch.nn.functional.embedding_bag(
                part.clamp(min=0) + offsets, self.tables[begin:end].flatten(0, 1), mode="sum"
            )
            out += torch.where(part[:, :1] >= 0, summed, self.typical[half])
        return out


def make_space(
    codes: NDArray[np.int64], weights: Mapping[str, float], width: float, dimensions: int
) -> ChainSpace:
    """The space in which ``exp(-|x - y|^2)`` is the kernel of that width, in few dimensions.

    Args:
        codes: (N, PLACES) of chains that are fully known; their principal axes are kept.
        weights: Of each of `PARTS`.
        width: Distance at which the kernel has fallen to 1/e.
        dimensions: D.
    """
    place_weights = np.zeros(PLACES)
    for name, (begin, end) in PARTS.items():
        place_weights[begin:end] = weights[name]
    letters = letter_points()
    size = letters.shape[1]
    scaled = np.sqrt(place_weights / width)[:, None, None] * letters  # (PLACES, 21, 20)
    full = scaled[np.arange(PLACES), codes].reshape(len(codes), PLACES * size)
    centred = full - full.mean(0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :dimensions]
    tables = np.einsum("pls,psd->pld", scaled, axes.reshape(PLACES, size, -1))
    mean = tables[np.arange(PLACES), codes].mean(0)  # (PLACES, D)
    typical = np.stack([mean[:V_PLACES].sum(0), mean[V_PLACES:].sum(0)])
    return ChainSpace(torch.from_numpy(tables).float(), torch.from_numpy(typical).float())
