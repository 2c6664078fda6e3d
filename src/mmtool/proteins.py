"""What ``mmtool report`` says of proteins: what the proteins most like them are said to do.

Nothing here imports numpy or torch at run time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relative:
    """A protein of the index beside the one that is asked for.

    Attributes:
        id: Key in the index.
        text: Its description, without the fields of a UniProt header; "" where it has none.
        organism: Where its header or its entry says so, else "".
        bits: Of the best local alignment, by the statistics of BLAST.
        identity: Share of equal residues among the aligned pairs, gaps left out.
        needed: Identity that an alignment of this length must have to tell of a common fold.
        aligned: Pairs of residues.
        coverage: Share of the protein that is aligned.
        other_coverage: Share of the relative that is aligned.
        counts: Whether the alignment is good enough for its text to be quoted.
        sha256: Of the record that it was indexed from.
    """

    id: str
    text: str
    organism: str
    bits: float
    identity: float
    needed: float
    aligned: int
    coverage: float
    other_coverage: float
    counts: bool
    sha256: str = ""


@dataclass(frozen=True)
class Protein:
    """One protein that was given.

    Attributes:
        number: From 1, of the record in the file.
        name: First word of its header.
        given: The further words of its header; they are no evidence.
        length: Residues.
        sha256: Of its letters in upper case, or "" where they can't be read.
        told: Whether anything is said of its function.
        text: Description of the nearest described relative, word for word, or "".
        source: Id of that relative, or "".
        sentence: As it is told.
        agreement: Share of the other described relatives, weighted by bits, whose description is
            much like the one quoted; None where there is no other.
        relatives: Most alike first.
        reasons: Plain sentences on why nothing is told.
        notes: Plain sentences on the sequence and the search.
    """

    number: int
    name: str
    given: str
    length: int
    sha256: str
    told: bool
    text: str = ""
    source: str = ""
    sentence: str = ""
    agreement: float | None = None
    relatives: tuple[Relative, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
