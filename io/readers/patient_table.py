"""Tables of patients: words of clinical columns, and numbers of any many columns of features."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers.outcome_columns import id_column
from mmtool.io.readers.table_text import open_table

_WIDE_LINE = 1 << 24  # characters: a line of 40,000 genes has some 400,000
_LOOK = 50  # rows that are looked at to tell words from numbers
_MOST = 3e38  # of a float32
_MAX_CELLS = 1_000_000_000
# The last part of a feature's name tells its block: TP53_rnaseq, TP53_mut.
SUFFIXES = frozenset(
    "rnaseq rna mrna expr cnv cna mut mutation meth methylation mirna protein rppa".split()
)
MISSING = frozenset("na n/a #n/a nan null none . ? - -- unknown missing".split()) | {
    *("", "not available", "not reported", "not evaluated", "not applicable", "discrepancy")
}


@dataclass(frozen=True)
class PatientTable:
    """A table with a row for each patient, sample or slide.

    Attributes:
        path: The file.
        names: C columns of words.
        cells: R rows of C cells, as they stand, without blanks around.
        features: F columns of numbers.
        values: (R, F) float32; NaN is unknown.
    """

    path: Path
    names: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    features: tuple[str, ...]
    values: NDArray[np.float32]


def is_missing(cell: str) -> bool:
    """Whether a cell says that nothing is known; ``[Not Available]`` does too."""
    return cell.strip().strip("[]").lower() in MISSING


def suffix_of(name: str) -> str:
    """The block that a feature's name tells, in lower case, or ``""``."""
    end = name.rpartition("_")[2].lower()
    return end if end in SUFFIXES and end != name.lower() else ""


def read_patient_table(
    path: Path, limits: Limits, *, omics: bool = False, id_name: str | None = None
) -> PatientTable:
    """Read a whole table.

    Args:
        path: CSV or TSV, plain, gzip or zip of one; Parquet.
        limits: Bounds.
        omics: Whether all columns of numbers are features; else only those whose names have a
            suffix of a block.
        id_name: Column of the patients' names, if the user gave it.

    Raises:
        InputError: No table, no rows, a column twice, or words among numbers.
        LimitError: It is larger than the limits allow.
    """
    wide = replace(limits, max_line_chars=max(limits.max_line_chars, _WIDE_LINE))
    columns, rows = _opened(path, wide)
    head = list(islice(rows, _LOOK))
    if not head:
        raise InputError(f"{path}: no rows under the header", "one row for each patient")
    twice = [name for name, n in Counter(columns).items() if n > 1 and name.strip()]
    if twice:
        raise InputError(f"{path}: column '{twice[0][:60]}' stands twice", "rename one")
    numbers = _feature_places(columns, [cells for _, cells in head], omics, id_name, path)
    words = [i for i in range(len(columns)) if i not in set(numbers)]
    return _collected(path, columns, words, numbers, _chained(head, rows))


def _opened(path: Path, limits: Limits) -> tuple[tuple[str, ...], Iterator[tuple[int, list[str]]]]:
    from mmtool.io.readers.parquet_table import is_parquet, parquet_rows

    if is_parquet(path):
        return parquet_rows(path, limits)
    table = open_table(path, limits)
    return tuple(c.strip() for c in table.columns), table.rows()


def _chained(
    head: Iterable[tuple[int, list[str]]], rows: Iterable[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    yield from head
    yield from rows


def _feature_places(
    columns: Sequence[str],
    head: Sequence[Sequence[str]],
    omics: bool,
    id_name: str | None,
    path: Path,
) -> list[int]:
    """Columns that are read as numbers."""
    named = [i for i, name in enumerate(columns) if suffix_of(name)]
    if named or not omics:
        return named
    key = id_column(columns, id_name, path)
    key = 0 if key is None else key
    out = []
    for i in range(len(columns)):
        cells = [row[i] for row in head if i < len(row)]
        if i != key and all(is_missing(c) or _is_number(c) for c in cells):
            out.append(i)
    return out


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _collected(
    path: Path,
    columns: Sequence[str],
    words: Sequence[int],
    numbers: Sequence[int],
    rows: Iterable[tuple[int, list[str]]],
) -> PatientTable:
    width = len(columns)
    pick = itemgetter(*numbers) if len(numbers) > 1 else None
    cells: list[tuple[str, ...]] = []
    values = array("f")
    for line, row in rows:
        row += [""] * (width - len(row))
        cells.append(tuple(row[i].strip() for i in words))
        chosen = pick(row) if pick else [row[i] for i in numbers]
        try:
            values.extend(array("f", map(float, chosen)))
        except (ValueError, OverflowError):
            values.extend(_numbers(chosen, [columns[i] for i in numbers], path, line))
        if len(values) > _MAX_CELLS:
            raise LimitError(f"{path}: more than {_MAX_CELLS:,} numbers", "split the table")
    found = np.frombuffer(values, np.float32) if len(values) else np.zeros(0, np.float32)
    found = found.reshape(len(cells), len(numbers)).copy()
    found[~np.isfinite(found)] = np.nan
    names = tuple(columns[i] for i in words)
    return PatientTable(path, names, tuple(cells), tuple(columns[i] for i in numbers), found)


def _numbers(cells: Sequence[str], names: Sequence[str], path: Path, line: int) -> array[float]:
    """Numbers of a row in which not every cell is one."""
    out = array("f")
    for name, cell in zip(names, cells, strict=True):
        if is_missing(cell):
            out.append(float("nan"))
            continue
        try:
            value = float(cell)
            out.append(value if abs(value) < _MOST else float("nan"))
        except ValueError as error:
            raise InputError(
                f"{path} line {line}: no number under '{name[:60]}'",
                "leave unknown cells empty, or write NA",
            ) from error
    return out


_BARCODE = re.compile(r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})-([0-9]{2})[A-Z]?(-.*)?", re.I)


def patient_of(name: str) -> tuple[str, bool]:
    """The patient that a sample belongs to, and whether it is of a tumour.

    A TCGA barcode such as ``TCGA-05-4244-01A`` is cut to its patient; types 10 to 19 are normal
    tissue. Any other name is the patient itself.
    """
    match = _BARCODE.fullmatch(name.strip())
    if match is None:
        return name.strip(), True
    return match[1].upper(), not 10 <= int(match[2]) <= 19
