"""``--explain``: reasons by a method, each with a deletion test and its stability over fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmtool.io.writers.tables import Cell, write_tsv
from mmtool.models.explainers.effects import Effects, Groups, aligned, explain
from mmtool.models.explainers.trust import (
    Deletion,
    Stability,
    deletions,
    rows_of,
    stability,
)
from mmtool.pipelines.survive_model import SurviveModel
from mmtool.pipelines.survive_tables import CLINICAL
from mmtool.survival import Cohort

_TESTED = 100  # patients, drawn at random, on whom explanations are tested
HEAD = ("patient_id", "method", "level", "modality", "name", "effect", "standard_error")
_SAID = {
    "falls": "without the {n} that raise the risk most it falls by {top:.3g}",
    "rises": "without the {n} that lower the risk most it rises by {top:.3g}",
    "moves": "without the {n} of most effect the risk moves by {top:.3g}",
}


def write_explanations(
    path: Path,
    methods: Sequence[str],
    model: SurviveModel,
    cohort: Cohort,
    signatures: Mapping[str, frozenset[str]],
    *,
    top: int,
    seed: int,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Explain the patients of whom anything is known; write ``explanation.tsv``.

    Args:
        path: Of the table.
        methods: Of `mmtool.models.explainers.effects.METHODS`.
        model: That predicted.
        cohort: The patients as the model knows them.
        signatures: Group -> features.
        top: Items told of each patient, level and modality.
        seed: Of all that is drawn.

    Returns:
        Tests for ``run.json``, and the same as sentences.

    Raises:
        UsageError: The model has nothing that a method could show.
    """
    own = aligned(model.predictor, cohort)
    own = own.subset(np.flatnonzero(np.isfinite(model.predictor.risk(own))))
    groups = _groups(model, own, signatures)
    size = min(len(own), _TESTED)
    tested = np.sort(np.random.default_rng(seed).choice(len(own), size, replace=False))
    some = own.subset(tested)
    rows: list[tuple[Cell, ...]] = []
    facts: list[dict[str, Any]] = []
    notes: list[str] = []
    for method in dict.fromkeys(methods):
        found = explain(method, model.predictor, own, groups, seed)
        stable = stability(method, model.predictor, some, groups, seed)
        for place, effects in enumerate(found):
            rows += _rows(own, method, effects, top)
            part = rows_of(effects, tested.tolist())
            enough = effects.level != "pair" and len(effects.items) > 1
            deleted = deletions(model.predictor, some, part, seed) if enough else []
            held = stable[place] if stable else None
            modalities = list(dict.fromkeys(i.modality for i in effects.items))
            facts.append(
                {
                    **{"method": method, "level": effects.level, "modalities": modalities},
                    "patients_tested": size,
                    "deletion": [vars(d) for d in deleted],
                    "stability": None if held is None else vars(held),
                }
            )
            where = f"{method} by {effects.level}, {', '.join(modalities)}"
            notes += [f"{where}: {line}" for line in _told(deleted, held)]
    write_tsv(path, HEAD, rows)
    return facts, notes


def _groups(
    model: SurviveModel, cohort: Cohort, signatures: Mapping[str, frozenset[str]]
) -> Groups:
    """Clinical columns by the column that they come from, others by the signatures."""
    sorted_groups = {name: sorted(columns) for name, columns in signatures.items()}
    groups: dict[str, Mapping[str, Sequence[str]]] = dict.fromkeys(cohort.blocks, sorted_groups)
    groups[CLINICAL] = {c.name: c.names() for c in model.schema.columns if c.names()}
    return groups


def _rows(cohort: Cohort, method: str, effects: Effects, top: int) -> Iterator[tuple[Cell, ...]]:
    """The items of most effect of each patient and modality."""
    kinds = list(dict.fromkeys(item.modality for item in effects.items))
    for p, patient in enumerate(cohort.ids):
        for kind in kinds:
            own = [k for k, item in enumerate(effects.items) if item.modality == kind]
            sizes = np.nan_to_num(np.abs(effects.values[p, own]))
            for place in np.argsort(-sizes, kind="stable")[:top]:
                k = own[place]
                if not np.isnan(effects.values[p, k]):
                    error = None if effects.error is None else float(effects.error[p, k])
                    value = float(effects.values[p, k])
                    item = effects.items[k]
                    yield (
                        *(patient, method, effects.level, kind, item.name, round(value, 6)),
                        None if error is None else round(error, 6),
                    )


def _told(deleted: Sequence[Deletion], held: Stability | None) -> list[str]:
    out = [
        _SAID[d.way].format(n=d.taken, top=d.top)
        + f", without as many at random by {d.random:.3g} (sd {d.spread:.2g}, p {d.p:.2g})"
        for d in deleted
    ]
    if held is not None:
        out.append(
            f"order over {held.fits} fits of other training patients: Spearman {held.mean:.2f} "
            f"({held.low:.2f} to {held.high:.2f})"
        )
    return out
