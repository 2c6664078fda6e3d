"""Which epitopes a run is about: given ones, or all that a model knows and an allele presents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers.epitopes import Epitope, parse_epitope, read_epitopes
from mmtool.io.readers.receptor_layout import shown
from mmtool.pipelines.binding_model import BindingModel

SHORTEST, LONGEST = 7, 25  # residues of an epitope


def epitope_problem(sequence: str) -> str:
    """Why an epitope can't be scored, or ``""``."""
    if SHORTEST <= len(sequence) <= LONGEST:
        return ""
    return f"epitope of {len(sequence)} residues, {SHORTEST} to {LONGEST} are known"


def given_epitopes(words: Sequence[str], file: Path | None, limits: Limits) -> list[Epitope]:
    """Epitopes of the command line and of a file, each once.

    Raises:
        UsageError: One of the command line is neither a peptide nor the SMILES of one.
        InputError: The file can't be read, or an entry of it is no peptide.
    """
    found = []
    for word in words:
        try:
            found.append(parse_epitope(word))
        except InputError as error:
            raise UsageError(error.message, error.hint) from error
    if file is not None:
        found += read_epitopes(file, limits)
    once: dict[str, Epitope] = {}
    for epitope in found:
        once.setdefault(epitope.sequence, epitope)
    return list(once.values())


def known_epitopes(model: BindingModel, hla: Sequence[str]) -> list[Epitope]:
    """All epitopes that a model knows binders of, most binders first.

    Args:
        model: The model.
        hla: Only those that one of these alleles presents; all if there are none.

    Raises:
        UsageError: An allele is not understood, or presents none of them.
    """
    known = [Epitope(e, given="known") for e in model.epitopes if not epitope_problem(e)]
    if not hla:
        return known
    asked = {word: standard_allele(word) for word in hla}
    for word, allele in asked.items():
        if not allele:
            raise UsageError(f"--hla {shown(word)}: no human MHC allele", "e.g. A*02:01")
    presented = alleles_of(model)
    kept = [
        epitope
        for epitope in known
        if any(_same(a, b) for a in asked.values() for b in presented.get(epitope.sequence, ()))
    ]
    if not kept:
        names = sorted({a for alleles in presented.values() for a in alleles})
        close = get_close_matches(next(iter(asked.values())), names, n=5, cutoff=0)
        raise UsageError(
            f"no known epitope is presented by {' or '.join(asked.values())}",
            f"the model knows epitopes of {', '.join(close)} and others" if close else "",
        )
    return kept


def alleles_of(model: BindingModel) -> dict[str, tuple[str, ...]]:
    """Epitope -> the alleles that its known binders were found with, sorted."""
    found: dict[str, set[str]] = {}
    for binder in model.binders:
        found.setdefault(binder.epitope, set()).update(_alleles(binder.mhc))
    return {epitope: tuple(sorted(alleles)) for epitope, alleles in found.items()}


@lru_cache(1 << 12)
def standard_allele(text: str) -> str:
    """``A0201``, ``HLA-A2`` or ``A*02:01`` in the words of IPD-IMGT/HLA; ``""`` if unknown."""
    from tidytcells import mh

    found = mh.standardize(text.strip(), species="homosapiens", log_failures=False)
    return found or ""


@lru_cache(1 << 12)
def _alleles(text: str) -> tuple[str, ...]:
    words: Iterable[str] = text.replace(",", "/").replace(";", "/").split("/")
    return tuple(a for a in map(standard_allele, words) if a)


def _same(one: str, other: str) -> bool:
    """Whether two alleles agree as far as both are known."""
    return one == other or one.startswith(f"{other}:") or other.startswith(f"{one}:")
