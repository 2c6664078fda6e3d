"""Lines about proteins that the text and the page of a report share."""

from __future__ import annotations

from collections.abc import Iterator

from mmtool.proteins import Protein, Relative

PROTEINS = "PRELIMINARY REPORT, made by software from sequences. No function was measured."
HEAD = ("relative", "equal", "needed", "aligned", "covers", "bits", "described as")


def protein_line(protein: Protein) -> str:
    """What is said of a protein, or why nothing is."""
    if protein.told:
        return protein.sentence
    return f"{protein.name}: nothing is told, since {'; '.join(protein.reasons)}."


def protein_facts(protein: Protein) -> str:
    """Number, length and the words that were given of a protein."""
    given = f"; given as “{protein.given}”" if protein.given else ""
    return f"protein {protein.number}, {protein.length:,} residues{given}"


def relative_cells(relative: Relative) -> tuple[str, ...]:
    """One row under `HEAD`."""
    name = relative.id.rpartition("#")[2]
    described = relative.text or "no description"
    if relative.organism:
        described += f" ({relative.organism})"
    return (
        name if relative.counts else f"{name} (not counted)",
        f"{relative.identity:.0%}",
        f"{relative.needed:.0%}",
        str(relative.aligned),
        f"{relative.coverage:.0%}",
        f"{relative.bits:.0f}",
        described,
    )


def relative_lines(protein: Protein) -> Iterator[str]:
    """The relatives that count, in a line each."""
    for relative in protein.relatives:
        if relative.counts:
            name, equal, _, aligned, covers, bits, described = relative_cells(relative)
            yield f"{name}: {equal} of {aligned} equal, covers {covers}, {bits} bits: {described}"
