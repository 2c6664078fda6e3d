"""Which slide is whose: names of files against ids of patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

# Endings of slides and of features that tables keep in their column of slides.
_ENDINGS = frozenset(
    ".svs .tif .tiff .ndpi .mrxs .scn .vms .vmu .svslide .bif .czi .qptiff .dcm".split()
    + ".h5 .hdf5 .pt .npy".split()
)
_SHOWN = 3


@dataclass(frozen=True)
class Owners:
    """Slides of each patient.

    Attributes:
        slides: For each patient, in order, which of the names are the patient's.
        notes: Plain sentences: names that are nobody's, slides of the table that are not there.
    """

    slides: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]


def owners(
    names: Sequence[str], ids: Sequence[str], table: Mapping[str, Sequence[str]] | None = None
) -> Owners:
    """Give each slide to its patient.

    With a table, a slide belongs to the patient whose row names it. Without, its name is the
    patient's id, or begins with the id and goes on with no letter or digit, as TCGA's barcodes
    do; of several such ids the longest counts. Letters are compared as they are written, and where
    that gives no patient, in any case, unless two ids differ by that alone.

    Args:
        names: Of the slides, without folder and ending.
        ids: Of the patients.
        table: Patient -> names of slides, with or without endings.
    """
    if table is None:
        found = _by_beginning(names, ids)
        missing: list[str] = []
    else:
        said = {bare(slide): patient for patient, slides in table.items() for slide in slides}
        found = [said.get(bare(name)) for name in names]
        missing = sorted(set(said) - {bare(name) for name in names})
    mine: dict[str, list[int]] = {patient: [] for patient in ids}
    nobodys = []
    for k, patient in enumerate(found):
        if patient in mine:
            mine[patient].append(k)
        else:
            nobodys.append(names[k])
    notes = []
    if nobodys:
        notes.append(f"{len(nobodys)} slides belong to none of the patients: {_list(nobodys)}")
    if missing:
        notes.append(f"{len(missing)} slides of the table have no file: {_list(missing)}")
    return Owners(tuple(tuple(mine[patient]) for patient in ids), tuple(notes))


def bare(name: str) -> str:
    """A slide's name without a known ending."""
    path = PurePath(name)
    return path.stem if path.suffix.lower() in _ENDINGS else path.name


def _by_beginning(names: Sequence[str], ids: Sequence[str]) -> list[str | None]:
    known = {i: i for i in ids}
    folded = {i.casefold(): i for i in ids}
    if len(folded) < len(known):
        folded = {}
    out: list[str | None] = []
    for name in names:
        ends = [len(name), *(k for k in range(len(name) - 1, 0, -1) if not name[k].isalnum())]
        begins = [name[:end] for end in ends]
        found = next((known[b] for b in begins if b in known), None)
        other = (folded[b.casefold()] for b in begins if b.casefold() in folded)
        out.append(found if found is not None else next(other, None))
    return out


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
