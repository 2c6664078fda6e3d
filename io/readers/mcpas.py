"""McPAS-TCR (http://friedmanlab.weizmann.ac.il/McPAS-TCR/)."""

from __future__ import annotations

from mmtool.io.readers.receptor_layout import ALPHA, BETA, ChainColumns, Columns, Layout

NAME = "McPAS-TCR"


def sniff(columns: Columns) -> bool:
    """By its words for CDR3 and peptide."""
    return columns.has("CDR3.alpha.aa", "CDR3.beta.aa", "Epitope.peptide")


def layout(columns: Columns) -> Layout:
    """One receptor a row."""
    return Layout(
        NAME,
        tuple(
            ChainColumns(
                locus,
                cdr3=columns.find(f"CDR3.{word}.aa"),
                v=columns.find(f"TR{locus}V"),
                j=columns.find(f"TR{locus}J"),
            )
            for locus, word in ((ALPHA, "alpha"), (BETA, "beta"))
        ),
        species=columns.find("Species"),
        epitope=columns.find("Epitope.peptide"),
        mhc=columns.find("MHC"),
        reference=columns.find("PubMed.ID"),
    )
