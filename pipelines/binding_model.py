"""What every model of T-cell receptor and epitope is to the rest of ``mmtool tcr-bind``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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
