"""A table of what images truly are, for the self-test of ``mmtool report``."""

from __future__ import annotations

from pathlib import Path

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.table_text import open_table

FACTS = ("modality", "plane", "region")
CASE = "case"
_IMAGE = "image"


def read_image_truths(path: Path, limits: Limits) -> dict[str, dict[str, str]]:
    """Facts by the name of the image's file.

    Args:
        path: CSV or TSV with the column ``image``, one or more of `FACTS`, and ``case`` where
            several images are of one case. Other columns are passed over, empty cells not known.
        limits: Of tables.

    Returns:
        Column -> cell, of the cells that are not empty, by the last part of the image's path.

    Raises:
        InputError: No table, a column is not there, or an image stands in it twice.
    """
    table = open_table(path, limits)
    columns = [name.strip().lower() for name in table.columns]
    if _IMAGE not in columns or not set(FACTS) & set(columns):
        raise InputError(
            f"{path}: needs the column '{_IMAGE}' and one of {', '.join(FACTS)}",
            f"it has {', '.join(columns)[:160]}",
        )
    out: dict[str, dict[str, str]] = {}
    for number, cells in table.rows():
        row = {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}
        image = Path(row.get(_IMAGE, "")).name
        if image in out:
            raise InputError(f"{path} line {number}: {image} a second time", "one row for each")
        if image:
            out[image] = {name: row[name] for name in (*FACTS, CASE) if row.get(name)}
    return out
