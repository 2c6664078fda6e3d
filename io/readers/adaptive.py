"""Sample exports of Adaptive's immunoSEQ Analyzer: beta chains, versions 1 to 4."""

from __future__ import annotations

from mmtool.io.readers.receptor_layout import ChainColumns, Columns, Layout

NAME = "immunoSEQ"


def sniff(columns: Columns) -> bool:
    """By its words for the rearrangement and its genes."""
    old = columns.has("nucleotide", "aminoAcid", "vGeneName") or columns.has(
        "aminoAcid", "vMaxResolved"
    )
    new = columns.has("rearrangement") and columns.find("v_gene", "v_resolved")
    return old or bool(new and columns.find("amino_acid", "cdr3_amino_acid"))


def layout(columns: Columns) -> Layout:
    """One rearrangement a row; the gene as far as it is resolved."""
    chain = ChainColumns(
        "",
        cdr3=columns.find("aminoAcid", "cdr3_amino_acid"),
        v=columns.find("vGeneName", "vMaxResolved", "v_gene", "v_resolved"),
        j=columns.find("jGeneName", "jMaxResolved", "j_gene", "j_resolved"),
        loci=columns.find("locus"),
    )
    bad = frozenset({"out", "out of frame", "0"})
    status = ["sequenceStatus", "frame_type"]
    return Layout(
        NAME,
        (chain,),
        required=(
            *columns.required(status, bad, "out of frame"),
            *columns.required(status, frozenset({"stop", "has stop"}), "stop codon"),
        ),
    )
