"""Molecules and proteins from files, one record at a time: SMILES, SDF, FASTA, Swiss-Prot."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import chain, pairwise
from pathlib import Path
from typing import IO

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers import swissprot

SMILES_ENDINGS = (".smi", ".smiles")
SDF_ENDINGS = (".sdf", ".sd", ".mol")
FASTA_ENDINGS = (".fasta", ".fa", ".faa")
SWISSPROT_ENDINGS = (".dat",)  # of many formats; see `is_swissprot`
_MOST_LETTERS = 100_000
_MOST_SMILES = 5_000
_PROTEIN = re.compile(r"[A-Z]+\*?")


@dataclass(frozen=True)
class StringRecord:
    """One molecule or protein as it stands in a file.

    Attributes:
        place: Number of the record, from 1.
        name: As the file gives it, or "".
        content: SMILES or letters.
        text: Words about it, or "".
        extra: Further fields.
    """

    place: int
    name: str
    content: str
    text: str = ""
    extra: dict[str, str] = field(default_factory=dict)


def canonical_smiles(smiles: str) -> str:
    """Canonical SMILES, equal for two writings of one molecule.

    Raises:
        InputError: It can't be read, or is longer than 5,000 characters.
    """
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    text = smiles.strip()
    if len(text) > _MOST_SMILES:
        raise InputError(f"a SMILES of {len(text):,} characters", "such are no small molecules")
    molecule = Chem.MolFromSmiles(text) if text else None
    if molecule is None or not molecule.GetNumAtoms():
        raise InputError("a SMILES that can't be read", "is it another column?")
    return str(Chem.MolToSmiles(molecule))


def clean_protein(letters: str) -> str:
    """Letters of a protein in upper case, without blanks and the stop at its end.

    Raises:
        InputError: Other characters, none, or more than 100,000.
    """
    text = "".join(letters.split()).upper()
    if not 0 < len(text) <= _MOST_LETTERS or not _PROTEIN.fullmatch(text):
        raise InputError("letters that are no protein", "use one-letter codes of amino acids")
    return text.removesuffix("*")


def read_strings(path: Path, limits: Limits) -> Iterator[StringRecord]:
    """Records of a file of SMILES, SDF, FASTA or Swiss-Prot, plain or gzip, by its ending.

    Raises:
        InputError: The file can't be read.
    """
    ending = endings(path)[0]
    with _lines(path, limits) as lines:
        if ending in SMILES_ENDINGS:
            yield from _smiles(lines)
        elif ending in FASTA_ENDINGS:
            yield from _fasta(lines)
        elif ending in SWISSPROT_ENDINGS:
            yield from _swissprot(lines)
        else:
            yield from _sdf(lines)


def is_swissprot(path: Path, limits: Limits) -> bool:
    """Whether a file is a Swiss-Prot flat file by its ending and its first line."""
    if endings(path)[0] not in SWISSPROT_ENDINGS:
        return False
    try:
        with _lines(path, limits) as lines:
            return swissprot.FIRST.match(next(lines, "")) is not None
    except InputError:
        return False


def endings(path: Path) -> tuple[str, bool]:
    """Ending in lower case without ``.gz``, and whether that was there."""
    name = path.name.lower()
    packed = name.endswith(".gz")
    return Path(name.removesuffix(".gz")).suffix, packed


@contextmanager
def _lines(path: Path, limits: Limits) -> Iterator[Iterator[str]]:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            with TextIOWrapper(stream, "utf-8", errors="replace") as text:
                yield _bounded(text, path, limits)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: can't be read ({type(error).__name__})", "check the file") from (
            error
        )


def _bounded(text: TextIOWrapper, path: Path, limits: Limits) -> Iterator[str]:
    total = 0
    while line := text.readline(limits.max_line_chars + 1):
        total += len(line)
        if len(line) > limits.max_line_chars or total > limits.max_inflated_bytes or "\0" in line:
            raise InputError(f"{path}: binary data or endless lines", "is this the file?")
        yield line.rstrip("\r\n")


def _smiles(lines: Iterator[str]) -> Iterator[StringRecord]:
    for number, line in enumerate(lines, start=1):
        words = line.split(None, 1)
        if words and not words[0].startswith("#"):
            yield StringRecord(number, words[1].strip() if len(words) > 1 else "", words[0])


def _fasta(lines: Iterator[str]) -> Iterator[StringRecord]:
    """Records by their line ``>name words``; what stands before the first of them is left out."""
    title, number = None, 0
    letters: list[str] = []
    for line in chain(lines, (">",)):
        if not line.startswith(">"):
            letters.append(line)
            continue
        if title is not None:
            number += 1
            name, _, words = title.partition(" ")
            yield StringRecord(number, name, "".join("".join(letters).split()), words.strip())
        title, letters = line[1:], []


def _swissprot(lines: Iterator[str]) -> Iterator[StringRecord]:
    for number, entry in enumerate(swissprot.read_entries(lines), start=1):
        extra = {"organism": entry.organism} if entry.organism else {}
        yield StringRecord(number, entry.name, entry.letters, entry.text, extra)


def _sdf(lines: Iterator[str]) -> Iterator[StringRecord]:
    """Blocks up to ``$$$$``; each is parsed by itself, so that a broken one costs only itself."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    number = 0
    block: list[str] = []
    for line in chain(lines, ("$$$$",)):
        if line.strip() != "$$$$":
            block.append(line)
            continue
        if any(part.strip() for part in block):
            number += 1
            molecule = Chem.MolFromMolBlock("\n".join(block))
            smiles = "" if molecule is None else Chem.MolToSmiles(molecule)
            yield StringRecord(number, block[0].strip()[:200], smiles, extra=_fields(block))
        block.clear()


def _fields(block: list[str]) -> dict[str, str]:
    found = {}
    for line, following in pairwise(block):
        match = re.match(r">\s.*<([^>]{1,80})>", line)
        if match:
            found[match[1]] = following.strip()[:1000]
    return found
