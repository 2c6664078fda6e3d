"""TITAN's own test of binding models (https://doi.org/10.1093/bioinformatics/btab294), rebuilt.

Known binders of each epitope, beta CDR3s alone, capped to 16 to 400; for each one negative, its
receptor with another epitope; ten folds in which the receptors, or the receptors and the epitopes,
are new. The original fold files are not used. TITAN draws the other epitope from all with the same
chance, so that an epitope's share of positives tells the label without any receptor; the same
folds with negatives in proportion to each epitope's positives stand beside it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mmtool import __version__
from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.tables import Cell, write_tsv
from mmtool.pipelines.binding_knn import shuffled_pairs
from mmtool.pipelines.evaluation.binding_measures import measure
from mmtool.pipelines.evaluation.titan_methods import (
    ADD_PRIOR,
    FAST,
    METHODS,
    LabelledPair,
    Tell,
    both_labels,
)
from mmtool.pipelines.training.tcr_data import read_known

SPLITS = ("unseen receptors", "unseen receptors and epitopes")
NEGATIVES = ("uniform", "proportional")
_LEAST, _MOST = 16, 400  # positives of an epitope
FOLD_COLUMNS = (
    "split",
    "negatives",
    "seed",
    "fold",
    "method",
    "train_pairs",
    "test_pairs",
    "test_epitopes",
    "pooled_auc",
    "macro_auc",
)
COLUMNS = (
    "split",
    "negatives",
    "method",
    "folds",
    "pooled_auc",
    "pooled_auc_sd",
    "macro_auc",
    "macro_auc_sd",
)
Known = tuple[str, str]  # CDR3 of the beta chain, epitope


@dataclass(frozen=True)
class FoldScore:
    """One method on one fold, as `FOLD_COLUMNS`."""

    split: str
    negatives: str
    seed: int
    fold: int
    method: str
    train_pairs: int
    test_pairs: int
    test_epitopes: int
    pooled_auc: float
    macro_auc: float

    def cells(self) -> list[Cell]:
        """As `FOLD_COLUMNS`."""
        values: list[Cell] = [getattr(self, name) for name in FOLD_COLUMNS]
        return [round(v, 4) if isinstance(v, float) else v for v in values]


@dataclass(frozen=True)
class TitanReport:
    """What was measured.

    Attributes:
        folds: Each method on each fold.
        notes: Plain sentences for the user.
    """

    folds: Sequence[FoldScore]
    notes: Sequence[str]

    def summary(self) -> list[list[Cell]]:
        """Mean and standard deviation over folds, as `COLUMNS`."""
        groups: dict[tuple[str, str, str], list[FoldScore]] = defaultdict(list)
        for score in self.folds:
            groups[score.split, score.negatives, score.method].append(score)
        rows: list[list[Cell]] = []
        for names, scores in groups.items():
            row: list[Cell] = [*names, len(scores)]
            for measured in ("pooled_auc", "macro_auc"):
                values = np.array([getattr(s, measured) for s in scores])
                spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
                row += [round(float(values.mean()), 4), round(spread, 4)]
            rows.append(row)
        return rows

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            "schema": 1,
            "version": __version__,
            "protocol": "titan",
            "summary": [dict(zip(COLUMNS, row, strict=True)) for row in self.summary()],
            "folds": [dict(zip(FOLD_COLUMNS, s.cells(), strict=True)) for s in self.folds],
            "notes": list(self.notes),
        }

    def write(self, folder: Path) -> None:
        """Write summary.tsv, folds.tsv and summary.json."""
        folder.mkdir(parents=True, exist_ok=True)
        write_tsv(folder / "summary.tsv", COLUMNS, self.summary())
        write_tsv(folder / "folds.tsv", FOLD_COLUMNS, [s.cells() for s in self.folds])
        write_json(folder / "summary.json", self.to_json())


@dataclass(frozen=True, kw_only=True)
class TitanProtocol:
    """What to measure on what.

    Attributes:
        data: Table of known binders.
        sources: Collections whose binders are taken; all if there are none.
        methods: Names among `METHODS`.
        folds: How many; each is held out once.
        first: Only so many of the folds; all if None.
        seeds: Of the cap, the folds and the negatives; each gives other folds.
        limits: Bounds of the reader.
    """

    data: Path
    sources: frozenset[str] = frozenset()
    methods: Sequence[str] = FAST
    folds: int = 10
    first: int | None = None
    seeds: Sequence[int] = (0,)
    limits: Limits | None = None

    def run(self, tell: Tell) -> TitanReport:
        """Measure all methods on all folds.

        Raises:
            InputError: The table can't be used, or holds too little.
        """
        known = self._known()
        scores: list[FoldScore] = []
        for seed in self.seeds:
            positives = capped(known, seed)
            if len({e for _, e in positives}) < 2 * self.folds:  # negatives need two
                raise InputError(
                    f"{self.data}: too few epitopes with {_LEAST} binders for {self.folds} folds",
                    "known binders with a beta CDR3 and an epitope; --source chooses among them",
                )
            for split in SPLITS:
                for number, parts in enumerate(
                    islice(parted(positives, split, self.folds, seed), self.first)
                ):
                    for negatives in NEGATIVES:
                        train, test = (
                            with_negatives(part, known, negatives, seed * self.folds + number)
                            for part in parts
                        )
                        where = (split, negatives, seed, number)
                        scores += self._fold(where, train, test, tell)
        count = len({e for _, e in capped(known, self.seeds[0])})
        return TitanReport(
            scores,
            [
                f"{len(positives)} known binders of {count} epitopes, {_LEAST} to {_MOST} of each, "
                "by the CDR3 of the beta chain; folds and negatives are made anew, not the "
                "authors' own",
                "pooled AUC mixes epitopes: with uniform negatives the epitope alone tells the "
                "label in part, see the method prior; judge by macro AUC, the mean over epitopes",
            ],
        )

    def _known(self) -> list[Known]:
        found = [
            (b.receptor.cdr3_b, b.epitope)
            for b in read_known(self.data, self.limits)
            if b.receptor.cdr3_b and (not self.sources or self.sources & set(b.source.split(";")))
        ]
        if not found:
            words = ", ".join(sorted(self.sources)) or "any source"
            raise InputError(
                f"{self.data}: no binder of {words}", "--source names a collection of its sources"
            )
        return list(dict.fromkeys(found))

    def _fold(
        self,
        where: tuple[str, str, int, int],
        train: Sequence[LabelledPair],
        test: Sequence[LabelledPair],
        tell: Tell,
    ) -> Iterator[FoldScore]:
        labels = np.array([p.binds for p in test])
        rows = both_labels(test)
        found = {name: METHODS[name](train, where[2])(test) for name in self.methods}
        if ADD_PRIOR in found and "prior" in found:
            share = np.clip(found["prior"], 1e-3, 1 - 1e-3)
            found[f"{ADD_PRIOR} and prior"] = found[ADD_PRIOR] + np.log(share / (1 - share))
        for name, scores in found.items():
            each = [measure(scores[r], labels[r])["auc"] for r in rows]
            pooled, macro = measure(scores, labels)["auc"], float(np.mean(each))
            words = ", ".join(map(str, where))
            tell(f"{words}, {name}: pooled {pooled:.3f}, macro {macro:.3f}")
            yield FoldScore(*where, name, len(train), len(test), len(rows), pooled, macro)


def capped(known: Sequence[Known], seed: int) -> list[Known]:
    """At most 400 drawn at random of each epitope that has 16."""
    count = Counter(epitope for _, epitope in known)
    order = np.random.default_rng(seed).permutation(len(known))
    taken: Counter[str] = Counter()
    out = []
    for place in order.tolist():
        epitope = known[place][1]
        if count[epitope] >= _LEAST and taken[epitope] < _MOST:
            taken[epitope] += 1
            out.append(known[place])
    return out


def parted(
    positives: Sequence[Known], split: str, folds: int, seed: int
) -> Iterator[tuple[list[Known], list[Known]]]:
    """Training and test part of each fold; no receptor is in both.

    Of `SPLITS` the second also holds epitopes out: the test receptors are those that bind one of
    them, and what else they bind is left out.
    """
    draw = np.random.default_rng(seed)
    if split == SPLITS[0]:
        fold = _dealt(sorted({s for s, _ in positives}), folds, draw)
        for number in range(folds):
            train = [p for p in positives if fold[p[0]] != number]
            yield train, [p for p in positives if fold[p[0]] == number]
        return
    fold = _dealt(sorted({e for _, e in positives}), folds, draw)
    for number in range(folds):
        test = [p for p in positives if fold[p[1]] == number]
        held = {s for s, _ in test}
        yield [p for p in positives if fold[p[1]] != number and p[0] not in held], test


def _dealt(names: Sequence[str], folds: int, draw: np.random.Generator) -> Mapping[str, int]:
    """Name -> fold, each fold of as many names."""
    places = draw.permutation(len(names)) % folds
    return dict(zip(names, places.tolist(), strict=True))


def with_negatives(
    positives: Sequence[Known], known: Sequence[Known], negatives: str, seed: int
) -> list[LabelledPair]:
    """The positives, and for each its receptor with another epitope of the same part."""
    uniform = negatives == NEGATIVES[0]
    drawn = shuffled_pairs(positives, seed, known=known, uniform=uniform)
    return [LabelledPair(s, e, True) for s, e in positives] + [
        LabelledPair(s, e, False) for s, e in drawn
    ]
