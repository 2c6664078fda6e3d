"""When an alignment of two proteins tells of a common fold, and what it is worth in bits."""

from __future__ import annotations

import math

# Of BLOSUM62 with gaps of 11 and 1 for each letter (Altschul, 10.1093/nar/25.17.3389).
_LAMBDA, _K = 0.267, 0.041
# Such a score is nearly always significant, whatever the size of the collection (Pearson,
# 10.1002/0471250953.bi0301s42); a short stretch may be equal by chance.
FEWEST_BITS = 50.0
_SHORT, _LONG = 11, 450  # residues


def bits(score: float) -> float:
    """Score of an alignment in bits: comparable whatever the matrix."""
    return (_LAMBDA * score - math.log(_K)) / math.log(2)


def identity_needed(aligned: int) -> float:
    """Share of equal residues above which most pairs of proteins have one fold.

    The curve of Rost (10.1093/protein/12.2.85, its p_I at n = 0), which replaces that of Sander and
    Schneider (10.1002/prot.340090107); below it lies the twilight zone.

    Args:
        aligned: Pairs of residues, gaps left out.
    """
    if aligned <= _SHORT:
        return 1.0
    if aligned > _LONG:
        return 0.195
    power = -0.32 * (1 + math.exp(-aligned / 1000))
    return min(1.0, float(4.80 * aligned**power))


def tells(score: float, equal: int, aligned: int) -> bool:
    """Whether an alignment lies above the twilight zone, and is no chance.

    Args:
        score: By BLOSUM62.
        equal: Pairs of equal residues.
        aligned: Pairs of residues.
    """
    if aligned <= _SHORT or bits(score) < FEWEST_BITS:
        return False
    return equal / aligned >= identity_needed(aligned)
