"""What every model of T-cell receptor and epitope is to the rest of ``mmtool tcr-bind``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mmtool.receptors import Binder, BindingScores, Receptor


class BindingModel(Protocol):
    """A loaded model.

    Attributes:
        epitopes: Peptides that it knows binders of, most binders first.
        binders: Known binders whose sequences the model carries, for the evidence.
        few: An epitope with fewer known binders than this is told as ``few``.
        unseen_skill: Macro AUC on epitopes that it never saw, as validated, or None. Only where
            its interval lies above one half is a score of an unseen epitope shown as a score.
        purpose: What it was made for: "human alpha-beta T-cell receptors".
    """

    epitopes: tuple[str, ...]
    binders: Sequence[Binder]
    few: int
    unseen_skill: float | None
    purpose: str

    def score(self, receptors: Sequence[Receptor], epitopes: Sequence[str]) -> BindingScores:
        """Score each receptor against each epitope; the rows don't know of each other.

        Args:
            receptors: N receptors. Those of no junction get NaN.
            epitopes: E peptides, known or not.
        """
        ...

    def known(self, epitope: str) -> int:
        """How many binders of an epitope the model was made from; it may carry fewer."""
        ...

    def neighbours(
        self, receptors: Sequence[Receptor], epitope: str, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The k known binders of an epitope that are nearest to each receptor, nearest first.

        Args:
            receptors: N receptors.
            epitope: A peptide, known or not.
            k: How many.

        Returns:
            (N, k) index in `binders`, -1 where there are no more; (N, k) distance in the model's
            own units, NaN there. The first column is what :meth:`score` gives as the nearest.
        """
        ...

    def with_binders(self, extra: Sequence[Binder]) -> BindingModel:
        """The same model with more known binders, without training.

        `binders` of the new model are those of this one and then ``extra``.
        """
        ...


@dataclass(frozen=True)
class PairAttention:
    """What a network weighed in one pair; either side's weights sum to at most 1.

    Attributes:
        regions: For each residue of the receptor its region (``CDR3``) and letter.
        receptor: (T,) weight of each.
        smiles: Of the epitope; ``""`` where it is read as letters.
        tokens: Of the SMILES, or letters.
        atom: For each token the number of its atom in the SMILES, from 0; -1 for none. Empty
            where the epitope is read as letters.
        epitope: (T',) weight of each token.
    """

    regions: tuple[tuple[str, str], ...]
    receptor: NDArray[np.float32]
    smiles: str
    tokens: tuple[str, ...]
    atom: tuple[int, ...]
    epitope: NDArray[np.float32]


@dataclass(frozen=True)
class ScoreSpread:
    """How firm scores are.

    Attributes:
        dropout: (N, E) standard deviation over networks with other channels dropped.
        spelling: (N, E) standard deviation over other spellings of the epitope's molecule.
    """

    dropout: NDArray[np.float32]
    spelling: NDArray[np.float32]


@runtime_checkable
class AttendingModel(Protocol):
    """A model that can say what it looked at, and how firm its scores are."""

    def attention(self, receptors: Sequence[Receptor], epitope: str) -> list[PairAttention | None]:
        """What was weighed in each pair of N receptors and an epitope; None without an answer."""
        ...

    def spread(self, receptors: Sequence[Receptor], epitopes: Sequence[str]) -> ScoreSpread:
        """How firm the (N, E) scores are."""
        ...
