"""A user's own known binders: any readable table that also has a column of epitopes."""

from __future__ import annotations

from pathlib import Path

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.epitopes import parse_epitope
from mmtool.pipelines.binding_epitopes import epitope_problem
from mmtool.pipelines.receptor_rows import ReceptorTable, Row
from mmtool.receptors import Binder

SOURCE = "user"


def read_binders(path: Path, limits: Limits | None = None) -> tuple[list[Binder], list[str]]:
    """Known binders of a table, and what to tell of it.

    Rows that hold no usable receptor or no epitope are left out and counted.

    Raises:
        InputError: Unreadable, no column of epitopes, or no usable row.
    """
    table = ReceptorTable.open(path, limits)
    if not table.layout.epitope:
        raise InputError(
            f"{path}: no column of epitopes", "a table of known binders has a column epitope"
        )
    found = [_binder(table, row) for row in table.rows()]
    binders = list(dict.fromkeys(b for b in found if b is not None))
    if not binders:
        raise InputError(f"{path}: no usable binder", "each row needs a CDR3 and an epitope")
    notes = [f"{len(binders)} known binders from {path.name}"]
    if None in found:
        notes.append(f"{found.count(None)} rows of {path.name} hold no usable binder")
    return binders, notes


def _binder(table: ReceptorTable, row: Row) -> Binder | None:
    layout = table.layout
    if row.reason:
        return None
    try:
        epitope = parse_epitope(table.value(row.cells, layout.epitope)).sequence
    except InputError:
        return None
    if epitope_problem(epitope):
        return None
    mhc = " ".join(table.value(row.cells, layout.mhc).split())
    reference = " ".join(table.value(row.cells, layout.reference).split())
    return Binder(row.receptor, epitope, mhc, reference, SOURCE)
