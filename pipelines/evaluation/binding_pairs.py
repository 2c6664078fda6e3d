"""Pairs of receptor and epitope to measure a model on, from tables of any readable kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers.epitopes import parse_epitope
from mmtool.io.readers.receptor_layout import key, shown
from mmtool.pipelines.binding_epitopes import epitope_problem
from mmtool.pipelines.evaluation.binding_donors import donor_of, donor_place
from mmtool.pipelines.receptor_rows import ReceptorTable, Row
from mmtool.receptors import Receptor

_LABELS = frozenset({"label", "labels", "binder", "binding", "isbinder", "binds", "bound"})
_YES = frozenset({"1", "1.0", "true", "t", "yes", "y", "positive", "binder"})
_NO = frozenset({"0", "0.0", "-1", "-1.0", "false", "f", "no", "n", "negative", "nonbinder"})
_ROUNDS = 50  # of putting right what a shuffle has put on a known pair


@dataclass(frozen=True, slots=True)
class Pair:
    """One row to score.

    Attributes:
        row: Of the table, from 1; 0 for a pair that was made here.
        receptor: The receptor.
        epitope: The peptide.
        binds: What the table says.
        reference: Publication of a known pair, or ``""``.
        seen: Rows of its own table in which the receptor stands; pairs made here don't count.
        donor: Who the receptor came from, or ``""``.
    """

    row: int
    receptor: Receptor
    epitope: str
    binds: bool
    reference: str = ""
    seen: int = 1
    donor: str = ""


@dataclass
class PairTable:
    """All pairs of an evaluation.

    Attributes:
        pairs: Those with receptor, epitope and label.
        notes: Plain sentences for the user.
    """

    pairs: list[Pair] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_pairs(path: Path, label_column: str | None, limits: Limits | None = None) -> PairTable:
    """Labelled pairs of a table; without a column of labels every row is a binder.

    Rows without a usable receptor, epitope or label are left out and counted.

    Raises:
        InputError: Unreadable, no column of epitopes, a label that is neither yes nor no, or no
            usable row.
    """
    table = ReceptorTable.open(path, limits)
    if not table.layout.epitope:
        raise InputError(f"{path}: no column of epitopes", "name one of its columns epitope")
    place = _label_place(table, label_column)
    donor = donor_place(table.text.columns)
    left: Counter[str] = Counter()
    found = []
    for row in table.rows():
        pair, why = _pair(table, row, place)
        if pair is None:
            left[why] += 1
        else:
            found.append(pair if donor is None else replace(pair, donor=donor_of(row.cells[donor])))
    if not found:
        raise InputError(f"{path}: no usable row", f"left out: {_words(left)}")
    notes = [*table.notes, *([f"rows left out: {_words(left)}"] if left else [])]
    if place is None:
        notes.append("no column of labels: every row is taken as a binder")
    twice = len(found) - len({(p.receptor, p.epitope, p.binds) for p in found})
    if twice:
        notes.append(f"{twice} rows repeat an earlier one; each counts")
    return PairTable(_counted(found), notes)


def _label_place(table: ReceptorTable, name: str | None) -> int | None:
    columns = table.text.columns
    if name is not None:
        places = [i for i, c in enumerate(columns) if c == name]
    else:
        places = [i for i, c in enumerate(columns) if key(c) in _LABELS]
    if len(places) > 1 or (name is not None and not places):
        what = "stands twice" if name and places else "is not there"
        told = f"the column '{shown(name)}' {what}" if name else "several columns may be the labels"
        names = ", ".join(shown(columns[i], 20) for i in (places or range(min(12, len(columns)))))
        raise InputError(f"{table.text.path}: {told}", f"--label-column: one of {names}")
    return places[0] if places else None


def _pair(table: ReceptorTable, row: Row, place: int | None) -> tuple[Pair | None, str]:
    """A row's pair, or why there is none."""
    if row.reason:
        return None, row.reason
    try:
        epitope = parse_epitope(table.value(row.cells, table.layout.epitope)).sequence
    except InputError:
        return None, "no epitope"
    if epitope_problem(epitope):
        return None, "epitope of another length"
    binds = True
    if place is not None:
        word = row.cells[place].strip()
        if not word:
            return None, "no label"
        binds = word.lower() in _YES
        if not binds and word.lower() not in _NO:
            raise InputError(
                f"{table.text.path}: row {row.number}: label '{shown(word, 20)}'",
                "labels are 1 and 0 (or -1), true and false, yes and no",
            )
    reference = table.value(row.cells, table.layout.reference)
    return Pair(row.number, row.receptor, epitope, binds, reference), ""


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {why}" for why, n in counts.most_common())


def _counted(pairs: Sequence[Pair]) -> list[Pair]:
    """The same pairs, each told how often its receptor stands among them."""
    seen = Counter(p.receptor for p in pairs)
    return [replace(p, seen=seen[p.receptor]) for p in pairs]


def with_swaps(table: PairTable, seed: int) -> PairTable:
    """One negative for each binder: the receptors are dealt anew among the same epitopes.

    Every epitope gets as many negatives as it has binders and every receptor stands as often in
    negatives as in binders, so that neither tells the label. A receptor that only known pairs are
    left for has no negative.

    Raises:
        UsageError: All binders are of one epitope, or there are negatives already.
    """
    if not all(p.binds for p in table.pairs):
        raise UsageError("--negatives swap: the table has negatives", "leave it out")
    if len({p.epitope for p in table.pairs}) < 2:
        raise UsageError(
            "--negatives swap: all binders are of one epitope", "give --controls TABLE"
        )
    known = {(p.receptor, p.epitope) for p in table.pairs}
    receptors = [p.receptor for p in table.pairs]
    dealt = _dealt(receptors, [p.epitope for p in table.pairs], known, seed)
    made = [
        Pair(0, binder.receptor, epitope, False, seen=binder.seen)
        for binder, epitope in zip(table.pairs, dealt, strict=True)
        if (binder.receptor, epitope) not in known
    ]
    notes = [*table.notes, f"negatives: {len(made)} receptors with another epitope of the table"]
    if len(made) < len(table.pairs):
        notes.append(f"{len(table.pairs) - len(made)} binders have no negative: none was free")
    return PairTable([*table.pairs, *made], notes)


def _dealt(
    receptors: Sequence[Receptor],
    epitopes: Sequence[str],
    known: set[tuple[Receptor, str]],
    seed: int,
) -> list[str]:
    """The epitopes in another order, with as few known pairs as some rounds of swaps leave."""
    draw = np.random.default_rng(seed)
    out = [epitopes[i] for i in draw.permutation(len(epitopes))]
    for _ in range(_ROUNDS):
        wrong = [i for i, r in enumerate(receptors) if (r, out[i]) in known]
        if not wrong:
            break
        for i, j in zip(wrong, draw.integers(len(out), size=len(wrong)), strict=True):
            fits = (receptors[i], out[j]) not in known and (receptors[j], out[i]) not in known
            if fits:
                out[i], out[j] = out[j], out[i]
    return out


def with_controls(table: PairTable, path: Path, limits: Limits | None = None) -> PairTable:
    """Each receptor of another table as a negative of every epitope that has binders.

    Receptors that are binders in the table are left out.

    Raises:
        InputError: Unreadable, or without a usable receptor.
    """
    controls = ReceptorTable.open(path, limits)
    binders = {p.receptor for p in table.pairs if p.binds}
    counts = Counter(row.receptor for row in controls.rows() if not row.reason)
    free = [r for r in counts if r not in binders]
    if not free:
        raise InputError(f"{path}: no usable control", "it holds receptors that bind nothing known")
    epitopes = sorted({p.epitope for p in table.pairs if p.binds})
    made = [Pair(0, r, e, False, seen=counts[r]) for e in epitopes for r in free]
    notes = [*table.notes, f"negatives: {len(free)} receptors of {path.name} with every epitope"]
    if len(free) < len(counts):
        notes.append(f"{len(counts) - len(free)} of {path.name} are binders: left out")
    return PairTable([*table.pairs, *made], notes)
