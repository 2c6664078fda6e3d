"""The tables of ``mmtool tcr-bind``, written chunk by chunk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError
from mmtool.io.readers import airr
from mmtool.io.readers.epitopes import Epitope, parse_epitope
from mmtool.io.writers.receptor_table import open_rows
from mmtool.io.writers.tables import write_tsv
from mmtool.pipelines.binding_attention import AttentionWriter, open_attention
from mmtool.pipelines.binding_epitopes import alleles_of, epitope_problem
from mmtool.pipelines.binding_model import AttendingModel, BindingModel
from mmtool.pipelines.receptor_rows import ReceptorTable, Row
from mmtool.receptors import Binder, Receptor

_PAIRS = 1_000_000  # scores that are held at a time
_ROWS = 8192  # rows that are held at a time
_AIRR = ("locus", "v_call", "j_call", "junction_aa")
_OURS = ("row", "epitope", "score", "percentile", "probability", "status")
_NEAREST = ("cdr3a", "v_a", "cdr3b", "v_b", "distance", "reference")
_RECEPTOR = ("v_a", "j_a", "cdr3_a", "v_b", "j_b", "cdr3_b")
COLUMNS = tuple(
    f"mmtool_{name}"
    for name in (*_OURS, *(f"nearest_{n}" for n in _NEAREST), *_RECEPTOR, "changes")
)
_BINDER = ("cdr3a", "v_a", "j_a", "cdr3b", "v_b", "j_b", "mhc", "reference", "source")
_SPREAD = ("mmtool_sd_dropout", "mmtool_sd_spelling")
_EVIDENCE = ("row", "mmtool_epitope", "mmtool_score", "rank", "distance", *_BINDER)
_MOST_REASONS = 20


class Line(NamedTuple):
    """One receptor and one epitope.

    Attributes:
        epitope: Letters, or what stood in the row where that is no peptide.
        problem: Why there is no score; ``""`` if there is one.
        score, percentile, probability, nearest, distance, known: As in `BindingScores`.
        dropout, spelling: As in `ScoreSpread`.
    """

    epitope: str
    problem: str = ""
    score: float = math.nan
    percentile: float = math.nan
    probability: float = math.nan
    nearest: int = -1
    distance: float = math.nan
    known: int = 0
    dropout: float = math.nan
    spelling: float = math.nan


@dataclass
class BindingRun:
    """One table against a model's epitopes.

    Attributes:
        table: The input.
        model: The model.
        epitopes: Of every row; None where each row names its own.
        column: Place of the column with the row's own epitope.
        top: Only so many of the best epitopes of each row; None for all.
        evidence: Known binders told for the best epitope of each row.
        attention: Tell what the network looked at, of the best epitope of each row.
        uncertainty: Tell how firm each score is.
    """

    table: ReceptorTable
    model: BindingModel
    epitopes: Sequence[Epitope] | None
    column: int | None = None
    top: int | None = None
    evidence: int = 3
    attention: bool = False
    uncertainty: bool = False
    usable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    notes: dict[str, None] = field(default_factory=dict)
    _met: dict[str, tuple[Epitope, str, int]] = field(default_factory=dict)
    _parsed: dict[str, tuple[Epitope | None, str]] = field(default_factory=dict)

    def write(self, out: Path, *, packed: bool = False) -> None:
        """Write binding, evidence and epitopes into a folder."""
        end = ".tsv.gz" if packed else ".tsv"
        columns = self.table.text.columns
        own = self.table.layout.one_chain and self.table.layout.format != airr.NAME
        added = [i for i, name in enumerate(_AIRR) if own and name not in columns]
        spread = _SPREAD if self.uncertainty else ()
        head = [*_renamed(columns), *(_AIRR[i] for i in added), *COLUMNS, *spread]
        with (
            open_rows(out / f"binding{end}") as binding,
            open_rows(out / f"evidence{end}") as evidence,
            self._attention(out / f"attention{end}") as attention,
        ):
            binding([head])
            evidence([_EVIDENCE])
            for rows in self._chunks():
                lines = self._answers(rows)
                best = [_best(row, answers) for row, answers in zip(rows, lines, strict=True)]
                for row, answers in zip(rows, lines, strict=True):
                    self._count(row, answers)
                    binding(self._cells(row, line, added) for line in answers)
                if self.evidence:
                    evidence(self._evidence(rows, best))
                if attention is not None:
                    self._attend(attention, rows, best)
        if attention is not None:
            self.notes |= dict.fromkeys(attention.draw(out / "attention"))
        self._write_epitopes(out / "epitopes.tsv")

    @contextmanager
    def _attention(self, path: Path) -> Iterator[AttentionWriter | None]:
        if not self.attention:
            yield None
            return
        assert isinstance(self.model, AttendingModel)
        with open_attention(path, self.model) as writer:
            yield writer

    def _attend(
        self, attention: AttentionWriter, rows: Sequence[Row], best: Sequence[Line | None]
    ) -> None:
        groups: dict[str, list[tuple[int, Receptor]]] = {}
        for row, line in zip(rows, best, strict=True):
            if line is not None:
                groups.setdefault(line.epitope, []).append((row.number, row.receptor))
        for epitope, asked in groups.items():
            attention.add(epitope, asked)

    def _chunks(self) -> Iterator[list[Row]]:
        size = _ROWS if not self.epitopes else max(1, min(_ROWS, _PAIRS // len(self.epitopes)))
        rows = self.table.rows()
        while chunk := list(islice(rows, size)):
            yield chunk

    def _answers(self, rows: Sequence[Row]) -> list[list[Line]]:
        """For each row its lines."""
        if self.epitopes is None:
            return self._own_epitopes(rows)
        usable = [r.receptor for r in rows if not r.reason]
        place = {receptor: n for n, receptor in enumerate(dict.fromkeys(usable))}
        scored = self._scored(list(place), [e.sequence for e in self.epitopes], self.top)
        blank = [Line(e.sequence) for e in self.epitopes] if self.top is None else [Line("")]
        return [blank if r.reason else scored[place[r.receptor]] for r in rows]

    def _own_epitopes(self, rows: Sequence[Row]) -> list[list[Line]]:
        """Each row against the epitope that it names."""
        assert self.column is not None
        lines: list[list[Line]] = [[] for _ in rows]
        groups: dict[str, list[int]] = {}
        for number, row in enumerate(rows):
            epitope, problem = self._parse(row.cells[self.column])
            if epitope is None:
                lines[number] = [Line(row.cells[self.column].strip(), problem)]
                continue
            self._meet(epitope)
            if row.reason:
                lines[number] = [Line(epitope.sequence)]
            else:
                groups.setdefault(epitope.sequence, []).append(number)
        for sequence, numbers in groups.items():
            place = {r: n for n, r in enumerate(dict.fromkeys(rows[i].receptor for i in numbers))}
            scored = self._scored(list(place), [sequence])
            for number in numbers:
                lines[number] = scored[place[rows[number].receptor]]
        return lines

    def _parse(self, text: str) -> tuple[Epitope | None, str]:
        """The epitope in a cell, or what is wrong with it."""
        if text not in self._parsed:
            if len(self._parsed) >= _ROWS:
                self._parsed.clear()
            try:
                self._parsed[text] = (parse_epitope(text), "") if text.strip() else (None, "")
            except InputError as error:
                self._parsed[text] = (None, error.message)
            if not text.strip():
                self._parsed[text] = (None, "no epitope in this row")
        return self._parsed[text]

    def _scored(
        self, receptors: Sequence[Receptor], epitopes: Sequence[str], top: int | None = None
    ) -> list[list[Line]]:
        """Lines of N receptors; epitopes of a length that no model knows have none.

        With ``top``, those of the best scores only, the best first; of equals the earlier ones.
        """
        problems = [epitope_problem(e) for e in epitopes]
        asked = [e for e, problem in zip(epitopes, problems, strict=True) if not problem]
        blank = [Line(e, problem) for e, problem in zip(epitopes, problems, strict=True)]
        if not asked or not receptors:
            return [blank[:top] for _ in receptors]
        scores = self.model.score(receptors, asked)
        self.notes |= dict.fromkeys(scores.notes)
        order = np.broadcast_to(np.arange(len(asked)), scores.score.shape)
        if top is not None:
            order = np.argsort(-scores.score, axis=1, kind="stable")[:, :top]  # NaN comes last
        known = np.broadcast_to(scores.known, scores.score.shape)
        parts: list[NDArray[Any]] = [
            scores.score,
            scores.percentile,
            scores.probability,
            scores.nearest,
        ]
        parts += [scores.distance, known]
        if self.uncertainty:
            assert isinstance(self.model, AttendingModel)
            spread = self.model.spread(receptors, asked)
            parts += [spread.dropout, spread.spelling]
        parts_of = [np.take_along_axis(part, order, 1).tolist() for part in parts]
        places = [n for n, problem in enumerate(problems) if not problem]
        out = []
        for which, *values in zip(order.tolist(), *parts_of, strict=True):
            found = [Line(asked[w], "", *v) for w, *v in zip(which, *values, strict=True)]
            if top is None:
                lines = list(blank)
                for place, line in zip(places, found, strict=True):
                    lines[place] = line
                found = lines
            out.append(found)
        return out

    def _hidden(self, line: Line) -> bool:
        """Whether a score is no evidence: of an unseen epitope, by a model of no skill there."""
        skill = self.model.unseen_skill
        return not line.known and (skill is None or skill <= 0.5)

    def _status(self, row: Row, line: Line) -> str:
        problem = row.reason or line.problem
        if problem:
            return f"unusable: {problem}"
        if not line.known:
            return "unseen: no evidence" if self._hidden(line) else "unseen"
        if line.score != line.score:
            return "unusable: the model has no answer for this receptor"
        return f"{'few' if line.known < self.model.few else 'seen'} {line.known}"

    def _cells(self, row: Row, line: Line, added: Sequence[int]) -> list[str]:
        r, own = row.receptor, row.own
        airr_cells = (f"TR{own.locus}" if own.locus else "", own.v, own.j, own.cdr3) if own else ()
        if row.reason or line.problem or self._hidden(line):
            score, percentile, probability = "", "", ""
        else:
            score, percentile = _number(line.score, 4), _number(line.percentile, 2)
            probability = _number(line.probability, 4)
        binder = self.model.binders[line.nearest] if line.nearest >= 0 else None
        b = binder.receptor if binder else None
        return [
            *row.cells,
            *(airr_cells[i] for i in added),
            str(row.number),
            line.epitope,
            score,
            percentile,
            probability,
            self._status(row, line),
            *((b.cdr3_a, b.v_a, b.cdr3_b, b.v_b) if b else ("", "", "", "")),
            _number(line.distance, 4),
            binder.reference if binder else "",
            r.v_a,
            r.j_a,
            r.cdr3_a,
            r.v_b,
            r.j_b,
            r.cdr3_b,
            "; ".join(change.text for change in row.changes),
            *self._firmness(line, told=bool(score)),
        ]

    def _firmness(self, line: Line, *, told: bool) -> list[str]:
        if not self.uncertainty:
            return []
        return [_number(sd if told else math.nan, 4) for sd in (line.dropout, line.spelling)]

    def _count(self, row: Row, answers: Sequence[Line]) -> None:
        if row.reason:
            self.reasons[row.reason] += 1
        else:
            self.usable += 1
        for kind in {change.kind for change in row.changes}:
            self.changes[kind] += 1
        for line in answers:
            self.pairs[self._status(row, line).split(" ")[0].rstrip(":")] += 1

    def _evidence(self, rows: Sequence[Row], best: Sequence[Line | None]) -> Iterator[list[str]]:
        """Nearest known binders of each row's best epitope."""
        groups: dict[str, dict[Receptor, int]] = {}
        for row, line in zip(rows, best, strict=True):
            if line is not None:
                group = groups.setdefault(line.epitope, {})
                group.setdefault(row.receptor, len(group))
        found = {
            epitope: self.model.neighbours(list(group), epitope, self.evidence)
            for epitope, group in groups.items()
        }
        for row, line in zip(rows, best, strict=True):
            if line is None:
                continue
            place = groups[line.epitope][row.receptor]
            indices, distances = found[line.epitope]
            for rank, index in enumerate(indices[place].tolist(), start=1):
                if index >= 0:
                    apart = _number(float(distances[place, rank - 1]), 4)
                    known = _binder_cells(self.model.binders[index])
                    score = _number(line.score, 4)
                    yield [str(row.number), line.epitope, score, str(rank), apart, *known]

    def _meet(self, epitope: Epitope) -> None:
        known, problem, count = self._met.get(epitope.sequence, (epitope, "", 0))
        self._met[epitope.sequence] = (known, problem, count + 1)

    def _write_epitopes(self, path: Path) -> None:
        """How each epitope was read, and what is known of it."""
        alleles = alleles_of(self.model)
        if self.epitopes is None:
            listed = [(epitope, count) for epitope, _, count in self._met.values()]
        else:
            listed = [(epitope, self.table.count) for epitope in self.epitopes]
        rows = []
        for epitope, count in listed:
            n = self.model.known(epitope.sequence)
            problem = epitope_problem(epitope.sequence)
            status = self._status(_ANY, Line(epitope.sequence, problem, score=0, known=n))
            presented = " ".join(alleles.get(epitope.sequence, ()))
            about = (epitope.name, epitope.given, "; ".join(epitope.notes))
            rows.append((epitope.sequence, *about, count, n, presented, status))
        head = ("epitope", "name", "given_as", "notes", "rows", "known_binders", "mhc", "status")
        write_tsv(path, head, rows)

    def summary(self) -> dict[str, Any]:
        """For run.json and ``--json``."""
        notes = [*self.table.notes, *self.notes]
        if self.reasons:
            notes.append(f"{self.reasons.total()} of {self.table.count} rows can't be scored")
        return {
            "format": self.table.layout.format,
            "rows": self.table.count,
            "usable_rows": self.usable,
            "unusable_rows": dict(self.reasons.most_common(_MOST_REASONS)),
            "changed_rows": dict(self.changes.most_common()),
            "epitopes": len(self._met) if self.epitopes is None else len(self.epitopes),
            "lines": dict(self.pairs.most_common()),
            "notes": notes,
        }

    def failure(self) -> InputError | None:
        """Set when no row at all could be scored."""
        if self.usable:
            return None
        reason = self.reasons.most_common(1)[0][0]
        return InputError(
            f"{self.table.text.path}: none of {self.table.count} rows can be scored ({reason})",
            "the column mmtool_status says why for each; the outputs were kept",
        )


def _best(row: Row, answers: Sequence[Line]) -> Line | None:
    """The line of the best score among known epitopes."""
    told = [a for a in answers if not row.reason and a.known and a.score == a.score]
    return max(told, key=lambda a: a.score, default=None)


_ANY = Row(0, [], Receptor(), None, "", ())


def _renamed(columns: Sequence[str]) -> list[str]:
    """Names of the input's columns; those that we write are called ``earlier_...``."""
    taken = set(columns) | set(COLUMNS)
    names: list[str] = []
    for name in columns:
        while name in COLUMNS or (name != columns[len(names)] and name in taken):
            name = f"earlier_{name}"
        names.append(name)
    return names


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ""


def _binder_cells(binder: Binder) -> list[str]:
    r = binder.receptor
    chains = [r.cdr3_a, r.v_a, r.j_a, r.cdr3_b, r.v_b, r.j_b]
    return [*chains, binder.mhc, binder.reference, binder.source]
