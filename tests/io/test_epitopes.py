"""Epitopes as letters, FASTA, lists and SMILES."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from mmtool.errors import InputError
from mmtool.io.peptide_smiles import read_peptide_smiles
from mmtool.io.readers.epitopes import Epitope, parse_epitope, read_epitopes
from mmtool.receptors import AMINO_ACIDS


@given(st.text(AMINO_ACIDS, min_size=2, max_size=12), st.booleans())
def test_smiles_of_any_peptide_come_back_as_its_letters(letters: str, from_the_end: bool) -> None:
    molecule = Chem.MolFromSequence(letters)
    root = molecule.GetNumAtoms() - 1 if from_the_end else -1
    smiles = Chem.MolToSmiles(molecule, rootedAtAtom=root)
    read = read_peptide_smiles(smiles)
    assert (read.sequence, read.notes) == (letters, ())


@pytest.mark.parametrize(
    ("smiles", "sequence", "note"),
    [
        ("NCC(=O)N[C@@H](COP(=O)(O)O)C(=O)O", "GS", "residue 2: modified, read as S"),
        ("NCC(=O)N[C@H](C)C(=O)O", "GA", "residue 2: D-amino acid, read as A"),
        ("NCC(=O)NC(CCCNC(=O)N)C(=O)O", "GR", "residue 2: citrulline, read as R"),
        ("NCC(=O)NC(CCCC)C(=O)O", "GM", "residue 2: norleucine, read as M"),
        ("NCC(=O)N1CC(O)CC1C(=O)O", "GP", "residue 2: modified, read as P"),
        ("CC(=O)NCC(=O)NC(C)C(=O)O", "GA", "the amino end is modified"),
        ("NCC(=O)NC(C)C(=O)N", "GA", "the carboxyl end is modified"),
        ("NCC(=O)N(C)C(C)C(=O)O", "GA", "residue 2: its nitrogen is modified"),
        ("NC(CSSCC(N)C(=O)O)C(=O)NCC(=O)O", "CG", "residue 1: modified, read as C"),
        ("NCC(=O)NC(C)C(=O)O.Cl", "GA", "other molecules beside the peptide are left out"),
    ],
)
def test_what_the_letters_do_not_tell_is_noted(smiles: str, sequence: str, note: str) -> None:
    read = read_peptide_smiles(smiles)
    assert (read.sequence, read.notes) == (sequence, (note,))


def test_charges_and_tautomers_are_no_modifications() -> None:
    for smiles, letters in (
        ("[NH3+]CC(=O)N[C@@H](CC(=O)[O-])C(=O)[O-]", "GD"),
        ("NCC(=O)N[C@@H](CCCN=C(N)N)C(=O)O", "GR"),
        ("NCC(=O)N[C@@H](CCCNC(N)=[NH2+])C(=O)O", "GR"),
        ("NCC(=O)N[C@@H](Cc1c[nH]cn1)C(=O)O", "GH"),
        ("NCC(=O)N[C@@H](Cc1cnc[nH]1)C(=O)O", "GH"),
    ):
        assert read_peptide_smiles(smiles).sequence == letters
        assert not read_peptide_smiles(smiles).notes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("c1ccccc1", "no peptide"),
        ("NCC(=O)O", "no peptide"),
        ("xx(", "not a valid SMILES"),
        ("C" * 5001 + "(C)", "not a valid SMILES"),
        ("C1C(=O)NCC(=O)N1", "cyclic"),
        ("NCC(=O)NC(CC)C(=O)O", "residue 2 comes from none"),
        ("NC1CSSCC(C(=O)O)NC1=O", "residue 1 is linked to another one"),
        ("NCC(=O)NC(CCCCNC(=O)CNC(=O)CN)C(=O)O", "branched"),
        ("GILXFVFTL", "'X' is no amino acid"),
        ("", "empty"),
    ],
)
def test_what_is_no_peptide_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        parse_epitope(text)
    assert error.value.hint


def test_letters_of_any_case_are_a_peptide() -> None:
    assert parse_epitope(" gilgfvftl ") == Epitope("GILGFVFTL")
    assert parse_epitope("CCC").given == "peptide"


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_text(">flu M1\nGILG\nFVFTL\n>cmv\nNLVPMVATV\n")
    assert read_epitopes(path) == [Epitope("GILGFVFTL", "flu M1"), Epitope("NLVPMVATV", "cmv")]
    path.write_bytes(b"\xef\xbb\xbf# mine\r\nGILGFVFTL flu\r\n\r\nNCC(=O)NC(C)C(=O)O\tga\r\n")
    assert read_epitopes(path) == [
        Epitope("GILGFVFTL", "flu"),
        Epitope("GA", "ga", "SMILES"),
    ]
    path.write_text("GILGFVFTL\nGIL1\n")
    with pytest.raises(InputError, match=r"entry 2: epitope GIL1: not a valid SMILES"):
        read_epitopes(path)
    path.write_text("# nothing\n")
    with pytest.raises(InputError, match="no epitopes"):
        read_epitopes(path)
