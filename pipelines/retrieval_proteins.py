"""Proteins aligned with a query: what triples of letters only estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_CELLS = 4_000_000  # of a table that is filled for a pair: 2,000 by 2,000 letters
_ALL_CELLS = 100_000_000  # for all pairs of a query: seconds
_OPEN, _EXTEND = -11.0, -1.0  # of a gap, as BLAST has it
_NEAREST = str.maketrans("UOJ", "CKL")  # letters that BLOSUM62 lacks


@dataclass(frozen=True)
class Aligned:
    """The best local alignment of two proteins (https://doi.org/10.1016/0022-2836(81)90087-5).

    Attributes:
        score: Of BLOSUM62, a gap 11 and 1 for each letter of it.
        identity: Share of equal letters among the columns of the alignment, gaps included.
        coverage: Share of the query that is aligned.
    """

    score: float
    identity: float
    coverage: float


def align(query: str, proteins: Sequence[str]) -> list[Aligned | None]:
    """Align a protein with others, in their order.

    Args:
        query: Letters, upper case.
        proteins: Letters of each.

    Returns:
        Of each the alignment; None where nothing aligns, or the pair is too long: more than four
        million pairs of letters, or more than a hundred million together with those before.
    """
    left = _ALL_CELLS
    out: list[Aligned | None] = []
    for letters in proteins:
        cells = len(query) * len(letters)
        if not 0 < cells <= min(_CELLS, left):
            out.append(None)
            continue
        left -= cells
        out.append(_pair(query, letters))
    return out


@lru_cache(maxsize=1)
def _aligner() -> Any:
    from Bio.Align import PairwiseAligner, substitution_matrices

    aligner = PairwiseAligner()
    aligner.mode = "local"
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    aligner.open_gap_score, aligner.extend_gap_score = _OPEN, _EXTEND
    return aligner


def _pair(query: str, letters: str) -> Aligned | None:
    first, second = query.translate(_NEAREST), letters.translate(_NEAREST)
    best = next(iter(_aligner().align(first, second)), None)
    if best is None or best.score <= 0:
        return None
    counts = best.counts()
    covered = sum(int(end - start) for start, end in best.aligned[0])
    identity = counts.identities / (counts.identities + counts.mismatches + counts.gaps)
    return Aligned(float(best.score), float(identity), covered / len(query))
