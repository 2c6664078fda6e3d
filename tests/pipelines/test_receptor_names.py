"""Names of genes and junctions as people write them; each change is told."""

from __future__ import annotations

import pytest

from mmtool.pipelines.receptor_names import RawChain, clean_chain, clean_gene, clean_junction


@pytest.mark.parametrize(
    ("name", "locus", "letter", "gene"),
    [
        ("TRBV19*01", "B", "V", "TRBV19*01"),
        ("TCRBV06-02*01", "B", "V", "TRBV6-2*01"),
        ("TCRBV20-or09_02", "B", "V", "TRBV20/OR9-2"),
        ("TCRBV06-02/06-03*01", "B", "V", "TRBV6-2"),
        ("TRBV6-2*00(1234.5),TRBV6-3*00(1200)", "B", "V", "TRBV6-2"),
        ("TRBV6-2*01 or TRBV6-3*01", "B", "V", "TRBV6-2*01"),
        ("Homsap TRBV7-2*01 F, or Homsap TRBV7-2*02 F", "B", "V", "TRBV7-2*01"),
        ("TRAV38-2DV8", "A", "V", "TRAV38-2/DV8"),
        ("TRAV29/DV5*01", "A", "V", "TRAV29/DV5*01"),
        ("TRBV1", "B", "V", "TRBV1"),  # a pseudogene, kept
        ("TRBV6-2*99", "B", "V", "TRBV6-2"),
        ("TCRBV29", "B", "V", "TRBV29-1"),  # a family of one gene
        ("TCRBV06", "B", "V", ""),  # a family of many
        ("TRAV27", "B", "V", ""),
        ("TRBJ2-7", "B", "V", ""),
        ("nonsense", "B", "V", ""),
    ],
)
def test_genes(name: str, locus: str, letter: str, gene: str) -> None:
    found, change = clean_gene(name, locus, letter)
    assert found == gene
    assert (change is None) == (found == name)
    if change:
        assert change.text.startswith(name[:30])
        assert ("left out" in change.text) == (not gene)


def test_no_gene_is_no_change() -> None:
    assert all(clean_gene(t, "B", "V") == ("", None) for t in ("", "NA", "unresolved", "None"))


@pytest.mark.parametrize(
    ("text", "j", "whole"),
    [
        ("CASSIRSSYEQYF", "", "CASSIRSSYEQYF"),
        ("cassirssyeqyf", "", "CASSIRSSYEQYF"),
        ("ASSIRSSYEQY", "TRBJ2-7", "CASSIRSSYEQYF"),
        ("ASSIRSSYEQYF", "TRBJ2-7*01", "CASSIRSSYEQYF"),
        ("CASSIRSSYEQY", "", "CASSIRSSYEQYF"),
        ("ASSLGTEAF", "TRBJ1-1", "CASSLGTEAFF"),  # the F is not yet the anchor
        ("AGAGSNYQLI", "TRAJ33", "CAGAGSNYQLIW"),
        ("CAGNVLHC", "TRAJ35", "CAGNVLHC"),
    ],
)
def test_junctions_get_their_anchors(text: str, j: str, whole: str) -> None:
    found, reason, changes = clean_junction(text, j)
    assert (found, reason) == (whole, "")
    assert bool(changes) == (text != whole)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("CASSIR*SYEQYF", "stop codon"),
        ("CASS_YEQYF", "out of frame"),
        ("CASSXRSSYEQYF", "unknown residue X"),
        ("CASS1EQYF", "'1' is no amino acid"),
        ("", "no junction"),
        ("CTF", "junction of 3 residues, 6 to 32 are known"),
        ("C" * 33, "junction of 33 residues, at most 32 are known"),
        ("A" * 32, "junction of 34 residues, 6 to 32 are known"),
    ],
)
def test_junctions_that_cannot_be_used(text: str, reason: str) -> None:
    found, why, _ = clean_junction(text, "")
    assert (found, why) == ("", reason)


@pytest.mark.parametrize(
    ("chain", "locus", "reason"),
    [
        (RawChain("TRB", "", "", "CASSIRSSYEQYF"), "B", ""),
        (RawChain("alpha", "", "", "CAGAGSQGNLIF"), "A", ""),
        (RawChain("", "TRAV27", "", "CAGAGSQGNLIF"), "A", ""),
        (RawChain("", "", "TRAJ42", "CAGAGSQGNLIF"), "A", ""),
        (RawChain("", "", "", "CASSIRSSYEQYF"), "B", ""),
        (RawChain("TRG", "TRGV9", "", "CALWEVF"), "", "gamma-delta receptor"),
        (RawChain("", "TRDV2", "TRDJ1", "CACDTLLGDTF"), "", "gamma-delta receptor"),
        (RawChain("IGH", "IGHV1-2", "", "CARDYW"), "", "no alpha or beta chain"),
        (RawChain("", "IGHV1-2", "", "CARDYW"), "", "no alpha or beta chain"),
    ],
)
def test_the_chain_is_stated_or_follows_from_the_genes(
    chain: RawChain, locus: str, reason: str
) -> None:
    found = clean_chain(chain)
    assert (found.locus, found.reason) == (locus, reason)


def test_changes_name_their_column() -> None:
    found = clean_chain(RawChain("", "TCRBV19", "x", "assirssyeqy", "vGeneName", "jn", "aminoAcid"))
    assert [c.text for c in found.changes] == [
        "vGeneName: TCRBV19 -> TRBV19",
        "jn: x left out (no human gene of this name)",
        "aminoAcid: assirssyeqy -> ASSIRSSYEQY",
        "aminoAcid: ASSIRSSYEQY -> CASSIRSSYEQYF",
    ]


NUCLEOTIDES = "TGTGCCAGCAGTATTAGGTCTTCGTACGAGCAGTACTTC"


@pytest.mark.parametrize(
    ("text", "cdr3", "reason"),
    [
        (NUCLEOTIDES, "CASSIRSSYEQYF", ""),
        (NUCLEOTIDES.lower(), "CASSIRSSYEQYF", ""),
        (NUCLEOTIDES[3:-3], "CASSIRSSYEQYF", ""),  # between the anchors
        (NUCLEOTIDES + "A", "", "out of frame"),
        (NUCLEOTIDES.replace("AGCAGT", "AGCTAA"), "", "stop codon"),
        (NUCLEOTIDES.replace("AGCAGT", "AGCNNN"), "", "unknown residue X"),
        (NUCLEOTIDES * 4, "", "junction of 52 residues, at most 32 are known"),
        ("TGTGCCTTC", "", "junction of 3 residues, 6 to 32 are known"),
    ],
)
def test_a_junction_of_nucleotides_is_translated(text: str, cdr3: str, reason: str) -> None:
    found = clean_chain(RawChain("B", "TRBV19", "TRBJ2-7", text, cdr3_name="junction"))
    assert (found.cdr3, found.reason) == (cdr3, reason)
    if cdr3:
        assert found.changes[0].kind == "translated"
        assert f"{len(text)} nucleotides" in found.changes[0].text
