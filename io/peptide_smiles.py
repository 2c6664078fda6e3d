"""A peptide's sequence from its SMILES: a walk along the backbone, a look at each side chain.

A residue that carries something more than one of the 20 is read as that one, and told of. The
molecule itself is parsed by RDKit (https://www.rdkit.org).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from mmtool.errors import InputError

_MAX_LETTERS = 5000
_BACKBONE = "[#7X3,#7X4]-[CX4]-[CX3](=[OX1])-[#7,#8]"
# Side chains as SMARTS from the beta carbon on; ~ where tautomers and charges differ.
_SIDES = {
    "A": "C",
    "R": "CCC~N~C(~N)~N",
    "N": "CC(=O)N",
    "D": "CC(=O)O",
    "C": "CS",
    "Q": "CCC(=O)N",
    "E": "CCC(=O)O",
    "H": "Cc1cncn1",
    "I": "C(C)CC",
    "L": "CC(C)C",
    "K": "CCCCN",
    "M": "CCSC",
    "F": "Cc1ccccc1",
    "S": "CO",
    "T": "C(O)C",
    "W": "Cc1cnc2ccccc12",
    "Y": "Cc1ccc(O)cc1",
    "V": "C(C)C",
}
# Not one of the 20, nor one with something added, but known as the stand-in of one.
_STAND_INS = {
    "citrulline": ("R", "CCCNC(=O)N"),
    "selenomethionine": ("M", "CC[Se]C"),
    "selenocysteine": ("C", "C[Se]"),
    "norleucine": ("M", "CCCC"),
}


@dataclass(frozen=True)
class SmilesPeptide:
    """What a SMILES was read as.

    Attributes:
        sequence: One-letter amino acids.
        notes: What of the molecule the letters don't tell.
    """

    sequence: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Residue:
    """Atoms of one residue: nitrogen, alpha carbon, carbonyl carbon, what follows that."""

    n: int
    alpha: int
    carbonyl: int
    next_atom: int


def read_peptide_smiles(smiles: str) -> SmilesPeptide:
    """The linear peptide that a SMILES draws.

    Raises:
        InputError: No valid SMILES, no peptide, a ring of the backbone or a branch, or a residue
            that comes from none of the 20.

    Example:
        >>> read_peptide_smiles("NCC(=O)N[C@@H](C)C(=O)O").sequence
        'GA'
    """
    molecule, notes = _molecule(smiles)
    chain = _chain(molecule)
    backbone = {atom for r in chain for atom in (r.n, r.alpha, r.carbonyl)}
    names = _names(molecule)
    letters = []
    for number, residue in enumerate(chain, start=1):
        side = _side_chain(molecule, residue, backbone, number)
        letter, told = _letter(residue, len(side), names, number)
        letters.append(letter)
        if told:
            notes.append(f"residue {number}: {told}, read as {letter}")
        elif _is_d(molecule, residue, letter):
            notes.append(f"residue {number}: D-amino acid, read as {letter}")
    notes += _ends(molecule, chain)
    return SmilesPeptide("".join(letters), tuple(notes))


def _molecule(smiles: str) -> tuple[Any, list[str]]:
    from rdkit import Chem, rdBase

    molecule = None
    if len(smiles) <= _MAX_LETTERS:
        with rdBase.BlockLogs():
            molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise InputError(
            "not a valid SMILES", "give amino-acid letters, or the SMILES of a peptide"
        )
    parts = sorted(Chem.GetMolFrags(molecule, asMols=True), key=lambda m: -m.GetNumHeavyAtoms())
    notes = ["other molecules beside the peptide are left out"] if len(parts) > 1 else []
    Chem.AssignStereochemistry(parts[0], cleanIt=True, force=True)
    return parts[0], notes


def _chain(molecule: Any) -> list[_Residue]:
    """Residues from the amino end to the carboxyl end."""
    found = molecule.GetSubstructMatches(_query(_BACKBONE), maxMatches=_MAX_LETTERS)
    residues = {m[1]: _Residue(m[0], m[1], m[2], m[4]) for m in found}
    of_nitrogen = {r.n: r for r in residues.values()}
    follows = {r.alpha: of_nitrogen.get(r.next_atom) for r in residues.values()}
    led_to = {r.alpha for r in follows.values() if r is not None}
    starts = [r for r in residues.values() if r.alpha not in led_to]
    if residues and not starts:
        raise InputError("a cyclic peptide", "only linear peptides are presented to T cells")
    chains = []
    for start in starts:
        chain, here = [start], follows[start.alpha]
        while here is not None:
            chain.append(here)
            here = follows[here.alpha]
        chains.append(chain)
    longest = max(chains, key=len, default=[])
    if len(longest) < 2:
        raise InputError("the molecule is no peptide", "a peptide has amide bonds between residues")
    if any(len(chain) > 1 for chain in chains if chain is not longest):
        raise InputError("a branched peptide, or several", "give one linear peptide")
    return longest


def _side_chain(
    molecule: Any, residue: _Residue, backbone: set[int], number: int
) -> frozenset[int]:
    """Heavy atoms that hang on the alpha carbon; in proline they end at the nitrogen."""
    seen: set[int] = set()
    todo = [residue.alpha]
    while todo:
        for atom in molecule.GetAtomWithIdx(todo.pop()).GetNeighbors():
            index = atom.GetIdx()
            if index in (residue.n, residue.alpha, residue.carbonyl) or index in seen:
                continue
            if index in backbone:
                raise InputError(
                    f"residue {number} is linked to another one", "only linear peptides are read"
                )
            if atom.GetAtomicNum() > 1:
                seen.add(index)
                todo.append(index)
    return frozenset(seen)


def _names(molecule: Any) -> dict[int, list[tuple[int, str, str]]]:
    """Alpha carbon -> the side chains that match there: heavy atoms, letter, name if none of 20."""
    names: dict[int, list[tuple[int, str, str]]] = {}
    for letter, name, query, size in _queries():
        for match in molecule.GetSubstructMatches(query, maxMatches=_MAX_LETTERS):
            names.setdefault(match[1], []).append((size, letter, name))
    return names


def _letter(
    residue: _Residue, size: int, names: dict[int, list[tuple[int, str, str]]], number: int
) -> tuple[str, str]:
    """Letter of a residue, and what it is if it is none of the 20."""
    if size == 0:
        return "G", ""
    found = sorted(names.get(residue.alpha, []), key=lambda n: (-n[0], n[2]))
    if found:
        known, letter, name = found[0]
        if known == size:
            return letter, name
        if letter != "A":
            return letter, name or "modified"
    raise InputError(
        f"residue {number} comes from none of the 20 amino acids",
        "give the nearest peptide as letters",
    )


def _is_d(molecule: Any, residue: _Residue, letter: str) -> bool:
    alpha = molecule.GetAtomWithIdx(residue.alpha)
    if not alpha.HasProp("_CIPCode"):
        return False
    return bool(alpha.GetProp("_CIPCode") != ("R" if letter == "C" else "S"))


def _ends(molecule: Any, chain: list[_Residue]) -> list[str]:
    notes = []
    first, last = chain[0], chain[-1]
    nitrogen = molecule.GetAtomWithIdx(first.n)
    own = {first.alpha}
    ring = {a.GetIdx() for a in nitrogen.GetNeighbors() if a.IsInRing() and nitrogen.IsInRing()}
    if any(a.GetIdx() not in own | ring for a in nitrogen.GetNeighbors()):
        notes.append("the amino end is modified")
    end = molecule.GetAtomWithIdx(last.next_atom)
    if end.GetAtomicNum() == 7 or end.GetDegree() > 1:
        notes.append("the carboxyl end is modified")
    for number, residue in enumerate(chain[1:], start=2):
        atom = molecule.GetAtomWithIdx(residue.n)
        if atom.GetDegree() > 2 and not atom.IsInRing():
            notes.append(f"residue {number}: its nitrogen is modified")
    return notes


@cache
def _query(smarts: str) -> Any:
    from rdkit import Chem

    return Chem.MolFromSmarts(smarts)


@cache
def _queries() -> tuple[tuple[str, str, Any, int], ...]:
    """Letter, name, query (its second atom is the alpha carbon), heavy atoms of the side chain."""
    rows = [(letter, "", side) for letter, side in _SIDES.items()]
    rows += [(letter, name, side) for name, (letter, side) in _STAND_INS.items()]
    queries = []
    for letter, name, side in rows:
        size = _query(side).GetNumAtoms()
        queries.append((letter, name, _query(f"[#7][CX4](C(=O)[#7,#8]){side}"), size))
    queries.append(("P", "", _query("[#7]1[CX4](C(=O)[#7,#8])CCC1"), 3))
    return tuple(queries)
