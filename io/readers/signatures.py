"""Groups of genes: a table with a group in each column, as MSigDB's families are passed on."""

from __future__ import annotations

from pathlib import Path

from mmtool.io.limits import Limits
from mmtool.io.readers.patient_table import is_missing
from mmtool.io.readers.table_text import open_table


def read_signatures(path: Path | None, limits: Limits) -> dict[str, frozenset[str]]:
    """Group -> names of its genes.

    Args:
        path: CSV or TSV; the header names the groups, the cells below are genes. None for none.
        limits: Bounds of the reader.

    Raises:
        InputError: No table.
    """
    if path is None:
        return {}
    table = open_table(path, limits)
    groups: list[set[str]] = [set() for _ in table.columns]
    for _, cells in table.rows():
        for group, cell in zip(groups, cells, strict=False):
            if not is_missing(cell):
                group.add(cell.strip())
    names = (name.strip() for name in table.columns)
    return {name: frozenset(g) for name, g in zip(names, groups, strict=True) if g}
