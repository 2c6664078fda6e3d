"""What a network looked at in each pair: a table, and each epitope's molecule coloured by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmtool.io.writers.molecule_drawing import write_molecule
from mmtool.io.writers.receptor_table import WriteRows, open_rows
from mmtool.pipelines.binding_model import AttendingModel, PairAttention
from mmtool.receptors import Receptor

_HEAD = ("row", "mmtool_epitope", "side", "place", "region", "token", "atom", "weight")
_DRAWN = 50  # epitopes
_SHOWN = 40  # letters of a file's name


@dataclass
class AttentionWriter:
    """Attention of the pairs that a run tells, one at a time.

    Attributes:
        model: The model.
        write: Writes rows of the table.
        smiles: Epitope -> SMILES of its drawing.
        weights: Epitope -> sum of its atoms' weights, and of how many pairs.
    """

    model: AttendingModel
    write: WriteRows
    smiles: dict[str, str] = field(default_factory=dict)
    weights: dict[str, tuple[NDArray[np.float64], int]] = field(default_factory=dict)

    def add(self, epitope: str, asked: Sequence[tuple[int, Receptor]]) -> None:
        """Tell of pairs: numbers of the rows and their receptors, all with one epitope."""
        once = {receptor: n for n, receptor in enumerate(dict.fromkeys(r for _, r in asked))}
        found = self.model.attention(list(once), epitope)
        for row, receptor in asked:
            attention = found[once[receptor]]
            if attention is not None:
                self.write(_rows(row, epitope, attention))
                self._sum(epitope, attention)

    def _sum(self, epitope: str, attention: PairAttention) -> None:
        if not attention.smiles:
            return
        self.smiles[epitope] = attention.smiles
        of_atoms = np.array(
            [w for w, a in zip(attention.epitope, attention.atom, strict=True) if a >= 0]
        )
        total, pairs = self.weights.get(epitope, (np.zeros(len(of_atoms)), 0))
        self.weights[epitope] = (total + of_atoms, pairs + 1)

    def draw(self, folder: Path) -> list[str]:
        """Draw the epitopes of most pairs into a folder; say what was not drawn."""
        order = sorted(self.weights, key=lambda e: -self.weights[e][1])
        if order:
            folder.mkdir()
        for epitope in order[:_DRAWN]:
            total, pairs = self.weights[epitope]
            legend = f"{epitope}: mean attention of {pairs} receptor{'s' * (pairs > 1)}"
            for kind in ("svg", "png"):
                write_molecule(
                    folder / f"{epitope[:_SHOWN]}.{kind}",
                    self.smiles[epitope],
                    (total / pairs).tolist(),
                    legend,
                )
        left = len(order) - _DRAWN
        return [f"{left} more epitopes are in attention.tsv but not drawn"] if left > 0 else []


@contextmanager
def open_attention(path: Path, model: AttendingModel) -> Iterator[AttentionWriter]:
    """Give a writer of the table; it appears when the block ends well."""
    with open_rows(path) as write:
        write([_HEAD])
        yield AttentionWriter(model, write)


def _rows(row: int, epitope: str, attention: PairAttention) -> Iterator[list[str]]:
    weights = zip(attention.regions, attention.receptor.tolist(), strict=True)
    for place, ((region, letter), weight) in enumerate(weights, start=1):
        yield [str(row), epitope, "receptor", str(place), region, letter, "", f"{weight:.6f}"]
    atoms = attention.atom or (-1,) * len(attention.tokens)
    tokens = zip(attention.tokens, atoms, attention.epitope.tolist(), strict=True)
    for place, (token, atom, weight) in enumerate(tokens, start=1):
        number = str(atom + 1) if atom >= 0 else ""
        yield [str(row), epitope, "epitope", str(place), "", token, number, f"{weight:.6f}"]
