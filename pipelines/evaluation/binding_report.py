"""The tables of ``mmtool evaluate tcr-bind``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmtool import __version__
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.tables import Cell, write_tsv
from mmtool.pipelines.evaluation.binding_leaks import CHECKS, Leaks, counts_of
from mmtool.pipelines.evaluation.binding_measures import (
    MEASURES,
    Estimate,
    Replicates,
    interval,
    less,
    macro,
)
from mmtool.pipelines.evaluation.binding_pairs import Pair
from mmtool.receptors import Binder

GROUPS = ("all", "seen", "few", "unseen")
CLEAN, POOLED = "no leaks", "pooled"
COLUMNS = (
    "source",
    "group",
    "epitope",
    "known",
    "positives",
    "negatives",
    "base_rate",
    *(f"{m}{end}" for m in MEASURES for end in ("", "_low", "_high")),
)
LEAK_COLUMNS = (
    "model",
    "row",
    "epitope",
    "binds",
    "check",
    "cdr3_a",
    "cdr3_b",
    "binder_epitope",
    "binder_reference",
)
_NO_BIOLOGY = 0.1  # macro AUC of the receptor frequency off 0.5 from which on it is told

ByEpitope = dict[str, dict[str, Replicates]]  # epitope -> measure -> value and replicates


@dataclass(frozen=True)
class Line:
    """One line of a table: a model, a baseline, or a difference of two models.

    Attributes:
        source: Which; a difference is ``other - first``.
        group: One of `GROUPS`, `CLEAN` or `POOLED`.
        epitope: Peptide, or how many the mean is over.
        known: Known binders that the (first) model was made from; None for means.
        positives: Rows that bind.
        negatives: Rows that don't.
        base_rate: Share of the positives, what average precision is by chance; mean over epitopes.
        measures: Measure -> value and interval.
    """

    source: str
    group: str
    epitope: str
    known: int | None
    positives: int
    negatives: int
    base_rate: float
    measures: Mapping[str, Estimate]

    def cells(self) -> list[Cell]:
        """As `COLUMNS`."""
        found = [self.measures[m] for m in MEASURES]
        numbers = [round(v, 4) for e in found for v in (e.value, e.low, e.high)]
        counts = [self.known, self.positives, self.negatives]
        return [self.source, self.group, self.epitope, *counts, round(self.base_rate, 4), *numbers]

    def to_json(self) -> dict[str, Any]:
        """Plain dict."""
        return dict(zip(COLUMNS, self.cells(), strict=True))


@dataclass
class BindingReport:
    """All that was measured.

    Attributes:
        pairs: The rows.
        models: Names, the reference first.
        groups: Epitope -> ``seen``, ``few`` or ``unseen``, to the first model.
        known: Model -> epitope -> known binders.
        epitopes: Source -> epitope -> measures; models and the receptor frequency.
        clean: The models without rows that leak from any of them; empty if none does.
        pooled: Source -> measures over all rows at once; models and both baselines.
        leaks: Of each model.
        binders: Of each model.
        notes: Plain sentences for the user.
        seed: Of the replicates.
    """

    pairs: Sequence[Pair]
    models: Sequence[str]
    groups: Mapping[str, str]
    known: Mapping[str, Mapping[str, int]]
    epitopes: Mapping[str, ByEpitope]
    clean: Mapping[str, ByEpitope]
    pooled: Mapping[str, Mapping[str, Replicates]]
    leaks: Mapping[str, Leaks]
    binders: Mapping[str, Sequence[Binder]]
    notes: list[str] = field(default_factory=list)
    seed: int = 0

    def __post_init__(self) -> None:
        self._counts = Counter((p.epitope, p.binds) for p in self.pairs)
        held = np.any([found.leaking() for found in self.leaks.values()], axis=0)
        free = (p for p, leaks in zip(self.pairs, held, strict=True) if not leaks)
        self._clean_counts = Counter((p.epitope, p.binds) for p in free)

    def warnings(self) -> list[str]:
        """Sentences on how to read the numbers."""
        told = [
            "pooled AUC mixes epitopes: where their shares of positives differ, a score that only "
            "knows how frequent the binders of an epitope are ranks above chance; compare it with "
            "that baseline, and judge by the means over epitopes"
        ]
        scored = self.epitopes[self.models[0]]
        single = {p.epitope for p in self.pairs} - set(scored)
        if single:
            told.append(f"{len(single)} epitopes have rows of one label only: not in the means")
        for source, found in self.epitopes.items():
            if source in self.models or not found:
                continue
            frequency = macro([f["auc"] for f in found.values()], self.seed).value
            if abs(frequency - 0.5) > _NO_BIOLOGY:
                told.append(
                    f"how rarely a receptor stands in the table gives a mean AUC of "
                    f"{frequency:.2f} by itself: the table gives its labels away in part"
                )
        return told

    def summary(self) -> list[Line]:
        """Means over epitopes, differences of models, and pooled rows."""
        lines = list(self._means(self.epitopes, GROUPS, self._counts))
        lines += self._means(self.clean, (CLEAN,), self._clean_counts)
        binds = sum(p.binds for p in self.pairs)
        rest = len(self.pairs) - binds
        for source, found in self.pooled.items():
            spans = {m: interval(found[m].value, found[m].drawn) for m in MEASURES}
            words = f"all {len(self.groups)}"
            rate = binds / len(self.pairs)
            lines.append(Line(source, POOLED, words, None, binds, rest, rate, spans))
        return lines

    def each_epitope(self) -> list[Line]:
        """One line for each model, or difference, and epitope."""
        lines = []
        for source, found in _with_differences(self.epitopes, self.models).items():
            for epitope, measures in found.items():
                counts = self._of(epitope, self._counts)
                spans = {m: interval(measures[m].value, measures[m].drawn) for m in MEASURES}
                known = self.known.get(source, self.known[self.models[0]])[epitope]
                rate = counts[0] / sum(counts)
                group = self.groups[epitope]
                lines.append(Line(source, group, epitope, known, *counts, rate, spans))
        return lines

    def _means(
        self,
        found: Mapping[str, ByEpitope],
        groups: Sequence[str],
        counts: Counter[tuple[str, bool]],
    ) -> Iterator[Line]:
        for source, epitopes in _with_differences(found, self.models).items():
            for group in groups:
                names = [e for e in epitopes if group in ("all", CLEAN, self.groups[e])]
                if not names:
                    continue
                spans = {m: macro([epitopes[e][m] for e in names], self.seed) for m in MEASURES}
                rows = np.array([self._of(e, counts) for e in names])
                rate = float((rows[:, 0] / rows.sum(1)).mean())
                total = rows.sum(0).tolist()
                words = f"mean of {len(names)}"
                yield Line(source, group, words, None, total[0], total[1], rate, spans)

    @staticmethod
    def _of(epitope: str, counts: Counter[tuple[str, bool]]) -> tuple[int, int]:
        return counts[epitope, True], counts[epitope, False]

    def leak_rows(self) -> Iterator[list[Cell]]:
        """Rows that fail a check, as `LEAK_COLUMNS`."""
        for model, leaks in self.leaks.items():
            for check in CHECKS:
                for i in np.flatnonzero(leaks.found[check]).tolist():
                    pair, place = self.pairs[i], leaks.closest[i]
                    binder = self.binders[model][place] if place >= 0 else None
                    yield [
                        model,
                        pair.row or None,
                        pair.epitope,
                        int(pair.binds),
                        check,
                        pair.receptor.cdr3_a,
                        pair.receptor.cdr3_b,
                        binder.epitope if binder else "",
                        binder.reference if binder else pair.reference,
                    ]

    def to_json(self) -> dict[str, Any]:
        """Everything but the rows that leak, as plain data."""
        return {
            "schema": 1,
            "version": __version__,
            "models": list(self.models),
            "summary": [line.to_json() for line in self.summary()],
            "epitopes": [line.to_json() for line in self.each_epitope()],
            "leaks": {m: counts_of(found, self.pairs) for m, found in self.leaks.items()},
            "notes": self.notes,
        }

    def write(self, folder: Path) -> None:
        """Write summary.tsv, epitopes.tsv, leaks.tsv and summary.json."""
        folder.mkdir(parents=True, exist_ok=True)
        write_tsv(folder / "summary.tsv", COLUMNS, [line.cells() for line in self.summary()])
        write_tsv(folder / "epitopes.tsv", COLUMNS, [line.cells() for line in self.each_epitope()])
        write_tsv(folder / "leaks.tsv", LEAK_COLUMNS, self.leak_rows())
        write_json(folder / "summary.json", self.to_json())


def _with_differences(
    found: Mapping[str, ByEpitope], models: Sequence[str]
) -> dict[str, ByEpitope]:
    """What was found, and each other model less the first on the same draws."""
    out = dict(found)
    for other in models[1:] if found else ():
        first = models[0]
        out[f"{other} - {first}"] = {
            e: {m: less(measures[m], found[other][e][m]) for m in MEASURES}
            for e, measures in found[first].items()
        }
    return out
