"""Vectors of molecules and proteins: what is alike lies near, whatever way it is written."""

from __future__ import annotations

import numpy as np
import pytest

from mmtool.errors import InputError, UsageError
from mmtool.models.encoders import molecule, protein
from mmtool.retrieval import StringEncoder

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
INSULIN_A = "GIVEQCCTSICSLYQLENYCN"


@pytest.mark.parametrize(
    ("encoder", "items"),
    [
        (molecule.build(), [ASPIRIN, "C", "[Na+].[Cl-]", "*"]),
        (protein.build(), [INSULIN_A, "A", "XXXX", "MSTBZJUO"]),
    ],
)
def test_vectors_are_of_length_one_and_the_same_alone(
    encoder: StringEncoder, items: list[str]
) -> None:
    together = encoder.encode(items).vectors
    assert together.shape == (len(items), encoder.dim)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for item, row in zip(items, together, strict=True):
        np.testing.assert_array_equal(encoder.encode([item]).vectors[0], row)
    assert encoder.encode([]).vectors.shape == (0, encoder.dim)
    with pytest.raises(UsageError, match="reads no words"):
        encoder.encode_texts(["a nodule"])


def test_two_writings_of_a_molecule_are_one_vector() -> None:
    one, other, salicylic, caffeine = (
        molecule.build()
        .encode(
            [
                ASPIRIN,
                "OC(=O)C1=CC=CC=C1OC(C)=O",
                "OC(=O)c1ccccc1O",
                "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
            ]
        )
        .vectors
    )
    np.testing.assert_array_equal(one, other)
    assert 0.5 < one @ salicylic < 0.95
    assert one @ caffeine < 0.3


def test_the_inner_product_estimates_shared_fragments() -> None:
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(200):
        every = np.unique(rng.integers(0, 1 << 32, 90, np.uint64)).astype(np.uint32)
        rng.shuffle(every)
        first, second = every[:60], every[30:]
        exact = len(np.intersect1d(first, second)) / np.sqrt(len(first) * len(second))
        errors.append(molecule.hashed(first) @ molecule.hashed(second) - exact)
    assert abs(np.mean(errors)) < 0.01
    assert np.std(errors) < 0.05


def test_fragments_that_cancel_each_other_out_leave_one() -> None:
    hashes = np.arange(1, 200_000, dtype=np.uint32)
    mixed = hashes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    places = (mixed >> np.uint64(40)).astype(np.int64) % 1024
    up = ((mixed >> np.uint64(39)) & np.uint64(1)).astype(bool)
    pair = np.array([hashes[up & (places == 5)][0], hashes[~up & (places == 5)][0]])
    assert np.abs(molecule.hashed(pair)).tolist() == [float(k == 5) for k in range(1024)]


@pytest.mark.parametrize("smiles", ["", "C1CC", "not one", "C" * 5001])
def test_what_is_no_molecule(smiles: str) -> None:
    with pytest.raises(InputError, match="SMILES"):
        molecule.build().encode([smiles])


def test_relatives_of_a_protein_are_near() -> None:
    rng = np.random.default_rng(0)
    letters = "ACDEFGHIKLMNPQRSTVWY"
    own = "".join(rng.choice(list(letters), 120))
    changed = own[:50] + "GGGG" + own[54:]
    stranger = "".join(rng.choice(list(letters), 120))
    alike = own.replace("L", "I").replace("K", "R")
    first, second, third, fourth = protein.build().encode([own, changed, stranger, alike]).vectors
    assert first @ second > 0.9 > 0.5 > first @ third
    np.testing.assert_allclose(first @ fourth, 1, atol=1e-6)
    with pytest.raises(InputError):
        protein.build().encode(["Mäh"])
