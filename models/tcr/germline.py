"""The loops that a V gene brings along: CDR1, CDR2 and CDR2.5, laid out in fixed places.

Sequences are IMGT's, as tidytcells carries them (https://doi.org/10.3389/fimmu.2023.1276106).
"""

from __future__ import annotations

from functools import cache

import tidytcells

GAP = "-"
CDR1, CDR2, CDR25 = 7, 8, 6  # places
V_PLACES = CDR1 + CDR2 + CDR25
_CDR25_FROM_END = (24, 18)  # of framework 3: IMGT positions 81 to 86, counted from the cysteine 104
_ALLELES = 6


def in_places(sequence: str, places: int) -> str:
    """A loop in so many places: both ends stay where they are, the gap is in the middle.

    What is longer loses its middle.
    """
    left = places - places // 2
    right = places // 2
    if len(sequence) > places:
        return sequence[:left] + sequence[len(sequence) - right :]
    half = len(sequence) - len(sequence) // 2
    return sequence[:half] + GAP * (places - len(sequence)) + sequence[half:]


@cache
def v_loops(gene: str) -> str:
    """The :data:`V_PLACES` letters of a V gene; ``""`` for one that has no known loops.

    Args:
        gene: IMGT name; without an allele its first known allele is taken.
    """
    regions = gene_regions(gene)
    if not regions.get("CDR1-IMGT") or "FR3-IMGT" not in regions:
        return ""
    begin, end = _CDR25_FROM_END
    framework = regions["FR3-IMGT"]
    loops = (
        (regions["CDR1-IMGT"], CDR1),
        (regions.get("CDR2-IMGT", ""), CDR2),
        (framework[-begin:-end] if len(framework) >= begin else "", CDR25),
    )
    return "".join(in_places(loop, places) for loop, places in loops)


def gene_regions(gene: str) -> dict[str, str]:
    """Amino acids of a gene's regions by their IMGT names; empty for a gene that is not known."""
    name, star, _ = gene.partition("*")
    tried = (gene,) if star else ()
    for allele in (*tried, *(f"{name}*{n:02d}" for n in range(1, _ALLELES))):
        try:
            return dict(tidytcells.tr.get_aa_sequence(allele))
        except ValueError:  # no such allele
            continue
    return {}
