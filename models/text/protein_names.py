"""Descriptions of proteins: words of a header without its fields, and those that say nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIELDS = re.compile(r"(?:^|\s)(?:OS|OX|GN|PE|SV)=")  # of UniProt
_ORGANISM = re.compile(r"\bOS=(.*?)(?=\s+(?:OX|GN|PE|SV|\w+)=|$)")
_BRACKETS = re.compile(r"^(.*\S)\s+\[([^\[\]]+)\]$")  # of NCBI: "kinase [Homo sapiens]"
_EMPTY = re.compile(
    r"(?:uncharacteri[sz]ed|hypothetical|unknown|unnamed|predicted|putative|conserved|probable|"
    r"protein|proteins|product|orf|open reading frame|expressed|cdna|clone|of|function|membrane|"
    r"whole genome shotgun sequence|genomic scaffold|chromosome|fragment|"
    r"\w*_[\w.]*|\w*\d{4,}[\w.]*)"  # locus tags and numbers of clones
)
_WORDS = re.compile(r"[a-z0-9][\w.]*")


@dataclass(frozen=True)
class Described:
    """What a header or an entry says of a protein.

    Attributes:
        text: What it is or does.
        organism: That it is from, or "".
    """

    text: str
    organism: str = ""


def described(words: str) -> Described:
    """Description and organism of the words behind the name in a FASTA header, or of free words."""
    text = " ".join(words.split())
    fields = _FIELDS.search(text)
    if fields is not None:
        organism = _ORGANISM.search(text)
        return Described(text[: fields.start()].strip(), organism[1].strip() if organism else "")
    found = _BRACKETS.match(text)
    return Described(found[1], found[2]) if found else Described(text)


def says_something(text: str) -> bool:
    """Whether a description says more than that there is a protein.

    "Uncharacterized protein", "Putative uncharacterized protein yciB" and "Protein AALP_AA1G109200"
    do not.
    """
    words = _WORDS.findall(text.lower())
    left = [w for w in words if not _EMPTY.fullmatch(w)]
    if any(w.startswith(("uncharacteri", "hypothetical", "unnamed")) for w in words):
        return len(left) > 2
    return bool(left)
