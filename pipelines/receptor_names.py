"""Genes and junctions as people write them, in the words of IMGT; each change is told.

Genes are standardised by tidytcells (https://doi.org/10.3389/fimmu.2023.1276106).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from mmtool.io.readers.receptor_layout import ALPHA, BETA, key, shown
from mmtool.receptors import AMINO_ACIDS

SHORTEST, LONGEST = 6, 32  # residues of a junction, both anchors counted

_NOTHING = frozenset({"", "nan", "na", "n/a", "none", "null", "-", ".", "unresolved", "unknown"})
_JUNCTION = re.compile(f"C[{AMINO_ACIDS}]{{{SHORTEST - 2},{LONGEST - 2}}}[FW]")
_NUCLEOTIDES = re.compile("[ACGTUN]+", re.IGNORECASE)
_LEAST_NUCLEOTIDES = 18  # no CDR3 of so many residues is made of these letters alone
_LETTERS = re.compile(f"[{AMINO_ACIDS}]+")
_SEVERAL = re.compile(r"\s+or\s+|\s*[,;|]\s*", re.IGNORECASE)
_SCORE = re.compile(r"\([^)]*\)|\*00\b")  # MiXCR writes an alignment score, and *00 for no allele
_ORPHON = re.compile(r"-or0?9[-_]0?(\d)", re.IGNORECASE)  # Adaptive's word for /OR9-n
_SPECIES = re.compile(r"^(?:hom(?:sap|o sapiens)\s+)", re.IGNORECASE)
_LOCI = {
    **dict.fromkeys(("a", "alpha", "tra", "tcra", "tcralpha", "alphachain"), ALPHA),
    **dict.fromkeys(("b", "beta", "trb", "tcrb", "tcrbeta", "betachain"), BETA),
    **dict.fromkeys(("g", "gamma", "trg", "tcrg", "d", "delta", "trd", "tcrd"), "GD"),
    **dict.fromkeys(("igh", "igk", "igl", "heavy", "light"), "IG"),
}


class Change(NamedTuple):
    """One thing that was not taken as it stood: its kind for counting, its words for the row."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class RawChain:
    """One chain as it stands in a table, with the names of its columns for the words.

    Attributes:
        locus: ``A``, ``B`` or what the table calls it, or ``""``.
        v, j, cdr3: Cells, stripped.
        v_name, j_name, cdr3_name: Their columns.
    """

    locus: str
    v: str
    j: str
    cdr3: str
    v_name: str = "v_call"
    j_name: str = "j_call"
    cdr3_name: str = "junction_aa"


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain that was understood.

    Attributes:
        locus: ``A`` or ``B``; ``""`` where it is neither.
        v, j: IMGT genes, or ``""``.
        cdr3: Junction with its anchors, or ``""``.
        reason: Why it can't be used; ``""`` if it can.
        changes: What was not taken as it stood.
    """

    locus: str
    v: str
    j: str
    cdr3: str
    reason: str
    changes: tuple[Change, ...]


def is_nothing(text: str) -> bool:
    """Whether a cell says that nothing is known."""
    return text.strip().lower() in _NOTHING


def clean_chain(raw: RawChain) -> Chain:
    """Put one chain into the words of IMGT, or say why it can't be used."""
    locus, changes = _locus(raw)
    if locus not in (ALPHA, BETA):
        reason = "gamma-delta receptor" if locus == "GD" else "no alpha or beta chain"
        return Chain("", "", "", "", reason, ())
    genes = []
    for name, column, letter in ((raw.v, raw.v_name, "V"), (raw.j, raw.j_name, "J")):
        gene, change = clean_gene(name, locus, letter)
        genes.append(gene)
        if change:
            changes.append(Change(change.kind, f"{column}: {change.text}"))
    v, j = genes
    letters, told, reason = raw.cdr3, [], ""
    if _is_nucleotides(raw):
        letters, reason = translated(letters)
        told = [Change("translated", f"{len(raw.cdr3)} nucleotides -> {shown(letters)}")]
    cdr3 = ""
    if not reason:
        cdr3, reason, more = clean_junction(letters, j)
        changes += [Change(kind, f"{raw.cdr3_name}: {text}") for kind, text in (*told, *more)]
    return Chain(locus, v, j, cdr3, reason, tuple(changes))


def _locus(raw: RawChain) -> tuple[str, list[Change]]:
    """Chain by the table's own word, else by its genes, else beta."""
    if raw.locus in (ALPHA, BETA):
        return raw.locus, []
    if raw.locus and not is_nothing(raw.locus):
        return _LOCI.get(key(raw.locus), "?"), []
    for gene, letter in ((raw.v, "V"), (raw.j, "J")):
        if gene:
            locus = _locus_of_gene(_SCORE.sub("", gene), letter)
            if locus:
                return locus, []
    return BETA, [Change("chain assumed", "chain: not stated, taken as beta")]


@lru_cache(1 << 16)
def _locus_of_gene(name: str, letter: str) -> str:
    found, _ = _first_gene(name, letter)
    if found.startswith(("TRG", "TRD")):
        return "GD"
    if found:
        return found[2]
    return "IG" if name.upper().startswith("IG") else ""


def clean_gene(name: str, locus: str, letter: str) -> tuple[str, Change | None]:
    """IMGT's name of a gene of a chain.

    Args:
        name: As in the table: of IMGT, Adaptive or MiXCR; one or several.
        locus: ``A`` or ``B``.
        letter: ``V`` or ``J``.

    Returns:
        The gene with its allele if that is known, ``""`` where it is not; and what to tell.
    """
    if is_nothing(name):
        return "", None
    found, several = _first_gene(_SCORE.sub("", name), letter)
    if not found or not found.startswith(f"TR{locus}{letter}"):
        why = "not of this chain" if found else "no human gene of this name"
        return "", Change("gene left out", f"{shown(name)} left out ({why})")
    if found == name:
        return found, None
    more = f" (first of {several})" if several > 1 else ""
    return found, Change("gene renamed", f"{shown(name)} -> {found}{more}")


@lru_cache(1 << 16)
def _first_gene(name: str, letter: str) -> tuple[str, int]:
    """The first gene of a cell that is known, and how many names stand in the cell."""
    names = [n for n in _SEVERAL.split(name.strip()) if n]
    for text in names:
        words = _ORPHON.sub(r"/OR9-\1", _SPECIES.sub("", text.strip())).split()
        word = words[0] if words else ""
        found = _standard(word, letter)
        if found:
            return found, len(names)
        if "/" in word:  # Adaptive: TCRBV06-02/06-03
            found = _standard(word.partition("/")[0], letter)
            if found:
                return found, len(names) + word.count("/")
    return "", len(names)


def _standard(word: str, letter: str) -> str:
    from tidytcells import tr

    if len(word) < 3 or len(word) > 40 or letter not in word.upper():
        return ""
    found = tr.standardize(word, species="homosapiens", log_failures=False)
    if found is None and "*" in word:
        found = tr.standardize(word.partition("*")[0], log_failures=False)
    if found is None or len(found) < 5 or found[3] != letter or _is_family(word, found):
        return ""
    return str(found)


def _is_family(word: str, found: str) -> bool:
    """Whether a word names a family of several genes, of which tidytcells takes the first."""
    from tidytcells import tr

    if not found.endswith("-1") or not re.fullmatch(r"[A-Za-z]+0*\d+", word):
        return False
    return tr.standardize(f"{found[:-1]}2", log_failures=False) is not None


def _is_nucleotides(raw: RawChain) -> bool:
    """By the letters; AIRR's ``junction`` holds nothing else, so that there any length counts."""
    enough = len(raw.cdr3) >= _LEAST_NUCLEOTIDES or key(raw.cdr3_name) == "junction"
    return enough and _NUCLEOTIDES.fullmatch(raw.cdr3) is not None


def translated(nucleotides: str) -> tuple[str, str]:
    """Amino acids of a junction that is given as nucleotides, and why there are none or ``""``."""
    from Bio.Seq import Seq

    if len(nucleotides) % 3:
        return "", "out of frame"
    return str(Seq(nucleotides.upper()).translate()), ""


def clean_junction(text: str, j: str) -> tuple[str, str, list[Change]]:
    """A junction with its anchors.

    Args:
        text: Cell of a table, stripped.
        j: Standard name of the J gene, or ``""``: it decides on the last residue.

    Returns:
        The junction or ``""``, why it can't be used or ``""``, and what was changed.
    """
    if _JUNCTION.fullmatch(text):
        return text, "", []
    if is_nothing(text):
        return "", "no junction", []
    changes: list[Change] = []
    letters = text.upper()
    if letters != text:
        changes.append(Change("upper case", f"{shown(text)} -> {shown(letters)}"))
    if len(letters) > LONGEST:
        return "", f"junction of {len(letters)} residues, at most {LONGEST} are known", []
    reason = _unreadable(letters)
    if reason:
        return "", reason, []
    whole = _with_anchors(letters, j)
    if whole != letters:
        changes.append(Change("anchors restored", f"{letters} -> {whole}"))
    if not SHORTEST <= len(whole) <= LONGEST:
        words = f"junction of {len(whole)} residues, {SHORTEST} to {LONGEST} are known"
        return "", words, []
    return whole, "", changes


def _unreadable(letters: str) -> str:
    if "*" in letters:
        return "stop codon"
    if "_" in letters or "~" in letters or letters in ("OUT_OF_FRAME", "OUT OF FRAME"):
        return "out of frame"
    if _LETTERS.fullmatch(letters):
        return ""
    strange = next(c for c in letters if c not in AMINO_ACIDS)
    if strange == "X":
        return "unknown residue X"
    return f"{shown(strange)!r} is no amino acid"


def _with_anchors(letters: str, j: str) -> str:
    """Restore the first C, and the last residue of the J gene (F where the gene is not known).

    Where the C is missing, so may be the end (IMGT's CDR3 lies between the anchors): it is there
    if the letters end as the germline does up to its anchor.
    """
    anchor, germline = _j_end(j) if j else ("F", "")
    if letters[0] == "C" or not germline:
        ends = letters[-1] == anchor or (not germline and letters[-1] in "FW")
    else:
        ends = letters.endswith(germline)
    first = "" if letters[0] == "C" else "C"
    return first + letters + ("" if ends else anchor)


@lru_cache(512)
def _j_end(j: str) -> tuple[str, str]:
    """Anchor of a J gene, and its last three germline residues up to it."""
    from tidytcells import tr

    for allele in (j, f"{j.partition('*')[0]}*01"):
        try:
            regions = tr.get_aa_sequence(allele, species="homosapiens")
        except ValueError:
            continue
        sequence = regions.get("J-REGION", "")
        motif = re.search(r"([FWC])G.G", sequence)
        if motif:
            return motif[1], sequence[max(0, motif.start() - 2) : motif.start() + 1]
    return "F", ""
