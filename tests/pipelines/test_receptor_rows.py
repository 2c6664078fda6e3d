"""Rows become receptors; cells become pairs; nothing is dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmtool.errors import InputError
from mmtool.pipelines.receptor_rows import ReceptorTable, Row
from mmtool.receptors import Receptor

PAIR = Receptor("TRAV27", "TRAJ42", "CAGAGSQGNLIF", "TRBV19", "TRBJ2-7", "CASSIRSSYEQYF")


def read(folder: Path, text: str) -> tuple[ReceptorTable, list[Row]]:
    path = folder / "table"
    path.write_text(text)
    table = ReceptorTable.open(path)
    return table, list(table.rows())


def test_contigs_of_a_barcode_are_a_receptor(tmp_path: Path) -> None:
    head = "barcode,is_cell,high_confidence,chain,v_gene,j_gene,full_length,productive,cdr3,umis\n"
    table, rows = read(
        tmp_path,
        head
        + "AA-1,True,True,TRA,TRAV27,TRAJ42,True,True,CAGAGSQGNLIF,5\n"
        + "AA-1,True,True,TRB,TRBV6-5,TRBJ2-7,True,True,CASSYEQYF,2\n"
        + "AA-1,True,True,TRB,TRBV19,TRBJ2-7,True,True,CASSIRSSYEQYF,9\n"
        + "AA-1,True,True,TRB,TRBV19,TRBJ2-7,False,True,CASSIRSAYEQYF,99\n"
        + "AA-1,True,True,TRB,TRBV19,,True,False,CASSIRSAYEQYF,99\n"
        + "AA-1,True,True,Multi,TRBV19,,True,True,CASSIRSAYEQYF,99\n"
        + "BB-1,True,True,TRB,TRBV19,TRBJ2-7,True,True,CASSIRSSYEQYF,1\n",
    )
    assert [r.receptor for r in rows[:4]] == [PAIR] * 4
    assert [r.reason for r in rows[4:6]] == ["not productive", "contig of several chains"]
    assert rows[6].receptor == Receptor(v_b="TRBV19", j_b="TRBJ2-7", cdr3_b="CASSIRSSYEQYF")
    told = [r.changes[-1].text for r in (rows[1], rows[3])]
    assert told == ["cell: another TRB chain of it was taken"] * 2
    assert not rows[2].changes
    assert "1 of 2 cells have both chains" in table.notes
    assert any(note.startswith("1 cells have several chains") for note in table.notes)


def test_cells_of_airr_and_complexes_of_vdjdb(tmp_path: Path) -> None:
    airr = "cell_id\tlocus\tv_call\tj_call\tjunction_aa\n"
    airr += "c1\tTRB\tTRBV19\tTRBJ2-7\tCASSIRSSYEQYF\n\tTRB\tTRBV19\t\tCASSIRSAYEQYF\n"
    airr += "c1\tTRA\tTRAV27\tTRAJ42\tCAGAGSQGNLIF\n"
    _, rows = read(tmp_path, airr)
    assert [rows[0].receptor, rows[2].receptor] == [PAIR, PAIR]
    assert rows[1].receptor == Receptor(v_b="TRBV19", cdr3_b="CASSIRSAYEQYF")
    vdjdb = "complex.id\tGene\tCDR3\tV\tJ\tSpecies\tEpitope\n"
    vdjdb += "7\tTRA\tCAGAGSQGNLIF\tTRAV27\tTRAJ42\tHomoSapiens\tGILGFVFTL\n"
    vdjdb += "7\tTRB\tCASSIRSSYEQYF\tTRBV19\tTRBJ2-7\tHomoSapiens\tGILGFVFTL\n"
    vdjdb += "0\tTRB\tCASSIRSSYEQYF\tTRBV19\tTRBJ2-7\tHomoSapiens\tGILGFVFTL\n"
    vdjdb += "0\tTRA\tCAGAGSQGNLIF\tTRAV27\tTRAJ42\tMusMusculus\tGILGFVFTL\n"
    _, rows = read(tmp_path, vdjdb)
    assert [r.receptor for r in rows[:2]] == [PAIR, PAIR]
    assert not rows[2].receptor.cdr3_a
    assert rows[3].reason == "not human (MusMusculus)"


def test_two_chains_a_row(tmp_path: Path) -> None:
    head = "CDR3.alpha.aa,CDR3.beta.aa,Species,Epitope.peptide,TRAV,TRAJ,TRBV,TRBJ\n"
    _, rows = read(
        tmp_path,
        head
        + "CAGAGSQGNLIF,CASSIRSSYEQYF,Human,GILGFVFTL,TRAV27,TRAJ42,TRBV19,TRBJ2-7\n"
        + "NA,CASSIRSSYEQYF,Human,GILGFVFTL,NA,NA,TRBV19:01,TRBJ2-7\n"
        + "CAG*F,CASSIRSSYEQYF,Human,x,,,,\n"
        + "NA,,Human,x,TRAV27,,,\n"
        + "NA,CASS*F,Human,x,,,,\n"
        + "CAGAGSQGNLIF,CASSIRSSYEQYF,Mouse,x,,,,\n",
    )
    assert rows[0].receptor == PAIR
    assert rows[2].receptor == Receptor(cdr3_b="CASSIRSSYEQYF")
    assert rows[2].changes[-1].text == "alpha chain left out: stop codon"
    reasons = [r.reason for r in rows]
    assert reasons == ["", "", "", "no junction", "stop codon", "not human (Mouse)"]


def test_the_iedbs_two_lines_of_header(tmp_path: Path) -> None:
    head = "Receptor,Epitope,Chain 1,Chain 1,Chain 1,Chain 1,Chain 2,Chain 2,Chain 2\n"
    head += (
        "Type,Name,Type,Organism IRI,Calculated V Gene,CDR3 Calculated,Type,Junction Calculated,"
    )
    head += "CDR3 Curated\n"
    human, mouse = (f"http://purl.obolibrary.org/obo/NCBITaxon_{n}" for n in (9606, 10090))
    table, rows = read(
        tmp_path,
        head
        + f"alphabeta,GILGFVFTL,alpha,{human},TRAV27*01,AGAGSQGNLI,beta,CASSIRSSYEQYF,x\n"
        + f"alphabeta,GILGFVFTL,beta,{human},TRBV19*01,ASSIRSSYEQY,alpha,,CAGAGSQGNLIF\n"
        + f"alphabeta,GILGFVFTL,beta,{mouse},TRBV19*01,ASSIRSSYEQY,alpha,,CAGAGSQGNLIF\n"
        + f"gammadelta,GILGFVFTL,gamma,{human},TRGV9*01,ALWEV,delta,,CACDTLLGDTF\n",
    )
    assert table.layout.format == "IEDB receptors"
    assert table.text.columns[5] == "Chain 1 - CDR3 Calculated"
    pair = Receptor(v_a="TRAV27*01", cdr3_a="CAGAGSQGNLIF", cdr3_b="CASSIRSSYEQYF")
    assert rows[0].receptor == pair
    turned = Receptor(v_b="TRBV19*01", cdr3_a="CAGAGSQGNLIF", cdr3_b="CASSIRSSYEQYF")
    assert rows[1].receptor == turned
    assert rows[2].reason.startswith("not human")
    assert rows[3].reason == "gamma-delta receptor"


def test_adaptive(tmp_path: Path) -> None:
    head = "nucleotide\taminoAcid\tvMaxResolved\tvGeneName\tjGeneName\tsequenceStatus\n"
    _, rows = read(
        tmp_path,
        head
        + "A\tCASSIRSSYEQYF\tTCRBV19-01*01\tTCRBV19-01\tTCRBJ02-07\tIn\n"
        + "A\tCASSIRSSYEQYF\tTCRBV06\tunresolved\tTCRBJ02-07\tIn\n"
        + "A\t\tTCRBV19-01\tTCRBV19-01\tTCRBJ02-07\tOut\n"
        + "A\tCASS*SYEQYF\tTCRBV19-01\tTCRBV19-01\tTCRBJ02-07\tStop\n",
    )
    assert rows[0].receptor == Receptor(v_b="TRBV19", j_b="TRBJ2-7", cdr3_b="CASSIRSSYEQYF")
    assert rows[1].receptor.v_b == ""
    assert [r.reason for r in rows[2:]] == ["out of frame", "stop codon"]


def test_flags_of_airr_and_short_rows(tmp_path: Path) -> None:
    _, rows = read(
        tmp_path,
        "v_call\tjunction_aa\tproductive\tstop_codon\tcdr3_aa\n"
        "TRBV19\tCASSIRSSYEQYF\tF\tF\n"
        "TRBV19\tCASSIRSSYEQYF\tT\tT\t\n"
        "TRBV19\t\tT\tF\tASSIRSSYEQYF\n",
    )
    assert [r.reason for r in rows] == ["not productive", "stop codon", ""]
    assert rows[0].cells == ["TRBV19", "CASSIRSSYEQYF", "F", "F", ""]
    assert rows[0].changes[-1].text == "row: 4 of 5 cells"
    assert rows[2].receptor.cdr3_b == "CASSIRSSYEQYF"


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rows under the header"):
        read(tmp_path, "v_call\tjunction_aa\n")


def test_an_airr_table_of_nucleotides_alone(tmp_path: Path) -> None:
    path = tmp_path / "airr.tsv"
    junction = "TGTGCCAGCAGTATTAGGTCTTCGTACGAGCAGTACTTC"
    path.write_text(
        f"sequence_id\tv_call\tj_call\tjunction\na\tTRBV19*01\tTRBJ2-7*01\t{junction}\n"
        f"b\tTRBV19*01\tTRBJ2-7*01\t{junction}A\n"
    )
    table = ReceptorTable.open(path)
    first, second = table.rows()
    assert table.notes == ["read as AIRR Rearrangement"]
    assert first.receptor.cdr3_b == "CASSIRSSYEQYF"
    assert any("junction: 39 nucleotides" in change.text for change in first.changes)
    assert second.reason == "out of frame"
    path.write_text(
        path.read_text()
        .replace("junction\n", "junction\tjunction_aa\n", 1)
        .replace("TTC\n", "TTC\tCASSLLLYEQYF\n", 1)
    )
    first, _ = ReceptorTable.open(path).rows()
    assert first.receptor.cdr3_b == "CASSLLLYEQYF"
