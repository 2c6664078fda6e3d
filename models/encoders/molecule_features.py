"""What a molecule is described by: its graph of atoms and bonds, its fragments, and counts.

All is read off the molecule's canonical SMILES, so that one molecule written in two ways has one
description, down to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError

MOST_LETTERS = 5_000  # of a SMILES, as in the readers
FRAGMENTS = 2048  # buckets of circular fragments
_RADIUS = 2
_MIX = np.uint64(0x9E3779B97F4A7C15)  # an odd number: spreads the fragments' own 32-bit hashes

_ELEMENTS = ("C", "N", "O", "P", "S", "F", "Cl", "Br", "I", "H", "Na", "K", "Si", "Se", "B")
_DEGREES, _HYDROGENS, _CHARGES, _ORBITALS = range(5), range(4), (-1, 0, 1), (1, 2, 3, 4)
_FLAGS = 5  # other element, aromatic, in a ring, R, S
ATOM = len(_ELEMENTS) + len(_DEGREES) + len(_HYDROGENS) + len(_CHARGES) + len(_ORBITALS) + _FLAGS
BOND = 8  # single, double, triple, aromatic, conjugated, in a ring, E, Z

_COUNTED = (
    "HeavyAtomCount",
    "NHOHCount",
    "NOCount",
    "NumHAcceptors",
    "NumHDonors",
    "NumHeteroatoms",
    "NumRotatableBonds",
    "NumAliphaticCarbocycles",
    "NumAliphaticHeterocycles",
    "NumAliphaticRings",
    "NumAromaticCarbocycles",
    "NumAromaticHeterocycles",
    "NumAromaticRings",
    "NumSaturatedCarbocycles",
    "NumSaturatedHeterocycles",
    "NumSaturatedRings",
    "RingCount",
    "FractionCSP3",
    "TPSA",
    "MolLogP",
    "MolWt",
)
_OWN = ("charge", "cations", "anions", "stereocentres", "pieces")


@dataclass(frozen=True)
class Graph:
    """Atoms and bonds of one molecule.

    Attributes:
        atoms: (A, ATOM) float32.
        ends: (2, 2B) int64: from and to which atom, each bond in both directions.
        bonds: (2B, BOND) float32.
    """

    atoms: NDArray[np.float32]
    ends: NDArray[np.int64]
    bonds: NDArray[np.float32]


@dataclass(frozen=True)
class Described:
    """One molecule.

    Attributes:
        graph: Of its atoms.
        fragments: (FRAGMENTS,) float32: sum of log(1 + how often) with each fragment's sign.
        counts: (K,) float32 by the names of `count_names`, each as sign(x) log(1 + |x|).
    """

    graph: Graph
    fragments: NDArray[np.float32]
    counts: NDArray[np.float32]


def count_names() -> list[str]:
    """Names of all counts: functional groups, sizes, elements, charges."""
    from rdkit.Chem import Descriptors

    groups = sorted(name for name, _ in Descriptors.descList if name.startswith("fr_"))
    return [*groups, *_COUNTED, *_OWN, *_ELEMENTS]


def described(smiles: str, names: list[str]) -> Described:
    """A molecule by its SMILES, with the counts of some names.

    Raises:
        InputError: It can't be read.
    """
    molecule = _read(smiles)
    return Described(_graph(molecule), _fragments(molecule), _counts(molecule, names))


def _read(smiles: str) -> Any:
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    molecule = Chem.MolFromSmiles(smiles) if 0 < len(smiles) <= MOST_LETTERS else None
    if molecule is not None:
        molecule = Chem.MolFromSmiles(Chem.MolToSmiles(molecule))
    if molecule is None or not molecule.GetNumAtoms():
        raise InputError("a SMILES that can't be read", "is it another column?")
    return molecule


def _graph(molecule: Any) -> Graph:
    atoms = np.array([_atom(atom) for atom in molecule.GetAtoms()], np.float32)
    ends, bonds = [], []
    for bond in molecule.GetBonds():
        pair = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        ends += [pair, pair[::-1]]
        bonds += [_bond(bond)] * 2
    return Graph(
        atoms,
        np.array(ends, np.int64).reshape(-1, 2).T,
        np.array(bonds, np.float32).reshape(-1, BOND),
    )


def _atom(atom: Any) -> list[float]:
    symbol = atom.GetSymbol()
    hand = atom.GetProp("_CIPCode") if atom.HasProp("_CIPCode") else ""
    charge = min(1, max(-1, atom.GetFormalCharge()))
    values = [
        *(symbol == e for e in _ELEMENTS),
        *(min(atom.GetDegree(), _DEGREES[-1]) == d for d in _DEGREES),
        *(min(atom.GetTotalNumHs(), _HYDROGENS[-1]) == h for h in _HYDROGENS),
        *(charge == c for c in _CHARGES),
        *(int(atom.GetHybridization()) - 1 == o for o in _ORBITALS),
        symbol not in _ELEMENTS,
        atom.GetIsAromatic(),
        atom.IsInRing(),
        hand == "R",
        hand == "S",
    ]
    return [float(value) for value in values]


def _bond(bond: Any) -> list[float]:
    kind, stereo = bond.GetBondTypeAsDouble(), str(bond.GetStereo())
    values = [
        *(kind == k for k in (1.0, 2.0, 3.0, 1.5)),
        bond.GetIsConjugated(),
        bond.IsInRing(),
        stereo == "STEREOE",
        stereo == "STEREOZ",
    ]
    return [float(value) for value in values]


def _fragments(molecule: Any) -> NDArray[np.float32]:
    from rdkit.Chem import rdFingerprintGenerator

    make = rdFingerprintGenerator.GetMorganGenerator
    generator = make(radius=_RADIUS, includeChirality=True)
    found = generator.GetSparseCountFingerprint(molecule).GetNonzeroElements()
    hashes = np.array(sorted(found), np.uint64)
    often = np.array([found[int(h)] for h in hashes], np.float64)
    mixed = hashes * _MIX
    places = (mixed >> np.uint64(40)).astype(np.int64) % FRAGMENTS
    signs = np.where((mixed >> np.uint64(39)) & np.uint64(1), 1.0, -1.0)
    return np.bincount(places, signs * np.log1p(often), minlength=FRAGMENTS).astype(np.float32)


def _counts(molecule: Any, names: list[str]) -> NDArray[np.float32]:
    from rdkit import Chem
    from rdkit.Chem import Descriptors

    known = dict(Descriptors.descList)
    atoms = list(molecule.GetAtoms())
    own = {
        "charge": sum(a.GetFormalCharge() for a in atoms),
        "cations": sum(a.GetFormalCharge() > 0 for a in atoms),
        "anions": sum(a.GetFormalCharge() < 0 for a in atoms),
        "stereocentres": sum(a.HasProp("_CIPCode") for a in atoms),
        "pieces": len(Chem.GetMolFrags(molecule)),
        **{e: sum(a.GetSymbol() == e for a in atoms) for e in _ELEMENTS},
    }
    values = np.array([own[n] if n in own else known[n](molecule) for n in names], np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return (np.sign(values) * np.log1p(np.abs(values))).astype(np.float32)
