"""Tab-separated tables: UTF-8, LF, a header line, no quotes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmtool.io.atomic import replace_into
from mmtool.types import Label, Measurement

Cell = str | int | float | None


def cell(value: Cell) -> str:
    """Text of one cell.

    Numbers keep their sign. Words that a spreadsheet would run as a formula get an apostrophe in
    front; tabs and line breaks become blanks. None and NaN are empty.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, int | float):
        return repr(value)
    text = " ".join(value.split())
    return f"'{text}" if text[:1] in tuple("=+-@") else text


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table.

    Args:
        path: Target.
        columns: Header.
        rows: One cell for each column.

    Raises:
        ValueError: A row has another number of cells than the header.
    """
    lines = ["\t".join(columns)]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} cells under {len(columns)} columns")
        lines.append("\t".join(cell(v) for v in row))
    with replace_into(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def write_labels_tsv(path: Path, table: Sequence[Label]) -> None:
    """Write what each voxel value means.

    ``code`` is that of the structure without its side, in the scheme beside it: ``SCT`` is
    SNOMED CT; what SNOMED CT lacks has a code of DICOM (``DCM``).
    """
    columns = ("index", "name", "scheme", "code", "meaning", "laterality", "color")
    rows = [
        (
            label.index,
            label.name,
            label.code.scheme,
            label.code.value,
            label.code.meaning,
            label.laterality.meaning if label.laterality else "",
            "#{:02x}{:02x}{:02x}".format(*label.color),
        )
        for label in table
    ]
    write_tsv(path, columns, rows)


def write_measurements_tsv(path: Path, rows: Sequence[Measurement]) -> None:
    """Write one line a structure."""
    extra = list(rows[0].extra) if rows else []
    columns = ("index", "name", "scheme", "code", "laterality", "voxels", "volume_ml", *extra)
    write_tsv(
        path,
        columns,
        [
            (
                m.label.index,
                m.label.name,
                m.label.code.scheme,
                m.label.code.value,
                m.label.laterality.meaning if m.label.laterality else "",
                m.voxels,
                round(m.volume_ml, 3),
                *(m.extra[name] for name in extra),
            )
            for m in rows
        ],
    )
