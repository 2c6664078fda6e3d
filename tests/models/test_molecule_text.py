"""Molecules and words in one space: the same however written, alone or together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rdkit import Chem

from mmtool.errors import InputError
from mmtool.models.encoders.molecule_features import ATOM, BOND, Graph, count_names, described
from mmtool.models.encoders.molecule_graph import GraphNet, together
from mmtool.models.encoders.molecule_text import MoleculeText, MoleculeTextNet, MoleculeTextSize
from mmtool.models.encoders.molecule_words import BUCKETS, bags

MOLECULES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "C",
    "[Na+].[Cl-]",
    "CC[C@H](C)[C@H](N)C(=O)O",
    r"CCCCC/C=C\C/C=C\CCCCCCCC(=O)O",
    "CC(=CCC1=CC2=C(C=C1OC)OC[C@@]3([C@H]2OC4=C3C=CC(=C4)O)O)C",
    "*",
]
TEXTS = ["The molecule is a fatty acid.", "", "It has a role as a plant metabolite (5-)."]


@pytest.fixture(scope="module")
def encoder() -> MoleculeText:
    """Weights as they fall: all of its parts take a share."""
    torch.manual_seed(0)
    net = MoleculeTextNet(MoleculeTextSize(dim=24, width=16), len(count_names()))
    net.gate.data.fill_(1.0)
    return MoleculeText(net, count_names(), "random", "")


def test_one_molecule_is_one_vector_however_it_is_written(encoder: MoleculeText) -> None:
    for smiles in MOLECULES:
        molecule = Chem.MolFromSmiles(smiles)
        draw = np.random.default_rng(0)
        order = draw.permutation(molecule.GetNumAtoms()).tolist()
        shuffled = Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False)
        written = Chem.MolToRandomSmilesVect(molecule, 3, randomSeed=1)
        found = encoder.encode([smiles, shuffled, *written]).vectors
        np.testing.assert_array_equal(found, np.repeat(found[:1], len(found), 0))


def test_atoms_have_no_order() -> None:
    torch.manual_seed(0)
    net = GraphNet(16, 3, 8, 0.0).double()
    graph = described(MOLECULES[0], []).graph
    order = np.random.default_rng(0).permutation(len(graph.atoms))
    back = np.argsort(order)
    mixed = Graph(graph.atoms[order], back[graph.ends], graph.bonds)

    def of(one: Graph) -> torch.Tensor:
        all_of = together([one])
        return net(all_of._replace(atoms=all_of.atoms.double(), bonds=all_of.bonds.double()))

    torch.testing.assert_close(of(graph), of(mixed), rtol=1e-10, atol=1e-10)


def test_alone_or_together(encoder: MoleculeText) -> None:
    for encode, items in ((encoder.encode, MOLECULES), (encoder.encode_texts, TEXTS)):
        every = encode(items).vectors
        assert every.shape == (len(items), encoder.dim)
        assert every.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(every, axis=1), 1, atol=1e-5)
        alone = np.concatenate([encode([item]).vectors for item in items])
        np.testing.assert_allclose(alone, every, atol=1e-5)
        assert encode([]).vectors.shape == (0, encoder.dim)


def test_hands_and_charges_are_told_apart(encoder: MoleculeText) -> None:
    pairs = [
        ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"),
        ("CC(=O)O", "CC(=O)[O-]"),
        (r"C/C=C\C", "C/C=C/C"),
    ]
    for one, other in pairs:
        first, second = encoder.encode([one, other]).vectors
        assert np.abs(first - second).max() > 1e-3


def test_what_cannot_be_read_is_refused(encoder: MoleculeText) -> None:
    for smiles in ("", "broken", "C1CC", "C" * 6000):
        with pytest.raises(InputError, match="can't be read"):
            encoder.encode([smiles])


def test_what_a_molecule_is_described_by() -> None:
    names = ["fr_COO", "charge", "O", "NumAromaticRings", "stereocentres"]
    found = described("[O-]C(=O)c1ccccc1", names)
    expected = np.log1p([1, 1, 2, 1, 0]) * [1, -1, 1, 1, 1]
    np.testing.assert_allclose(found.counts, expected, rtol=1e-6)
    assert found.graph.atoms.shape == (9, ATOM)
    assert found.graph.bonds.shape == (18, BOND)
    assert found.graph.atoms[:, :15].sum() == 9  # each atom is one of the elements
    assert (found.graph.bonds[:, 3] == 1).sum() == 12  # aromatic, both ways


def test_words_are_counted_with_their_letters() -> None:
    one, other, twice = bags(["hydroxy acid", "Hydroxy-acid", "acid acid"])
    np.testing.assert_array_equal(one, other)
    assert one.shape == (BUCKETS,)
    part = bags(["acid"])[0]
    np.testing.assert_allclose(twice, part * (1 + np.log(2)), rtol=1e-6)
    assert one.sum() > part.sum() > 0
