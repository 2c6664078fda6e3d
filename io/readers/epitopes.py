"""Epitopes: FASTA, one a line, or SMILES, as letters of amino acids in the end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.peptide_smiles import read_peptide_smiles
from mmtool.io.readers.receptor_layout import shown
from mmtool.io.readers.text import read_text
from mmtool.receptors import AMINO_ACIDS

_PEPTIDE = re.compile(f"[{AMINO_ACIDS}]+")


@dataclass(frozen=True)
class Epitope:
    """A peptide and how it was given.

    Attributes:
        sequence: One-letter amino acids.
        name: What the user called it, or ``""``.
        given: As ``peptide`` or ``SMILES``.
        notes: What the letters don't tell.
    """

    sequence: str
    name: str = ""
    given: str = "peptide"
    notes: tuple[str, ...] = ()


def parse_epitope(text: str, name: str = "") -> Epitope:
    """A peptide from its letters (any case) or from its SMILES.

    Whatever holds letters only is a peptide: ``CCC`` is three cysteines.

    Raises:
        InputError: Neither a peptide nor the SMILES of one.
    """
    words = "".join(text.split())
    letters = words.upper()
    if _PEPTIDE.fullmatch(letters):
        return Epitope(letters, name)
    if not words or words.isalpha():
        strange = next((c for c in letters if c not in AMINO_ACIDS), "")
        what = f"{shown(strange)!r} is no amino acid" if strange else "empty"
        raise InputError(f"epitope {shown(text)}: {what}", f"use the letters {AMINO_ACIDS}")
    try:
        peptide = read_peptide_smiles(words)
    except InputError as error:
        raise InputError(f"epitope {shown(text)}: {error.message}", error.hint) from error
    return Epitope(peptide.sequence, name, "SMILES", peptide.notes)


def read_epitopes(path: Path, limits: Limits | None = None) -> list[Epitope]:
    """Epitopes of a file.

    Args:
        path: FASTA (begins with ``>``); else one a line, a peptide or a SMILES, and after a blank
            its name at will. Lines that begin with ``#`` are passed over.
        limits: Bounds.

    Raises:
        InputError: Unreadable, none in it, or a line that is no peptide.
    """
    text = read_text(path, limits)
    rows: list[tuple[int, str, str]] = []
    if text.lstrip().startswith(">"):
        rows = _fasta(text)
    else:
        for number, line in enumerate(text.split("\n"), start=1):
            words = line.split(None, 1)
            if words and not words[0].startswith("#"):
                rows.append((number, words[0], words[1].strip() if len(words) > 1 else ""))
    if not rows:
        raise InputError(f"{path}: no epitopes", "FASTA, or one peptide or SMILES a line")
    found = []
    for number, word, name in rows:
        try:
            found.append(parse_epitope(word, name))
        except InputError as error:
            raise InputError(f"{path} entry {number}: {error.message}", error.hint) from error
    return found


def _fasta(text: str) -> list[tuple[int, str, str]]:
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    entries = SimpleFastaParser(StringIO(text.lstrip()))
    return [(number, word, name) for number, (name, word) in enumerate(entries, start=1)]
