"""From tables to patients: one row each, however the tables name, repeat or lack them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmtool.bags import Bags
from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers.outcome_columns import (
    OutcomeColumns,
    id_column,
    named_column,
    outcome_columns,
    parse_event,
)
from mmtool.io.readers.patient_table import (
    PatientTable,
    is_missing,
    patient_of,
    read_patient_table,
    suffix_of,
)
from mmtool.pipelines.samplesheet import stem_of
from mmtool.survival import Block, Kind, Outcome

CLINICAL = "clinical"
_SPLITS = frozenset({"split", "train", "fold", "partition"})


@dataclass(frozen=True)
class TableOptions:
    """How the tables are to be read.

    Attributes:
        id_column: Column of the patients' names; found by its name if None.
        time: Column of times; found if None.
        event: Column of events; found if None.
        group: Column of what must stay on one side of a split.
        ignore: Columns that must not be used.
    """

    id_column: str | None = None
    time: str | None = None
    event: str | None = None
    group: str | None = None
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unmatched:
    """A name that stands in one table and not in the other; for ``unmatched.tsv``."""

    table: str
    name: str
    reason: str


@dataclass(frozen=True)
class Patients:
    """P patients, as the tables have them.

    Attributes:
        ids: Their names, each once, in the order of the table of patients.
        clinical: Column -> P cells; the columns of ids and outcomes are not among them.
        withheld: Columns of ``clinical`` that must not be used -> why.
        blocks: Omics, with a row for each patient.
        outcome: Time and event; the time is NaN where the outcome is not known.
        unit: Of the times, as far as the column's name tells.
        groups: (P,) what must stay on one side of a split, or None.
        notes: Sentences for the user.
        unmatched: Names that stand in one table only.
        bags: Slides and tiles of the block of slides, or None.
    """

    ids: tuple[str, ...]
    clinical: Mapping[str, tuple[str, ...]]
    withheld: Mapping[str, str]
    blocks: Mapping[str, Block]
    outcome: Outcome | None
    unit: str
    groups: NDArray[np.str_] | None
    notes: tuple[str, ...]
    unmatched: tuple[Unmatched, ...]
    bags: Bags | None = None


def read_patients(
    path: Path, omics: Sequence[str | Path], options: TableOptions, limits: Limits
) -> Patients:
    """Read the table of patients and those of their features.

    Args:
        path: Table of patients.
        omics: Further tables, each a path or ``NAME=PATH``.
        options: How they are to be read.
        limits: Bounds of the readers.

    Raises:
        InputError: A table can't be used, or shares no name with that of the patients.
        UsageError: Two tables give a block of the same name.
    """
    table = read_patient_table(path, limits, id_name=options.id_column)
    notes: list[str] = []
    names = _ids(table, options.id_column, notes)
    ids = tuple(dict.fromkeys(names))
    rows = np.array([_places(ids)[name] for name in names])
    found = outcome_columns(table.names, options.time, options.event, path)
    outcome = _outcome(table, found, rows, len(ids), notes)
    clinical, withheld = _clinical(table, found, rows, ids, options, notes)
    groups = None
    if options.group is not None:
        place = named_column(table.names, options.group, path)
        groups = np.array(_merged([c[place] for c in table.cells], rows, len(ids)), np.str_)
    blocks = {b.name: b for b in _blocks(table.features, table.values, rows, ids, "")}
    unmatched: list[Unmatched] = []
    for given in omics:
        for block in _omics(given, ids, limits, notes, unmatched):
            if block.name in blocks or block.name == CLINICAL:
                raise UsageError(
                    f"{given}: a block '{block.name}' is there already",
                    "name it otherwise: --omics NAME=FILE",
                )
            blocks[block.name] = block
    return Patients(
        *(ids, clinical, withheld, blocks, outcome, found.unit, groups),
        *(tuple(notes), tuple(unmatched)),
    )


def _places(ids: Sequence[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(ids)}


def _ids(table: PatientTable, asked: str | None, notes: list[str]) -> list[str]:
    """The patient of each row."""
    place = id_column(table.names, asked, table.path)
    if place is None:
        first = [cells[0] for cells in table.cells] if table.names else []
        if first and len(set(first)) == len(first) and not all(map(_is_number, first)):
            notes.append(f"patients are named by the first column, '{table.names[0]}'")
            return first
        notes.append("no column names the patients; they are numbered")
        return [str(i + 1) for i in range(len(table.cells))]
    names = [patient_of(cells[place])[0] for cells in table.cells]
    empty = sum(is_missing(n) for n in names)
    if empty:
        raise InputError(
            f"{table.path}: {empty} rows have no name under '{table.names[place]}'",
            "give each patient a name, or name the column with --id",
        )
    return names


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?", cell.strip().lower()) is not None


def _outcome(
    table: PatientTable,
    found: OutcomeColumns,
    rows: NDArray[np.int64],
    count: int,
    notes: list[str],
) -> Outcome | None:
    """Time and event of each patient; NaN for the time of an unknown outcome."""
    if found.time is None or found.event is None:
        return None
    notes.append(
        f"outcome: time '{table.names[found.time]}', event '{table.names[found.event]}'"
        + (" (1 = censored)" if found.inverted else "")
    )
    words = [cells[found.event] for cells in table.cells]
    events = _events(words, found.inverted, table, table.names[found.event], notes)
    time = np.full(count, np.nan)
    event = np.zeros(count, np.bool_)
    for row, patient, seen in zip(table.cells, rows, events, strict=True):
        value = _time(row[found.time], table, table.names[found.time])
        if seen is None or np.isnan(value):
            continue
        if not np.isnan(time[patient]) and (time[patient], event[patient]) != (value, seen):
            raise InputError(
                f"{table.path}: a patient has several rows with different outcomes",
                "one outcome for each patient; is the right column taken for the id? (--id)",
            )
        time[patient], event[patient] = value, seen
    return Outcome(time, event)


def _time(cell: str, table: PatientTable, name: str) -> float:
    if is_missing(cell):
        return float("nan")
    try:
        value = float(cell)
    except ValueError as error:
        raise InputError(
            f"{table.path}: '{name}' holds times that are no numbers",
            "name the right column with --time",
        ) from error
    return value if np.isfinite(value) else float("nan")


def _events(
    words: Sequence[str], inverted: bool, table: PatientTable, name: str, notes: list[str]
) -> list[bool | None]:
    known = {w.strip().lower() for w in words if not is_missing(w)}
    if known <= {"1", "2", "1.0", "2.0"} and len(known) == 2:
        notes.append(f"'{name}' holds 1 and 2: 2 is taken as the event")
        return [None if is_missing(w) else float(w) == 2 for w in words]
    events = [None if is_missing(w) else parse_event(w) for w in words]
    odd = sum(e is None and not is_missing(w) for e, w in zip(events, words, strict=True))
    if odd:
        raise InputError(
            f"{table.path}: {odd} cells under '{name}' say neither event nor censored",
            "write 1 for an event and 0 for censored, or name the column with --event",
        )
    return [None if e is None else e != inverted for e in events]


def _clinical(
    table: PatientTable,
    found: OutcomeColumns,
    rows: NDArray[np.int64],
    ids: Sequence[str],
    options: TableOptions,
    notes: list[str],
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Columns by patient, and those that must not be used."""
    key = id_column(table.names, options.id_column, table.path)
    clinical: dict[str, tuple[str, ...]] = {}
    withheld: dict[str, str] = {}
    several = len(ids) < len(rows)
    if several:
        notes.append(f"{len(rows)} rows are of {len(ids)} patients; each patient counts once")
    for name in options.ignore:
        named_column(table.names, name, table.path)
    for place, name in enumerate(table.names):
        if place == key or place in (found.time, found.event) or not name:
            continue
        clinical[name] = _merged([cells[place] for cells in table.cells], rows, len(ids))
        if name in options.ignore:
            withheld[name] = "you asked for it"
        elif name == options.group:
            withheld[name] = "it groups the patients"
        elif name.lower() in _SPLITS:
            withheld[name] = "it names a split"
        elif place in found.later:
            withheld[name] = "its name says that it is known only afterwards"
    return clinical, withheld


def _merged(cells: Sequence[str], rows: NDArray[np.int64], count: int) -> tuple[str, ...]:
    """The first known cell of each patient."""
    out = [""] * count
    for cell, patient in zip(cells, rows, strict=True):
        if not out[patient] and not is_missing(cell):
            out[patient] = cell
    return tuple(out)


def _blocks(
    features: Sequence[str],
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    ids: Sequence[str],
    name: str,
) -> list[Block]:
    """Blocks of a table by the suffixes of its columns; ``name`` is that of a table without any.

    Args:
        features: F names.
        values: (R, F) float32.
        rows: (R,) the patient of each row.
        ids: P patients.
        name: Of the block of columns without suffix.
    """
    suffixes = [suffix_of(f) for f in features]
    out = []
    for suffix in dict.fromkeys(suffixes):
        where = [i for i, s in enumerate(suffixes) if s == suffix]
        columns = tuple(features[i][: len(features[i]) - len(suffix) - bool(suffix)] for i in where)
        means = _means(values[:, where], rows, len(ids))
        present: NDArray[np.bool_] = np.asarray(~np.isnan(means).all(axis=1), np.bool_)
        out.append(Block(suffix or name, _kind(suffix or name), columns, means, present))
    return out


def _kind(name: str) -> Kind:
    return "image" if name.startswith(("hif", "image", "pathomic", "radiomic")) else "omics"


def _means(values: NDArray[np.float32], rows: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """(count, F) mean of each patient's rows, NaN left out; NaN where there is none."""
    out = np.full((count, values.shape[1]), np.nan, np.float32)
    if len(set(rows.tolist())) == len(rows):
        out[rows] = values
        return out
    total = np.zeros((count, values.shape[1]))
    known = np.zeros_like(total)
    np.add.at(total, rows, np.nan_to_num(values))
    np.add.at(known, rows, ~np.isnan(values))
    return np.divide(total, known, out=out.astype(np.float64), where=known > 0).astype(np.float32)


def _omics(
    given: str | Path,
    ids: Sequence[str],
    limits: Limits,
    notes: list[str],
    unmatched: list[Unmatched],
) -> list[Block]:
    """Blocks of one further table, brought to the order of the patients."""
    name, path = named_path(given)
    table = read_patient_table(path, limits, omics=True)
    if not table.features:
        raise InputError(
            f"{path}: no columns of numbers", "one row a patient, one column a feature"
        )
    key = id_column(table.names, None, path)
    names = [cells[0 if key is None else key] for cells in table.cells] if table.names else []
    features, values = table.features, table.values
    known = _places(ids)
    if not any(patient_of(n)[0] in known for n in names):
        if not any(patient_of(f)[0] in known for f in features):
            raise InputError(
                f"{path}: none of its {len(names)} rows is one of the patients",
                f"they are named like {_shape(names)} here and {_shape(ids)} there",
            )
        notes.append(f"{path.name}: patients are its columns")
        names, features, values = list(features), tuple(names), values.T
    owners = [patient_of(n) for n in names]
    keep = [i for i, (patient, tumour) in enumerate(owners) if tumour and patient in known]
    _tell_unmatched(owners, names, known, path, unmatched, notes)
    twice = [f for f, n in Counter(features).items() if n > 1]
    if twice:
        raise InputError(f"{path}: feature '{twice[0][:60]}' stands twice", "keep one of them")
    rows = np.array([known[owners[i][0]] for i in keep], np.int64)
    if len(set(rows.tolist())) < len(rows):
        notes.append(f"{path.name}: several rows of a patient are averaged")
    return _blocks(features, values[keep], rows, ids, name)


def named_path(given: str | Path) -> tuple[str, Path]:
    """Name and file of ``NAME=FILE``; without a name, that of the file."""
    name, parted, path = str(given).partition("=")
    if parted and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) and not Path(given).exists():
        return name, Path(path)
    return stem_of(Path(given)), Path(given)


def _tell_unmatched(
    owners: Sequence[tuple[str, bool]],
    names: Sequence[str],
    known: Mapping[str, int],
    path: Path,
    unmatched: list[Unmatched],
    notes: list[str],
) -> None:
    normal = [n for n, (_, tumour) in zip(names, owners, strict=True) if not tumour]
    foreign = [n for n, (p, tumour) in zip(names, owners, strict=True) if tumour and p not in known]
    absent = sorted(set(known) - {p for p, tumour in owners if tumour})
    unmatched += [Unmatched(path.name, n, "normal tissue, left out") for n in normal]
    unmatched += [Unmatched(path.name, n, "not in the table of patients") for n in foreign]
    unmatched += [Unmatched(path.name, n, "patient without a row here") for n in absent]
    for many, words in (
        (len(normal), "samples of normal tissue are left out"),
        (len(foreign), "rows belong to no patient of the table"),
        (len(absent), "patients have no row in it"),
    ):
        if many:
            notes.append(f"{path.name}: {many} {words}")


def _shape(names: Sequence[str]) -> str:
    """How names look, with no name told: letters as A, digits as 9."""
    first = names[0] if names else ""
    return "'" + re.sub("[0-9]", "9", re.sub("[A-Za-z]", "A", first))[:40] + "'"
