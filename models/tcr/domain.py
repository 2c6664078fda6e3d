"""The variable domain of a beta chain, put together from its genes and its junction."""

from __future__ import annotations

import re
from functools import cache

from mmtool.models.tcr.germline import gene_regions
from mmtool.receptors import Receptor

REGIONS = ("FR1", "CDR1", "FR2", "CDR2", "FR3")
_J_MOTIF = re.compile("[A-Z]G[A-Z]G")  # F or W 118, G, any, G


@cache
def v_part(gene: str) -> tuple[tuple[str, str], ...]:
    """Regions of a V gene up to the cysteine 104, which belongs to the junction.

    Args:
        gene: IMGT name; without an allele its first known allele is taken.

    Returns:
        Pairs of region and letters; empty for a gene whose sequence is not known.
    """
    regions = gene_regions(gene)
    parts = tuple((name, regions.get(f"{name}-IMGT", "")) for name in REGIONS)
    if not all(letters for _, letters in parts):
        return ()
    last, letters = parts[-1]
    return (*parts[:-1], (last, letters.removesuffix("C")))


@cache
def j_part(gene: str) -> str:
    """Letters of a J gene behind the F or W that ends the junction; ``""`` if not known."""
    found = _J_MOTIF.search(gene_regions(gene).get("J-REGION", ""))
    return found.string[found.start() + 1 :] if found else ""


def beta_domain(receptor: Receptor) -> tuple[tuple[str, str], ...]:
    """Regions of the beta chain's variable domain as far as genes and junction are known.

    Returns:
        Pairs of region (``FR1`` to ``FR3``, ``CDR3``, ``FR4``) and letters; empty without a
        junction.

    Example:
        >>> beta = Receptor(v_b="TRBV7-6*01", j_b="TRBJ2-1*01", cdr3_b="CASSLNPGRSDSPLHF")
        >>> "".join(letters for _, letters in beta_domain(beta))[:12]
        'GAGVSQSPRYKV'
    """
    if not receptor.cdr3_b:
        return ()
    tail = j_part(receptor.j_b) if receptor.j_b else ""
    junction = (("CDR3", receptor.cdr3_b),)
    return (*(v_part(receptor.v_b) if receptor.v_b else ()), *junction, *_some("FR4", tail))


def whole_beta_domain(receptor: Receptor) -> str:
    """Letters of the beta chain's whole variable domain; ``""`` where a gene is not known."""
    regions = beta_domain(receptor)
    whole = bool(regions) and regions[0][0] == "FR1" and regions[-1][0] == "FR4"
    return "".join(letters for _, letters in regions) if whole else ""


def _some(name: str, letters: str) -> tuple[tuple[str, str], ...]:
    return ((name, letters),) if letters else ()
