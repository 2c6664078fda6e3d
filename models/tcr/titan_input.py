"""Receptors and epitopes as the numbers that :mod:`mmtool.models.tcr.titan` reads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import torch
from Bio.Align import substitution_matrices
from torch import Tensor

from mmtool.models.tcr.domain import beta_domain
from mmtool.models.tcr.smiles_tokens import START, STOP, TOKENS, smiles_tokens, token_numbers
from mmtool.receptors import AMINO_ACIDS, Receptor

_LETTER = {letter: STOP + 1 + number for number, letter in enumerate(AMINO_ACIDS)}
RESIDUES = STOP + 1 + len(AMINO_ACIDS)  # padding, start, stop and the letters
V_PLACES = 96  # start and germline end here, so that junctions begin in one place
DOMAIN_LENGTH = V_PLACES + 48
JUNCTION_LENGTH = 40
SMILES_LENGTH = 480  # tokens; 25 residues have 300 on average
LETTERS_LENGTH = 28
FORMS = ("domain", "junction")
SPELLINGS = ("smiles", "letters")
_BLOSUM_SCALE = 4.0


@cache
def residue_features() -> Tensor:
    """(RESIDUES, 26) features: rows of BLOSUM62 over 4, then whether it is the start or the stop.

    Padding is 0 throughout.
    """
    blosum = substitution_matrices.load("BLOSUM62")
    table = torch.zeros(RESIDUES, len(blosum.alphabet) + 2)
    for letter, number in _LETTER.items():
        row = [float(blosum[letter][other]) for other in blosum.alphabet]
        table[number, :-2] = torch.tensor(row) / _BLOSUM_SCALE
    table[START, -2] = table[STOP, -1] = 1.0
    return table


@lru_cache(1 << 17)
def receptor_regions(receptor: Receptor, form: str) -> tuple[tuple[str, str], ...]:
    """Regions of the beta chain that a network of this form reads, in their order.

    Args:
        receptor: With a beta junction.
        form: One of `FORMS`: the whole variable domain, or the junction alone.
    """
    return beta_domain(receptor) if form == "domain" else (("CDR3", receptor.cdr3_b),)


def receptor_codes(receptors: Sequence[Receptor], form: str) -> Tensor:
    """(N, T) uint8 numbers of residues, 0 at padding.

    In the form ``domain`` the germline part is aligned so that all junctions begin at `V_PLACES`.
    What is longer than the network can read is cut at its end.
    """
    rows = [_codes(receptor, form) for receptor in receptors]
    out = torch.zeros(len(rows), max(map(len, rows), default=1), dtype=torch.uint8)
    for row, codes in enumerate(rows):
        out[row, : len(codes)] = torch.tensor(codes, dtype=torch.uint8)
    return out


def _codes(receptor: Receptor, form: str) -> list[int]:
    regions = receptor_regions(receptor, form)
    before = sum(len(letters) for name, letters in regions if name not in ("CDR3", "FR4"))
    gap = V_PLACES - 1 - before if form == "domain" else 0
    codes = [0] * gap + [START, *(_LETTER[x] for _, letters in regions for x in letters), STOP]
    return codes[: DOMAIN_LENGTH if form == "domain" else JUNCTION_LENGTH]


@lru_cache(1 << 14)
def peptide_smiles(peptide: str) -> str:
    """Canonical SMILES of a peptide of the 20 amino acids, by RDKit."""
    from rdkit import Chem

    return str(Chem.MolToSmiles(Chem.MolFromSequence(peptide)))


def random_smiles(peptide: str, count: int, seed: int) -> list[str]:
    """SMILES of the same molecule with its atoms in other orders.

    The molecule is parsed from its canonical SMILES first: written straight from the sequence,
    some orders came out with another handedness of an atom (RDKit 2026.9).

    Args:
        peptide: Letters of amino acids.
        count: How many; some may be equal.
        seed: Of the orders.
    """
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(peptide_smiles(peptide))
    return [str(s) for s in Chem.MolToRandomSmilesVect(molecule, count, randomSeed=seed + 1)]


def epitope_length(spelling: str) -> int:
    """Most tokens of an epitope in one of `SPELLINGS`."""
    return SMILES_LENGTH if spelling == "smiles" else LETTERS_LENGTH


def epitope_letters(spelling: str) -> int:
    """How many distinct tokens there are."""
    return len(TOKENS) if spelling == "smiles" else RESIDUES


def epitope_numbers(text: str, spelling: str) -> list[int]:
    """Numbers of an epitope's tokens, start and stop among them.

    Args:
        text: SMILES, or letters of amino acids.
        spelling: Which of the two.
    """
    if spelling == "smiles":
        return token_numbers(smiles_tokens(text))
    return [START, *(_LETTER[x] for x in text), STOP]


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """(N, longest) long, 0 at padding."""
    out = torch.zeros(len(rows), max(map(len, rows), default=1), dtype=torch.long)
    for row, numbers in enumerate(rows):
        out[row, : len(numbers)] = torch.tensor(numbers)
    return out
