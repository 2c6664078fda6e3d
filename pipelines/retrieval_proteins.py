"""Proteins aligned with a query: what triples of letters only estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_CELLS = 4_000_000  # of a table that is filled for a pair: 2,000 by 2,000 letters
_ALL_CELLS = 100_000_000  # for all pairs of a query: seconds
_OPEN, _EXTEND = -12.0, -1.0  # of the first letter of a gap and of each further one, as BLAST
_NEAREST = str.maketrans("UOJ", "CKL")  # letters that BLOSUM62 lacks


@dataclass(frozen=True)
class Aligned:
    """The best local alignment of two proteins (https://doi.org/10.1016/0022-2836(81)90087-5).

    Attributes:
        score: Of BLOSUM62, a gap 11 and 1 for each letter of it.
        identity: Share of equal letters among the columns of the alignment, gaps included.
        coverage: Share of the query that is aligned.
        other_coverage: Share of the other that is aligned.
        pairs: Columns without a gap.
        equal: Those of them with equal letters.
    """

    score: float
    identity: float
    coverage: float
    other_coverage: float
    pairs: int
    equal: int


def align(
    query: str, proteins: Sequence[str], *, most: int | None = None, all_most: int | None = None
) -> list[Aligned | None]:
    """Align a protein with others, in their order.

    Args:
        query: Letters, upper case.
        proteins: Letters of each.
        most: Pairs of letters, of two proteins; four million when None.
        all_most: Likewise, of all of them together; a hundred million when None.

    Returns:
        Of each the alignment; None where nothing aligns, or the pair is too long, by itself or
        together with those before.
    """
    most, left = most or _CELLS, all_most or _ALL_CELLS
    out: list[Aligned | None] = []
    for letters in proteins:
        cells = len(query) * len(letters)
        if not 0 < cells <= min(most, left):
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
    pairs = counts.identities + counts.mismatches
    identity = counts.identities / (pairs + counts.gaps)
    return Aligned(
        float(best.score), float(identity), pairs / len(query), pairs / len(letters),
        int(pairs), int(counts.identities),
    )  # fmt: skip
