"""Which column of a table says what of a receptor: the words that all formats share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmtool.errors import InputError

ALPHA, BETA = "A", "B"
_NOT_LETTERS = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True)
class ChainColumns:
    """Columns of one chain; of several, the first that is not empty counts.

    Attributes:
        locus: ``A`` or ``B`` where the columns belong to one chain, else ``""``: then ``loci`` or
            the genes tell.
        cdr3: Columns of the junction or CDR3 as amino acids.
        v: Of the V gene.
        j: Of the J gene.
        loci: Of the name of the chain.
    """

    locus: str
    cdr3: tuple[int, ...]
    v: tuple[int, ...] = ()
    j: tuple[int, ...] = ()
    loci: tuple[int, ...] = ()


@dataclass(frozen=True)
class Layout:
    """What the columns of a table mean.

    Attributes:
        format: Name of the format, for people.
        chains: One for each chain that a row holds.
        cell: Columns whose values together name the cell that a row belongs to; none where a row
            is a receptor by itself.
        counts: Reads or molecules: the better-founded chain of a cell has more.
        required: Column -> the values (lower case) that make a row unusable, and the reason.
        doubtful: Columns of yes and no; a chain with a no is taken only if its cell has no other.
        species: Columns of the species; empty cells mean human.
        epitope: Of the peptide that is paired with the receptor.
        mhc: Of the presenting allele.
        reference: Of the publication.
    """

    format: str
    chains: tuple[ChainColumns, ...]
    cell: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    required: tuple[tuple[int, frozenset[str], str], ...] = ()
    doubtful: tuple[int, ...] = ()
    species: tuple[int, ...] = ()
    epitope: tuple[int, ...] = ()
    mhc: tuple[int, ...] = ()
    reference: tuple[int, ...] = ()

    @property
    def one_chain(self) -> bool:
        """Whether a row holds one chain, which its own cells or genes name."""
        return len(self.chains) == 1 and not self.chains[0].locus


NO = frozenset({"f", "false", "no", "n", "0"})
EPITOPE = tuple(
    "antigen.epitope epitope epitope.peptide peptide epitope_aa epitope_name epitope_sequence "
    "antigen_sequence peptide_sequence".split()
)
MHC = ("mhc.a", "mhc_a", "mhc", "hla", "mhc_allele", "mhc allele names", "hla_allele", "allele")
REFERENCE = ("reference.id", "reference", "pubmed.id", "pmid", "reference_iri", "doi")
SPECIES = ("species", "organism", "host", "tcr_species")


def key(name: str) -> str:
    """Lower-case letters and digits of a column's name: ``CDR3.beta_aa`` -> ``cdr3betaaa``."""
    return _NOT_LETTERS.sub("", name.lower())


@dataclass
class Columns:
    """Header of a table, to look names up in.

    Attributes:
        names: As they stand.
        path: For messages.
    """

    names: Sequence[str]
    path: Path
    _places: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for place, name in enumerate(self.names):
            self._places.setdefault(key(name), []).append(place)

    def has(self, *names: str) -> bool:
        """Whether there is a column of each name."""
        return all(key(name) in self._places for name in names)

    def find(self, *names: str) -> tuple[int, ...]:
        """Places of the columns of these names, in the order of the names.

        Raises:
            InputError: A column that is needed stands twice.
        """
        places = [p for k in dict.fromkeys(map(key, names)) for p in self._places.get(k, ())]
        twice = [n for n, count in Counter(self.names[p] for p in places).items() if count > 1]
        if twice:
            raise InputError(f"{self.path}: column '{shown(twice[0])}' stands twice", "rename one")
        return tuple(places)

    def required(
        self, names: Iterable[str], bad: frozenset[str], reason: str
    ) -> tuple[tuple[int, frozenset[str], str], ...]:
        """Columns among ``names`` whose values ``bad`` make a row unusable."""
        return tuple((place, bad, reason) for place in self.find(*names))


def shown(text: str, most: int = 40) -> str:
    """A name or cell of a file for a message: printable and short."""
    clean = "".join(c if c.isprintable() else "?" for c in text[: most + 1])
    return clean if len(clean) <= most else clean[: most - 3] + "..."
