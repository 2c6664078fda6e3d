"""Receptor export of the IEDB (https://www.iedb.org), with one line of header or with two."""

from __future__ import annotations

from mmtool.io.readers.receptor_layout import ChainColumns, Columns, Layout

NAME = "IEDB receptors"


def sniff(columns: Columns) -> bool:
    """By its words for the CDR3 of a second chain, in all of its versions."""
    return columns.has("Chain 2 CDR3 Curated") or columns.has("Chain 2 CDR3 Calculated")


def layout(columns: Columns) -> Layout:
    """One receptor a row; what the IEDB has calculated goes before what was curated."""
    chains = tuple(
        ChainColumns(
            "",
            cdr3=columns.find(
                f"Chain {n} Junction Calculated",
                f"Chain {n} CDR3 Calculated",
                f"Chain {n} CDR3 Curated",
            ),
            v=columns.find(*_genes(n, "V")),
            j=columns.find(*_genes(n, "J")),
            loci=columns.find(f"Chain {n} Type"),
        )
        for n in (1, 2)
    )
    return Layout(
        NAME,
        chains,
        species=columns.find("Chain 1 Organism IRI", "Chain 2 Organism IRI"),
        epitope=columns.find("Description", "Epitope Name"),
        mhc=columns.find("MHC Allele Names", "Assay MHC Allele Names"),
        reference=columns.find("Reference IRI", "Reference IEDB IRI"),
    )


def _genes(chain: int, gene: str) -> tuple[str, ...]:
    kinds = ("Calculated", "Curated")
    return tuple(
        name
        for kind in kinds
        for name in (f"{kind} Chain {chain} {gene} Gene", f"Chain {chain} {kind} {gene} Gene")
    )
