"""Training patients of ``mmtool train survive``: who can be learned from, and on which folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers.fold_files import read_folds
from mmtool.io.readers.patient_table import is_missing
from mmtool.models.survival.folds import assign_folds
from mmtool.pipelines.survive_model import clinical_block
from mmtool.pipelines.survive_outcomes import usable
from mmtool.pipelines.survive_schema import Schema, infer_schema
from mmtool.pipelines.survive_tables import CLINICAL, Patients
from mmtool.survival import Block, Cohort, Outcome

LEAST_PATIENTS = 30
LEAST_EVENTS = 10
_GIVEN_AWAY = 0.95


@dataclass(frozen=True)
class TrainingData:
    """What a model is trained on.

    Attributes:
        cohort: Patients with a known outcome.
        schema: Of the clinical columns.
        notes: Sentences for the user.
    """

    cohort: Cohort
    schema: Schema
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Fold:
    """Rows of a cohort: those to learn from and those to measure on."""

    name: str
    train: NDArray[np.int64]
    held_out: NDArray[np.int64]


def training_data(patients: Patients, path: Path) -> TrainingData:
    """Choose who can be learned from.

    Args:
        patients: As read.
        path: Of their table, for the messages.

    Raises:
        InputError: No outcomes, no event, or too few of either.
    """
    if patients.outcome is None:
        raise InputError(
            f"{path}: no columns of time and event are found",
            "name them: --time COLUMN --event COLUMN",
        )
    outcome, keep, notes = usable(patients.outcome)
    events = int(outcome.event[keep].sum())
    if len(keep) < LEAST_PATIENTS or events < LEAST_EVENTS:
        raise InputError(
            f"{path}: {len(keep)} patients with a known outcome and {events} events among them",
            f"{LEAST_PATIENTS} patients and {LEAST_EVENTS} events are the least to learn from",
        )
    notes += [f"'{n}' tells the event: {why}" for n, why in _giveaways(patients, outcome, keep)]
    schema = infer_schema(patients.clinical, patients.withheld)
    blocks: dict[str, Block] = {}
    if schema.names():
        blocks[CLINICAL] = clinical_block(patients, schema)
    blocks |= patients.blocks
    if not blocks:
        raise InputError(f"{path}: nothing but outcomes", "add clinical columns or --omics")
    cohort = Cohort(patients.ids, blocks, outcome, patients.groups).subset(keep)
    return TrainingData(cohort, schema, tuple(notes))


def _giveaways(
    patients: Patients, outcome: Outcome, keep: NDArray[np.int64]
) -> list[tuple[str, str]]:
    """Columns that are known for those with the event alone, or for the others alone."""
    out = []
    event = outcome.event[keep]
    for name, cells in patients.clinical.items():
        if name in patients.withheld:
            continue
        known = np.array([not is_missing(cells[i]) for i in keep])
        agreed = float((known == event).mean())
        if max(agreed, 1 - agreed) >= _GIVEN_AWAY and known.any() and not known.all():
            out.append((name, f"leave it out with --ignore {name} if it is known only afterwards"))
    return out


def make_folds(
    cohort: Cohort, splits: str, seed: int, limits: Limits
) -> tuple[list[Fold], list[str]]:
    """Folds to measure on.

    Args:
        cohort: With outcomes.
        splits: A number, or a folder of published files.
        seed: Of folds that are made here.
        limits: Bounds of the readers.

    Raises:
        UsageError: Neither a number nor a folder; or 1, or more folds than half the events.
        InputError: The files can't be used.
    """
    outcome = cohort.known_outcome()
    if not splits.isdigit():
        return _published(cohort, Path(splits), limits)
    count = int(splits)
    if not 2 <= count <= int(outcome.event.sum()) // 2:
        raise UsageError(
            f"--splits {splits}: not a number of folds for {int(outcome.event.sum())} events",
            "2 or more, and two events at least in each",
        )
    fold = assign_folds(outcome, count, seed, cohort.groups)
    return [
        Fold(str(k), np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(count)
    ], []


def _published(cohort: Cohort, folder: Path, limits: Limits) -> tuple[list[Fold], list[str]]:
    known = {name: i for i, name in enumerate(cohort.ids)}
    folds, foreign = [], 0
    for file in read_folds(folder, limits):
        train, held = (_rows(side, known) for side in (file.train, file.held_out))
        foreign += len(file.held_out) - len(held)
        if not len(held) or not len(train):
            raise InputError(
                f"{folder}/{file.name}: none of its patients is in the table",
                "are these its folds?",
            )
        folds.append(Fold(file.name, train, held))
    notes = [f"{foreign} names in the files of folds are not in the table"] if foreign else []
    return folds, notes


def _rows(names: frozenset[str], known: dict[str, int]) -> NDArray[np.int64]:
    return np.array(sorted(known[n] for n in names if n in known), np.int64)


def summary_of(cohort: Cohort) -> Sequence[str]:
    """The cohort in lines for people."""
    outcome = cohort.known_outcome()
    lines = [f"{len(cohort)} patients, {int(outcome.event.sum())} events"]
    for block in cohort.blocks.values():
        lines.append(
            f"{block.name}: {len(block.columns)} columns, known of {int(block.present.sum())}"
        )
    return lines
