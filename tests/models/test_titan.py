"""TITAN's network: padding, pairing and dropout change nothing that they should not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtool.models.tcr.domain import beta_domain, j_part, v_part
from mmtool.models.tcr.smiles_tokens import (
    START,
    STOP,
    UNKNOWN,
    is_atom,
    smiles_tokens,
    token_numbers,
)
from mmtool.models.tcr.titan import Titan, TitanSize
from mmtool.models.tcr.titan_input import (
    DOMAIN_LENGTH,
    V_PLACES,
    epitope_length,
    epitope_letters,
    epitope_numbers,
    padded,
    peptide_smiles,
    random_smiles,
    receptor_codes,
    residue_features,
)
from mmtool.receptors import AMINO_ACIDS, Receptor

PEPTIDES = ("GILGFVFTL", "NLVPMVATVWW")
WHOLE = Receptor(v_b="TRBV7-6*01", j_b="TRBJ2-1*01", cdr3_b="CASSLNPGRSDSPLHF")
RECEPTORS = (WHOLE, Receptor(v_b="TRBV20-1", cdr3_b="CSARDRTGNGYTF"), Receptor(cdr3_b="CASSF"))


@pytest.fixture
def network() -> Titan:
    torch.manual_seed(0)
    size = TitanSize(epitope_letters("smiles"), DOMAIN_LENGTH, epitope_length("smiles"), filters=4)
    net = Titan(size)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return net.eval()


def _tokens(*peptides: str) -> torch.Tensor:
    return padded([epitope_numbers(peptide_smiles(p), "smiles") for p in peptides])


def test_a_pair_does_not_depend_on_what_stands_beside_it(network: Titan) -> None:
    receptors = network.encode_receptors(receptor_codes(RECEPTORS, "domain"))
    epitopes = network.encode_epitopes(_tokens(*PEPTIDES))
    first, second = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 0, 1])
    together = network(receptors.take(first), epitopes.take(second))
    assert together.logit.std() > 0
    for row, (r, e) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        alone = network(
            network.encode_receptors(receptor_codes([RECEPTORS[r]], "domain")),
            network.encode_epitopes(_tokens(PEPTIDES[e])),
        )
        torch.testing.assert_close(alone.logit[0], together.logit[row])
        n = alone.epitope.shape[1]
        torch.testing.assert_close(alone.epitope[0], together.epitope[row, :n])
        assert together.epitope[row, n:].abs().sum() == 0


def test_attention_is_a_share_of_the_real_tokens(network: Titan) -> None:
    codes = receptor_codes(RECEPTORS, "domain")
    epitopes = network.encode_epitopes(_tokens(PEPTIDES[0])).take(torch.zeros(3, dtype=torch.long))
    pairs = network(network.encode_receptors(codes), epitopes)
    torch.testing.assert_close(pairs.receptor.sum(1), torch.ones(3))
    assert (pairs.receptor[codes == 0] == 0).all()
    assert (pairs.receptor[codes != 0] > 0).all()


def test_dropped_channels_are_the_same_for_all_rows_and_calls(network: Titan) -> None:
    def score(rows: list[int]) -> torch.Tensor:
        codes = receptor_codes([RECEPTORS[r] for r in rows], "domain")
        epitope = network.encode_epitopes(_tokens(PEPTIDES[0]))
        zeros = torch.zeros(len(rows), dtype=torch.long)
        return network(network.encode_receptors(codes), epitope.take(zeros)).logit

    whole = score([0])
    network.sample_dropout(torch.Generator().manual_seed(1))
    together = score([0, 1, 2])
    torch.testing.assert_close(together, torch.cat([score([r]) for r in range(3)]))
    network.sample_dropout(torch.Generator().manual_seed(2))
    assert (score([0]) - together[0]).abs() > 1e-6
    network.sample_dropout(None)
    torch.testing.assert_close(score([0]), whole, rtol=0, atol=0)
    assert (together[0] - whole[0]).abs() > 1e-6


def test_freeing_goes_from_the_output_backwards(network: Titan) -> None:
    dense = len(list(network.dense.parameters()))
    network.free(dense + 2)
    free = {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad}
    assert free == {"dense", "receptor"}
    assert sum(p.requires_grad for p in network.parameters()) == dense + 2
    network.free(10_000)
    assert all(p.requires_grad for p in network.parameters())


def test_the_domain_is_the_germline_with_the_junction_in_it() -> None:
    letters = "".join(x for _, x in beta_domain(WHOLE))
    # IMGT's TRBV7-6*01 up to the cysteine 104, the junction, TRBJ2-1*01 behind its F 118.
    assert letters == (
        "GAGVSQSPRYKVTKRGQDVALRCDPISGHVSLYWYRQALGQGPEFLTYFNYEAQQDKSGLPNDRFSAERPEGSISTLTIQRTEQRDSAMYR"
        "CASSLNPGRSDSPLHF"
        "GPGTRLTVL"
    )
    assert [name for name, _ in beta_domain(WHOLE)] == [
        *("FR1", "CDR1", "FR2", "CDR2", "FR3", "CDR3", "FR4")
    ]
    assert beta_domain(RECEPTORS[2]) == (("CDR3", "CASSF"),)
    assert beta_domain(Receptor(cdr3_a="CAVF")) == ()
    assert v_part("TRBV99-1") == ()
    assert j_part("TRBJ9-9") == ""


def test_junctions_begin_in_one_place() -> None:
    codes = receptor_codes(RECEPTORS, "domain")
    cysteine = STOP + 1 + AMINO_ACIDS.index("C")
    assert codes[:, V_PLACES].tolist() == [cysteine] * 3
    assert codes[2, V_PLACES - 1] == START
    assert int((codes[2] != 0).sum()) == len("CASSF") + 2


def test_residues_are_rows_of_blosum() -> None:
    table = residue_features()
    assert table.shape == (STOP + 1 + 20, 26)
    assert table[0].abs().sum() == 0
    tryptophan = table[STOP + 1 + AMINO_ACIDS.index("W")]
    assert tryptophan.max() == 11 / 4


@settings(max_examples=25, deadline=None)
@given(st.text(AMINO_ACIDS, min_size=7, max_size=15), st.integers(0, 1000))
def test_random_spellings_are_the_same_molecule(peptide: str, seed: int) -> None:
    from rdkit import Chem

    spelled = random_smiles(peptide, 4, seed)
    assert {Chem.CanonSmiles(s) for s in spelled} == {peptide_smiles(peptide)}
    assert spelled == random_smiles(peptide, 4, seed)
    molecule = Chem.MolFromSmiles(spelled[0])
    atoms = [t for t in smiles_tokens(spelled[0]) if is_atom(t)]
    assert len(atoms) == molecule.GetNumAtoms()
    assert UNKNOWN not in token_numbers(smiles_tokens(spelled[0]))


def test_tokens_of_a_smiles() -> None:
    assert smiles_tokens("ClC%10[nH]Br=1") == ["Cl", "C", "%10", "[nH]", "Br", "=", "1"]
    assert token_numbers(["[Fe]"]) == [START, UNKNOWN, STOP]
    with pytest.raises(ValueError, match="not a SMILES"):
        smiles_tokens("C?C")
