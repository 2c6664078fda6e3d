"""VDJdb: the table with a row for each receptor, and the exports with a row for each chain."""

from __future__ import annotations

from mmtool.io.readers.receptor_layout import ALPHA, BETA, ChainColumns, Columns, Layout

NAME = "VDJdb"


def sniff(columns: Columns) -> bool:
    """By the two columns of CDR3, or by ``complex.id``."""
    return columns.has("cdr3.alpha", "cdr3.beta", "antigen.epitope") or columns.has(
        "complex.id", "gene", "cdr3"
    )


def layout(columns: Columns) -> Layout:
    """Rows with one ``complex.id`` other than 0 are a receptor."""
    if columns.has("cdr3.alpha"):
        chains: tuple[ChainColumns, ...] = tuple(
            ChainColumns(
                locus,
                cdr3=columns.find(f"cdr3.{word}"),
                v=columns.find(f"v.{word}"),
                j=columns.find(f"j.{word}"),
            )
            for locus, word in ((ALPHA, "alpha"), (BETA, "beta"))
        )
        cell: tuple[int, ...] = ()
    else:
        chain = ChainColumns(
            "",
            cdr3=columns.find("cdr3"),
            v=columns.find("v", "v.segm"),
            j=columns.find("j", "j.segm"),
            loci=columns.find("gene"),
        )
        chains, cell = (chain,), columns.find("complex.id")
    return Layout(
        NAME,
        chains,
        cell=cell,
        species=columns.find("species"),
        epitope=columns.find("antigen.epitope", "epitope"),
        mhc=columns.find("mhc.a"),
        reference=columns.find("reference.id", "reference"),
    )
