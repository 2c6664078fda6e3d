"""Published receptors are read as they were published."""

from __future__ import annotations

from pathlib import Path

from mmtool.pipelines.receptor_rows import ReceptorTable
from mmtool.pipelines.user_binders import read_binders


def test_paired_receptors_in_the_words_of_imgt_stay_as_they_are(shared: Path) -> None:
    table = ReceptorTable.open(shared / "data/tcr/background_paired_cd8mem.tsv.gz")
    rows = list(table.rows())
    assert len(rows) == table.count > 10_000
    assert not {row.reason for row in rows} - {""}
    assert all(row.receptor.cdr3_a and row.receptor.cdr3_b for row in rows)
    assert sum(bool(row.changes) for row in rows) == 0


def test_known_binders_are_a_reference(shared: Path) -> None:
    binders, notes = read_binders(shared / "data/tcr/train_extra_noncommercial.tsv.gz")
    assert len(notes) == 1
    assert all(b.epitope and b.receptor.usable for b in binders)
