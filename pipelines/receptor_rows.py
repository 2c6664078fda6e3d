"""From the rows of a table to receptors: every row is kept, and says what was made of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.receptor_layout import ALPHA, BETA, ChainColumns, Layout, key, shown
from mmtool.io.readers.receptors import open_receptors
from mmtool.io.readers.table_text import TextTable
from mmtool.pipelines.receptor_names import Chain, Change, RawChain, clean_chain, is_nothing
from mmtool.receptors import Receptor

_HUMAN = re.compile(r"human|homosapiens(human)?|hsapiens|(.*taxon)?9606")  # names, NCBI's number
_NO = frozenset({"f", "false", "no", "n", "0", "none"})
_NO_JUNCTION = "no junction"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        number: Of the row, from 1.
        cells: As they stand, one for each column.
        receptor: What is scored; of a cell, both of its chains.
        own: The row's own chain, where a row holds one.
        reason: Why it can't be scored; ``""`` if it can.
        changes: What was not taken as it stood.
    """

    number: int
    cells: list[str]
    receptor: Receptor
    own: Chain | None
    reason: str
    changes: tuple[Change, ...]


_Ranked = tuple[tuple[bool, float], Chain]


@dataclass
class ReceptorTable:
    """A table of receptors that was read through once, so that its cells are paired.

    Attributes:
        text: The table itself.
        layout: What its columns mean.
        count: Its rows.
        notes: Plain sentences for the user.
    """

    text: TextTable
    layout: Layout
    count: int = 0
    notes: list[str] = field(default_factory=list)
    _cells: dict[str, dict[str, _Ranked]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, limits: Limits | None = None) -> ReceptorTable:
        """Read a table through.

        Raises:
            InputError: It can't be read as a whole, or has no rows.
        """
        text, layout = open_receptors(path, limits)
        table = cls(text, layout)
        several: Counter[str] = Counter()
        for table.count, (_, cells) in enumerate(text.rows(), start=1):
            if layout.cell:
                table._pair(_filled(cells, len(text.columns)), several)
        if not table.count:
            raise InputError(f"{path}: no rows under the header", "the table has no receptors")
        table.notes = table._notes(several)
        return table

    def rows(self) -> Iterator[Row]:
        """Each row, in the order of the file."""
        width = len(self.text.columns)
        for number, (_, cells) in enumerate(self.text.rows(), start=1):
            missing = width - len(cells)
            row = self._row(number, _filled(cells, width))
            if missing > 0:
                told = Change("short row", f"row: {width - missing} of {width} cells")
                row = Row(number, cells, row.receptor, row.own, row.reason, (*row.changes, told))
            yield row

    def value(self, cells: Sequence[str], places: Sequence[int]) -> str:
        """The first cell among these columns that says something, stripped."""
        for place in places:
            text = cells[place].strip()
            if text and not is_nothing(text):
                return text
        return ""

    def _row(self, number: int, cells: list[str]) -> Row:
        reason = self._refused(cells)
        chains = [clean_chain(self._raw(cells, columns)) for columns in self.layout.chains]
        own = chains[0] if self.layout.one_chain else None
        changes = tuple(change for chain in chains for change in chain.changes)
        if own is not None and self.layout.cell and not reason and not own.reason:
            return self._cell_row(number, cells, own, changes)
        receptor, why, left_out = _receptor(chains)
        if reason or why:
            return Row(number, cells, Receptor(), own, reason or why, changes)
        return Row(number, cells, receptor, own, "", changes + left_out)

    def _cell_row(
        self, number: int, cells: list[str], own: Chain, changes: tuple[Change, ...]
    ) -> Row:
        """A chain of a cell: the receptor is the pair that was chosen for the cell."""
        known = self._cells.get(self._cell(cells), {})
        chosen = {locus: chain for locus, (_, chain) in known.items()} or {own.locus: own}
        if (chosen[own.locus].cdr3, chosen[own.locus].v) != (own.cdr3, own.v):
            words = f"cell: another TR{own.locus} chain of it was taken"
            changes = (*changes, Change("other chain taken", words))
        return Row(number, cells, _receptor(list(chosen.values()))[0], own, "", changes)

    def _refused(self, cells: Sequence[str]) -> str:
        """Why the table itself, or the species, rules a row out."""
        for place, bad, reason in self.layout.required:
            if cells[place].strip().lower() in bad:
                return reason
        species = self.value(cells, self.layout.species)
        if species and not _HUMAN.fullmatch(key(species)):
            return f"not human ({shown(species, 20)})"
        return ""

    def _raw(self, cells: Sequence[str], columns: ChainColumns) -> RawChain:
        names = self.text.columns

        def first(places: tuple[int, ...]) -> tuple[str, str]:
            place = next((p for p in places if not is_nothing(cells[p])), None)
            return ("", "") if place is None else (cells[place].strip(), names[place])

        (v, v_name), (j, j_name) = first(columns.v), first(columns.j)
        cdr3, cdr3_name = first(columns.cdr3)
        locus = columns.locus or first(columns.loci)[0]
        return RawChain(locus, v, j, cdr3, v_name, j_name, cdr3_name)

    def _cell(self, cells: Sequence[str]) -> str:
        """Name of the cell of a row; ``""`` where it belongs to none."""
        first = cells[self.layout.cell[0]].strip()
        if is_nothing(first) or first == "0":
            return ""
        return "\t".join(cells[place].strip() for place in self.layout.cell)

    def _pair(self, cells: list[str], several: Counter[str]) -> None:
        """Keep the best chain of each kind of a cell."""
        cell = self._cell(cells)
        if not cell or self._refused(cells):
            return
        chain = clean_chain(self._raw(cells, self.layout.chains[0]))
        if chain.reason:
            return
        sure = not any(cells[place].strip().lower() in _NO for place in self.layout.doubtful)
        rank = (sure, _number(self.value(cells, self.layout.counts)))
        known = self._cells.setdefault(cell, {})
        if chain.locus in known:
            several[cell] += 1
        if chain.locus not in known or rank > known[chain.locus][0]:
            known[chain.locus] = (rank, chain)

    def _notes(self, several: Counter[str]) -> list[str]:
        notes = [f"read as {self.layout.format}"]
        if self.text.encoding == "latin-1":
            notes.append("not UTF-8: read as latin-1, written as UTF-8")
        if self._cells:
            paired = sum(len(chains) == 2 for chains in self._cells.values())
            notes.append(f"{paired} of {len(self._cells)} cells have both chains")
        if several:
            notes.append(f"{len(several)} cells have several chains of a kind: most reads count")
        return notes


def _filled(cells: list[str], width: int) -> list[str]:
    cells.extend([""] * (width - len(cells)))
    return cells


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _receptor(chains: Sequence[Chain]) -> tuple[Receptor, str, tuple[Change, ...]]:
    """One receptor of the chains of a row, why there is none, and what was left out."""
    usable = [c for c in chains if not c.reason]
    faults = [c for c in chains if c.reason and c.reason != _NO_JUNCTION]
    if not usable:
        return Receptor(), (faults or list(chains))[0].reason, ()
    left_out = tuple(
        Change("chain left out", f"{_word(c)} chain left out: {c.reason}") for c in faults
    )
    parts: dict[str, Chain] = {}
    for chain in chains:
        if chain not in faults and chain.locus:
            parts.setdefault(chain.locus, chain)
    a, b = parts.get(ALPHA), parts.get(BETA)
    return (
        Receptor(
            v_a=a.v if a else "",
            j_a=a.j if a else "",
            cdr3_a=a.cdr3 if a else "",
            v_b=b.v if b else "",
            j_b=b.j if b else "",
            cdr3_b=b.cdr3 if b else "",
        ),
        "",
        left_out,
    )


def _word(chain: Chain) -> str:
    return {ALPHA: "alpha", BETA: "beta"}.get(chain.locus, "other")
