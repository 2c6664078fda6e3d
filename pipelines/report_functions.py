"""What is said of a protein's function: the words of its nearest relative, or nothing, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmtool.models.report.homology import FEWEST_BITS
from mmtool.models.text.protein_names import says_something
from mmtool.pipelines.evaluation.report_metrics import token_f1
from mmtool.proteins import Relative

_MUCH_ALIKE = 0.5  # F1 of the words of two descriptions from which on they say the same
_DISAGREE = 0.5  # share of the others from which on they bear the quoted one out
_OTHERS = 3  # that are named
_QUOTE = 1_200  # letters


@dataclass(frozen=True)
class Function:
    """What is said, or why nothing is.

    Attributes:
        text: Quoted, or "".
        source: Id of the relative that it is of, or "".
        sentence: As it is told.
        agreement: See `mmtool.proteins.Protein`.
        reasons: Why nothing is said.
    """

    text: str = ""
    source: str = ""
    sentence: str = ""
    agreement: float | None = None
    reasons: tuple[str, ...] = ()


def function_of(name: str, relatives: Sequence[Relative]) -> Function:
    """The description of the nearest relative that has one, where it is near enough.

    After Prot2Text (10.1609/aaai.v38i10.28948), whose task this is; here no word is made up, since
    the words are those of a protein that is known.

    Args:
        name: Of the protein.
        relatives: The most bits first.
    """
    near = [r for r in relatives if r.counts]
    if not near:
        return Function(reasons=(_far(relatives),))
    told = [r for r in near if says_something(r.text)]
    if not told:
        return Function(
            reasons=(f"none of the {len(near)} relatives has a description that says something",)
        )
    best, others = told[0], told[1:]
    agreement = _agreement(best, others)
    return Function(
        text=_shortened(best.text),
        source=best.id,
        sentence=_sentence(name, best, others, agreement),
        agreement=agreement,
    )


def disagree(agreement: float | None) -> bool:
    """Whether the other relatives are mostly described otherwise."""
    return agreement is not None and agreement < _DISAGREE


def _agreement(best: Relative, others: Sequence[Relative]) -> float | None:
    whole = sum(r.bits for r in others)
    same = sum(r.bits for r in others if token_f1(r.text, best.text) >= _MUCH_ALIKE)
    return round(same / whole, 4) if others else None


def _far(relatives: Sequence[Relative]) -> str:
    if not relatives:
        return "nothing in the index aligns with it"
    best = relatives[0]
    return (
        f"no relative is near enough: the nearest has {best.bits:.0f} bits where {FEWEST_BITS:.0f} "
        f"are needed, and {best.identity:.0%} of {best.aligned} aligned residues are equal where "
        f"{best.needed:.0%} are needed"
    )


def _sentence(
    name: str, best: Relative, others: Sequence[Relative], agreement: float | None
) -> str:
    doubt = disagree(agreement)
    words = _shortened(best.text).rstrip(".")
    told = f"{name}: {'possibly ' if doubt else ''}“{words}”, as {short_id(best.id)} is described "
    told += (
        f"({best.identity:.0%} of {best.aligned} aligned residues are equal, {best.needed:.0%} are "
        f"needed; {best.bits:.0f} bits; {best.coverage:.0%} of the protein is aligned)."
    )
    if agreement is None:
        return told + " No other relative has a description."
    told += f" Of {len(others)} more with a description, {agreement:.0%} by bits say much the same."
    if doubt:
        unlike = [r.text for r in others if token_f1(r.text, best.text) < _MUCH_ALIKE]
        named = "; ".join(f"“{_shortened(t, 120)}”" for t in dict.fromkeys(unlike[:_OTHERS]))
        told += f" Its relatives disagree: {named}."
    return told


def short_id(key: str) -> str:
    """Name of a record within its file: ``sp|P69905|HBA_HUMAN`` of ``db.fasta#sp|P69905|...``."""
    return key.rpartition("#")[2]


def _shortened(words: str, most: int = _QUOTE) -> str:
    """Words cut between two of them, and marked where they are cut."""
    return words if len(words) <= most else words[:most].rsplit(maxsplit=1)[0] + " ..."
