"""Tables of T-cell receptors of any supported format: the format is known by the header."""

from __future__ import annotations

from pathlib import Path

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers import adaptive, airr, iedb, mcpas, plain_receptors, tenx, vdjdb
from mmtool.io.readers.receptor_layout import Columns, Layout, shown
from mmtool.io.readers.table_text import TextTable, open_table

_FORMATS = (airr, vdjdb, tenx, mcpas, adaptive, iedb, plain_receptors)


def open_receptors(path: Path, limits: Limits | None = None) -> tuple[TextTable, Layout]:
    """Look at a table and say what its columns mean; its rows come from ``TextTable.rows``.

    Raises:
        InputError: No readable table, or none of its columns is known to hold CDR3s.
    """
    table = open_table(path, limits or Limits())
    columns = Columns(table.columns, path)
    for form in _FORMATS:
        if form.sniff(columns):
            return table, form.layout(columns)
    names = ", ".join(shown(name, 20) for name in table.columns[:8])
    more = f" and {len(table.columns) - 8} more" if len(table.columns) > 8 else ""
    raise InputError(
        f"{path}: no column of CDR3s among {names}{more}",
        "name it junction_aa, cdr3a, cdr3b or the like; docs/tcr-bind.md lists the formats",
    )
