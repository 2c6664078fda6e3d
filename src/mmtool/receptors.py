"""T-cell receptors and what a model says of their binding, as all rooms know them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


@dataclass(frozen=True, slots=True)
class Receptor:
    """One human alpha-beta T-cell receptor; what is not known is ``""``.

    Attributes:
        v_a: V gene of the alpha chain in IMGT's words, with allele if known: ``TRAV27*01``.
        j_a: Its J gene.
        cdr3_a: Its junction as amino acids, from the conserved C to F or W (AIRR ``junction_aa``).
        v_b: V gene of the beta chain.
        j_b: Its J gene.
        cdr3_b: Its junction.
    """

    v_a: str = ""
    j_a: str = ""
    cdr3_a: str = ""
    v_b: str = ""
    j_b: str = ""
    cdr3_b: str = ""

    @property
    def usable(self) -> bool:
        """Whether there is a junction to score by."""
        return bool(self.cdr3_a or self.cdr3_b)


@dataclass(frozen=True, slots=True)
class Binder:
    """A receptor that is known to bind.

    Attributes:
        receptor: The receptor.
        epitope: Peptide, one-letter amino acids.
        mhc: Allele that presents it, e.g. ``HLA-A*02:01``, or ``""``.
        reference: Where it was published, e.g. ``PMID:28423320``, or ``""``.
        source: Collection it was taken from, e.g. ``IEDB``.
    """

    receptor: Receptor
    epitope: str
    mhc: str = ""
    reference: str = ""
    source: str = ""


@dataclass(frozen=True)
class BindingScores:
    """What a model says of N receptors against E epitopes.

    Attributes:
        score: (N, E) float32, natural log of how much likelier the receptor is among binders of
            the epitope than among receptors in general; NaN where the model has no answer.
        percentile: (N, E) float32 in [0, 100], share of control receptors that score lower; NaN
            as above, or where the model has no controls.
        probability: (N, E) float32 in [0, 1] that it binds, at the prior that the model states;
            NaN as above.
        nearest: (N, E) int64, index of the nearest known binder in the model's `binders`; -1
            where there is none.
        distance: (N, E) float32, its distance in the model's own units; NaN where there is none.
        known: (E,) int64, how many known binders of each epitope the model was made from.
        notes: Plain sentences for the user.
    """

    score: NDArray[np.float32]
    percentile: NDArray[np.float32]
    probability: NDArray[np.float32]
    nearest: NDArray[np.int64]
    distance: NDArray[np.float32]
    known: NDArray[np.int64]
    notes: tuple[str, ...] = field(default=())
