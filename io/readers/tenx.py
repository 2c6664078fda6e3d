"""Contig annotations of 10x Cell Ranger: ``filtered_contig_annotations.csv``."""

from __future__ import annotations

from mmtool.io.readers.receptor_layout import NO, ChainColumns, Columns, Layout

NAME = "10x contig annotations"
_NOT_PRODUCTIVE = NO | {"none", ""}


def sniff(columns: Columns) -> bool:
    """By barcode, chain and the words of its genes."""
    return columns.has("barcode", "chain", "v_gene", "cdr3")


def layout(columns: Columns) -> Layout:
    """One contig a row; contigs of one barcode (and sample) are a receptor."""
    chain = ChainColumns(
        "",
        cdr3=columns.find("cdr3"),
        v=columns.find("v_gene"),
        j=columns.find("j_gene"),
        loci=columns.find("chain"),
    )
    return Layout(
        NAME,
        (chain,),
        cell=columns.find("barcode", "sample", "sample_id", "origin", "donor"),
        counts=columns.find("umis", "reads"),
        required=(
            *columns.required(["productive"], _NOT_PRODUCTIVE, "not productive"),
            *columns.required(["chain"], frozenset({"multi"}), "contig of several chains"),
        ),
        doubtful=columns.find("is_cell", "high_confidence", "full_length"),
    )
