"""AIRR Rearrangement tables, bulk and single-cell (https://docs.airr-community.org)."""

from __future__ import annotations

from mmtool.io.readers.receptor_layout import (
    EPITOPE,
    MHC,
    NO,
    REFERENCE,
    SPECIES,
    ChainColumns,
    Columns,
    Layout,
)

NAME = "AIRR Rearrangement"
_JUNCTIONS = ("junction_aa", "cdr3_aa", "junction")  # the last holds nucleotides


def sniff(columns: Columns) -> bool:
    """By ``v_call`` and a junction."""
    return columns.has("v_call") and any(columns.has(name) for name in _JUNCTIONS)


def layout(columns: Columns) -> Layout:
    """One chain a row; rows with one ``cell_id`` (and ``repertoire_id``) are a receptor."""
    chain = ChainColumns(
        "",
        cdr3=columns.find(*_JUNCTIONS),
        v=columns.find("v_call"),
        j=columns.find("j_call"),
        loci=columns.find("locus"),
    )
    cell = columns.find("cell_id")
    return Layout(
        NAME,
        (chain,),
        cell=(*cell, *columns.find("repertoire_id")) if cell else (),
        counts=columns.find("umi_count", "duplicate_count", "consensus_count"),
        required=(
            *columns.required(["productive"], NO, "not productive"),
            *columns.required(["vj_in_frame"], NO, "out of frame"),
            *columns.required(["stop_codon"], frozenset({"t", "true"}), "stop codon"),
        ),
        species=columns.find(*SPECIES),
        epitope=columns.find(*EPITOPE),
        mhc=columns.find(*MHC),
        reference=columns.find(*REFERENCE),
    )
