"""Tables of any origin, by the many names that people give to the same columns."""

from __future__ import annotations

from collections.abc import Iterator

from mmtool.io.readers.receptor_layout import (
    ALPHA,
    BETA,
    EPITOPE,
    MHC,
    NO,
    REFERENCE,
    SPECIES,
    ChainColumns,
    Columns,
    Layout,
)

NAME = "plain table"
_CHAINS = {
    ALPHA: ("a", "alpha", "tra", "tcra", "tcralpha", "vj1", "irvj1"),
    BETA: ("b", "beta", "trb", "tcrb", "tcrbeta", "vdj1", "irvdj1"),
}
_CDR3 = ("junctionaa", "cdr3extended", "cdr3aa", "cdr3", "cdr3seq", "cdr3sequence", "junction")
_GENE = ("call", "gene", "allele", "segment", "segm", "")
_ONE_CDR3 = tuple(
    "junction_aa cdr3_aa aaSeqCDR3 cdr3 amino_acid cdr3_amino_acids cdr3_sequence cdr3seq "
    "aaCDR3_filtered".split()
)
_ONE_GENE = tuple(
    "{}_call {}_gene {}_segment {}_segm {} best{}Hit best{}Gene all{}HitsWithScore {}.name "
    "TRB{} TRA{}".split()
)
_LOCUS = ("locus", "chain", "chains", "topChains", "chain_type", "tcr_chain")


def sniff(columns: Columns) -> bool:
    """By a column of CDR3s under any known name."""
    return any(columns.find(*_cdr3(c)) for c in _CHAINS) or bool(columns.find(*_ONE_CDR3))


def layout(columns: Columns) -> Layout:
    """Two chains a row where the names tell them apart, else one."""
    chains = tuple(
        ChainColumns(
            locus,
            cdr3=columns.find(*_cdr3(locus)),
            v=columns.find(*_gene(locus, "v")),
            j=columns.find(*_gene(locus, "j")),
        )
        for locus in _CHAINS
    )
    chains = tuple(chain for chain in chains if chain.cdr3)
    cell: tuple[int, ...] = ()
    if not chains:
        one = ChainColumns(
            "",
            cdr3=columns.find(*_ONE_CDR3),
            v=columns.find(*(name.format("v") for name in _ONE_GENE)),
            j=columns.find(*(name.format("j") for name in _ONE_GENE)),
            loci=columns.find(*_LOCUS),
        )
        chains, cell = (one,), columns.find("cell_id", "barcode", "complex.id")
    return Layout(
        NAME,
        chains,
        cell=cell,
        counts=columns.find("umi_count", "umis", "count", "cloneCount", "reads") if cell else (),
        required=columns.required(["productive"], NO, "not productive"),
        species=columns.find(*SPECIES),
        epitope=columns.find(*EPITOPE),
        mhc=columns.find(*MHC),
        reference=columns.find(*REFERENCE),
    )


def _cdr3(locus: str) -> Iterator[str]:
    """``cdr3b``, ``beta_cdr3``, ``CDR3.beta.aa``, ``cdr3_b_aa``, ``TRB_junction_aa``, ``B3``."""
    for part in _CDR3:
        stem, ending = ("cdr3", part[4:]) if part.startswith("cdr3") else (part, "")
        for chain in _CHAINS[locus]:
            yield from (f"{chain}{part}", f"{part}{chain}", f"{stem}{chain}{ending}")
    yield f"{locus}3"


def _gene(locus: str, gene: str) -> Iterator[str]:
    """``TRBV``, ``v_b_gene``, ``vb``, ``V_beta``, ``trb_v_gene``, ``v.beta``."""
    for word in _GENE:
        for chain in _CHAINS[locus]:
            yield from (f"{chain}{gene}{word}", f"{gene}{chain}{word}", f"{gene}{word}{chain}")
