"""Published folds: a folder of ``splits_0.csv`` ... with columns of training and held-out names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.patient_table import is_missing, patient_of
from mmtool.io.readers.table_text import open_table

_TRAIN, _HELD = ("train",), ("val", "test", "validation")


@dataclass(frozen=True)
class FoldFile:
    """One fold.

    Attributes:
        name: Of the file.
        train: Names of the training patients.
        held_out: Names of those that it is measured on.
    """

    name: str
    train: frozenset[str]
    held_out: frozenset[str]


def read_folds(folder: Path, limits: Limits) -> list[FoldFile]:
    """The folds of a folder, by the names of the files.

    Raises:
        InputError: No such folder or no file in it, a column is absent, or a patient is on both
            sides.
    """
    files = sorted(folder.glob("*.csv")) if folder.is_dir() else []
    if not files:
        raise InputError(
            f"{folder}: no folder with files of folds",
            "give a folder of CSV files with columns train and val, or a number",
        )
    return [_read(path, limits) for path in files]


def _read(path: Path, limits: Limits) -> FoldFile:
    table = open_table(path, limits)
    columns = [c.strip().lower() for c in table.columns]
    train = next((columns.index(n) for n in _TRAIN if n in columns), None)
    held = next((columns.index(n) for n in _HELD if n in columns), None)
    if train is None or held is None:
        raise InputError(f"{path}: no columns train and val", "one name in each cell")
    sides: tuple[set[str], set[str]] = (set(), set())
    for _, cells in table.rows():
        for side, place in zip(sides, (train, held), strict=True):
            if place < len(cells) and not is_missing(cells[place]):
                side.add(patient_of(cells[place])[0])
    both = len(sides[0] & sides[1])
    if both:
        raise InputError(f"{path}: {both} patients are on both sides", "a fold must part them")
    return FoldFile(path.name, frozenset(sides[0]), frozenset(sides[1]))
