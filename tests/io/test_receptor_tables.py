"""Every format is known by its header, and its columns are found."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mmtool.io.readers.receptors import open_receptors

AIRR = "sequence_id\tv_call\tj_call\tjunction_aa\tcell_id\nx\tTRBV19\tTRBJ2-7\tCASSIRSSYEQYF\tc\n"
FORMATS = {
    "AIRR Rearrangement": AIRR,
    "VDJdb": "cdr3.alpha\tv.alpha\tj.alpha\tcdr3.beta\tv.beta\tj.beta\tantigen.epitope\n",
    "10x contig annotations": "barcode,is_cell,contig_id,chain,v_gene,cdr3,productive,umis\n",
    "McPAS-TCR": "CDR3.alpha.aa,CDR3.beta.aa,Species,Epitope.peptide,TRAV,TRAJ,TRBV,TRBJ\n",
    "immunoSEQ": "nucleotide\taminoAcid\tcount\tvMaxResolved\tvGeneName\tsequenceStatus\n",
    "IEDB receptors": "Description,Chain 1 Type,Chain 1 CDR3 Curated,Calculated Chain 1 V Gene,"
    "Chain 2 Type,Chain 2 CDR3 Curated,Calculated Chain 2 V Gene\n",
    "plain table": "Peptide;CDR3b;Vb\n",
}


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.txt"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(("name", "text"), FORMATS.items())
def test_a_format_is_known_by_its_header(name: str, text: str, tmp_path: Path) -> None:
    table, layout = open_receptors(write(tmp_path, text))
    assert layout.format == name
    for chain in layout.chains:
        assert chain.cdr3
        assert chain.v
    assert len(table.columns) > 2


def test_vdjdb_with_a_row_for_each_chain(tmp_path: Path) -> None:
    header = "complex.id\tGene\tCDR3\tV\tJ\tSpecies\tMHC A\tEpitope\tReference\n"
    _, layout = open_receptors(write(tmp_path, header))
    assert (layout.format, layout.cell, layout.epitope) == ("VDJdb", (0,), (7,))
    assert layout.one_chain


@pytest.mark.parametrize(
    "header",
    [
        "cdr3b,vb,jb",
        "CDR3_beta;TRBV;TRBJ",
        "CDR3.beta\tV.beta\tJ.beta",
        "TRB_cdr3,TRB_v_gene,TRB_j_gene",
        "cdr3_b_aa,v_b_gene,j_b_gene",
        "B3,TRBV,TRBJ",
        "IR_VDJ_1_junction_aa,IR_VDJ_1_v_call,IR_VDJ_1_j_call",
        '"CDR3B","VB","JB"',
    ],
)
def test_names_of_beta_columns(header: str, tmp_path: Path) -> None:
    _, layout = open_receptors(write(tmp_path, header + "\n"))
    (chain,) = layout.chains
    assert (chain.locus, chain.cdr3, chain.v, chain.j) == ("B", (0,), (1,), (2,))


def test_names_of_a_table_of_one_chain_a_row(tmp_path: Path) -> None:
    header = "cloneCount\tallVHitsWithScore\tallJHitsWithScore\taaSeqCDR3\n"
    _, layout = open_receptors(write(tmp_path, header))
    (chain,) = layout.chains
    assert (chain.locus, chain.cdr3, chain.v, chain.j) == ("", (3,), (1,), (2,))


def test_bytes_before_and_between(tmp_path: Path) -> None:
    plain = list(open_receptors(write(tmp_path, AIRR))[0].rows())
    for text, encoding in (
        (AIRR, "utf-8-sig"),
        (AIRR, "utf-16"),
        (AIRR.replace("\n", "\r\n"), "utf-8"),
        (AIRR.replace("\n", "\n\n"), "utf-8"),
    ):
        table, _ = open_receptors(write(tmp_path, text, encoding))
        assert table.columns[0] == "sequence_id"
        assert [cells for _, cells in table.rows()] == [cells for _, cells in plain]
    path = tmp_path / "t.tsv.gz"
    path.write_bytes(gzip.compress(AIRR.encode()))
    assert list(open_receptors(path)[0].rows()) == plain


def test_latin_1_wherever_it_begins(tmp_path: Path) -> None:
    text = AIRR + "x\tTRBV19\tTRBJ2-7\tCASSIRSSYEQYF\tK\u00f6ln\n"
    table, _ = open_receptors(write(tmp_path, text, "latin-1"))
    assert table.encoding == "latin-1"
    assert list(table.rows())[-1][1][-1] == "K\u00f6ln"
