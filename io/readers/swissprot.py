"""Entries of Swiss-Prot flat files: name, letters, and what is said of the function."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO

from mmtool.errors import InputError

FIRST = re.compile(r"ID   \S+\s+\S+;.*\d+ AA\.?")  # the first line of an entry
_MOST_LINES = 200_000  # of an entry
_FULL = re.compile(r"(?:RecName|SubName): Full=([^;{]+)")
_EVIDENCE = re.compile(r"\s*\{ECO:[^}]*\}")
_FUNCTION = "FUNCTION:"


@dataclass(frozen=True)
class Entry:
    """What of an entry is kept.

    Attributes:
        name: Accession and entry name as in a FASTA header: ``sp|P69905|HBA_HUMAN``.
        letters: Of the sequence; "" where the entry can't be read.
        text: Recommended name, and what it says of the function.
        organism: That it is from.
    """

    name: str
    letters: str = ""
    text: str = ""
    organism: str = ""


def read_entries(lines: Iterator[str]) -> Iterator[Entry]:
    """Entries one by one; each is parsed by itself, so that a broken one costs only itself.

    Raises:
        InputError: An entry without an end.
    """
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) > _MOST_LINES:
            raise InputError("an entry without an end", "is this a Swiss-Prot flat file?")
        if line.startswith("//"):
            yield _entry(block)
            block = []
    if any(line.strip() for line in block):
        yield Entry(block[0].split()[1] if len(block[0].split()) > 1 else "")


def _entry(block: list[str]) -> Entry:
    from Bio import SwissProt

    try:
        record = next(SwissProt.parse(StringIO("\n".join(block) + "\n")))
    except (ValueError, IndexError, KeyError, AssertionError, StopIteration):
        words = block[0].split()
        return Entry(words[1] if len(words) > 1 else "")
    curated = record.data_class in ("Reviewed", "STANDARD")
    accession = record.accessions[0] if record.accessions else ""
    name = f"{'sp' if curated else 'tr'}|{accession}|{record.entry_name}"
    return Entry(name, record.sequence, _text(record), record.organism.rstrip("."))


def _text(record: object) -> str:
    """Recommended name, or the description as older files have it, and the function."""
    description = str(getattr(record, "description", ""))
    full = _FULL.search(description)
    parts = [full[1].strip() if full else description.rstrip(" .;")]
    for comment in getattr(record, "comments", ()):
        if str(comment).startswith(_FUNCTION):
            parts.append(str(comment).removeprefix(_FUNCTION).strip().rstrip("."))
    cleaned = (_EVIDENCE.sub("", part).strip(" .") for part in parts)
    return ". ".join(part for part in cleaned if part)
