"""Proteins that are asked about: records of FASTA, each readable or with the reason why not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.strings import FASTA_ENDINGS, StringRecord, endings, read_strings

MOST_RECORDS = 5_000  # of one report
_MOST_LETTERS = 100_000
_BASES = re.compile("[ACGTUN]")
_SURELY = 20  # letters from which on so many bases are no chance
_SHARE = 0.9
_UNKNOWN = 0.5  # share of X
_HINT = "give proteins as FASTA, one-letter codes of amino acids"


@dataclass(frozen=True)
class ProteinRecord:
    """A record of a file.

    Attributes:
        number: From 1.
        name: First word of its header, or ``record N``.
        words: The further ones.
        letters: In upper case, without a stop at the end; "" where they can't be read.
        length: Letters.
        reason: Why they can't be read, or "".
    """

    number: int
    name: str
    words: str
    letters: str
    length: int
    reason: str = ""


def is_protein_file(path: Path) -> bool:
    """Whether a file is FASTA by its ending, also with ``.gz``."""
    return endings(path)[0] in FASTA_ENDINGS


def read_proteins(path: Path, limits: Limits) -> list[ProteinRecord]:
    """All records of a file.

    Raises:
        InputError: It can't be read, has no or too many records, or none that is a protein.
    """
    records: list[ProteinRecord] = []
    for record in read_strings(path, limits):
        if len(records) == MOST_RECORDS:
            raise InputError(
                f"{path}: more than {MOST_RECORDS:,} records", "cut the file, and use --samplesheet"
            )
        records.append(_record(record))
    if not records:
        raise InputError(f"{path}: no record", "each begins with a line '>name description'")
    if not any(r.letters for r in records):
        first = records[0]
        raise InputError(f"{path}: {first.name}: {first.reason}", _HINT)
    return records


def _record(record: StringRecord) -> ProteinRecord:
    letters = "".join(record.content.split()).upper().removesuffix("*")
    reason = _reason(letters)
    name = record.name or f"record {record.place}"
    return ProteinRecord(
        record.place, name, record.text, "" if reason else letters, len(letters), reason
    )


def _reason(letters: str) -> str:
    """Why the letters are no protein, or ``""``."""
    if not letters:
        return "it has no letters"
    if len(letters) > _MOST_LETTERS:
        return f"{len(letters):,} letters are more than a protein has"
    if "*" in letters:
        return "a stop stands inside: is it translated in the wrong frame?"
    if set(letters) & set("-."):
        return "it has gaps: give it without those of an alignment"
    if not re.fullmatch("[A-Z]+", letters):
        return "letters that are no amino acids"
    if len(letters) >= _SURELY and len(_BASES.findall(letters)) >= _SHARE * len(letters):
        return "these are nucleotides: translate them first"
    if letters.count("X") > _UNKNOWN * len(letters):
        return "most of its residues are not known (X)"
    return ""
