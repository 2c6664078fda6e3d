"""``mmtool evaluate tcr-bind``: how well models rank binders, on pairs that a table labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.errors import UsageError
from mmtool.io.limits import Limits
from mmtool.pipelines.binding_model import BindingModel
from mmtool.pipelines.binding_models import load_binding_model
from mmtool.pipelines.binding_outside import resolve_binding_model
from mmtool.pipelines.evaluation.binding_donors import donor_sentences
from mmtool.pipelines.evaluation.binding_leaks import Leaks, find_leaks, receptor_frequency
from mmtool.pipelines.evaluation.binding_measures import resample
from mmtool.pipelines.evaluation.binding_pairs import (
    Pair,
    PairTable,
    read_pairs,
    with_controls,
    with_swaps,
)
from mmtool.pipelines.evaluation.binding_report import BindingReport, ByEpitope
from mmtool.receptors import Receptor

FREQUENCY = "receptor frequency, no biology"
PRIOR = "known binders of the epitope, no receptor"
TIMES = 1000  # bootstrap replicates
_SAMPLE = 300  # binders that tell how near a model sees its own
_MANY = 64  # receptors that are worth a call of their own

Tell = Callable[[str], None]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """What a model says of N pairs.

    Attributes:
        scores: (N,); 0, which is no evidence either way, where the model has no answer.
        unanswered: How many those are.
        distance: (N,) to the nearest known binder of the epitope, in the model's units; or NaN.
        known: Epitope -> how many known binders the model was made from.
    """

    scores: Floats
    unanswered: int
    distance: Floats
    known: Mapping[str, int]

    def sentences(self) -> list[str]:
        """What to tell."""
        told = f"no answer for {self.unanswered} pairs, counted as no evidence"
        return [told] if self.unanswered else []


def score_pairs(model: BindingModel, pairs: Sequence[Pair]) -> Scored:
    """Score each pair by itself."""
    found: dict[tuple[Receptor, str], tuple[float, float]] = {}
    known: dict[str, int] = {}
    for names, receptors in _calls(pairs).items():
        answer = model.score(receptors, names)
        known.update(zip(names, answer.known.tolist(), strict=True))
        rows = zip(receptors, answer.score.tolist(), answer.distance.tolist(), strict=True)
        for receptor, score, distance in rows:
            both = zip(names, score, distance, strict=True)
            found.update(((receptor, name), (s, d)) for name, s, d in both)
    values = np.array([found[p.receptor, p.epitope] for p in pairs], np.float64)
    unanswered = int(np.isnan(values[:, 0]).sum())
    return Scored(np.nan_to_num(values[:, 0]), unanswered, values[:, 1], known)


def distance_to_itself(model: BindingModel) -> float:
    """What most known binders are from their own copy in the model, which may be rounded."""
    carried = [b for b in model.binders if b.receptor.usable]
    some = carried[:: max(1, len(carried) // _SAMPLE)]
    if not some:
        return 0.0
    pairs = [Pair(0, b.receptor, b.epitope, True) for b in some]
    return float(np.nanquantile(score_pairs(model, pairs).distance, 0.95))


def _calls(pairs: Sequence[Pair]) -> dict[tuple[str, ...], list[Receptor]]:
    """Epitopes -> receptors to score against all of them; each pair once.

    Many receptors with the same epitopes, as controls are, go together; the others by epitope.
    """
    of: dict[Receptor, set[str]] = defaultdict(set)
    for pair in pairs:
        of[pair.receptor].add(pair.epitope)
    groups: dict[tuple[str, ...], list[Receptor]] = defaultdict(list)
    for receptor, epitopes in of.items():
        groups[tuple(sorted(epitopes))].append(receptor)
    calls: dict[tuple[str, ...], list[Receptor]] = defaultdict(list)
    for names, receptors in groups.items():
        for some in [names] if len(receptors) >= _MANY else [(name,) for name in names]:
            calls[some] += receptors
    return calls


@dataclass(frozen=True, kw_only=True)
class BindingEvaluation:
    """What to measure on what.

    Attributes:
        data: Table of pairs.
        models: Names or folders; the others are compared with the first.
        device: Where they compute.
        label_column: Column that says whether a pair binds; found by itself if None.
        swap: Make negatives of the table's receptors and its other epitopes.
        controls: Table of receptors that bind nothing known.
        seed: Of swaps and replicates.
        limits: Bounds of the readers.
    """

    data: Path
    models: Sequence[str]
    device: torch.device
    label_column: str | None = None
    swap: bool = False
    controls: Path | None = None
    seed: int = 0
    limits: Limits = field(default_factory=Limits)

    def run(self, tell: Tell) -> BindingReport:
        """Score all pairs with all models.

        Raises:
            InputError: A table can't be used.
            UsageError: There is nothing to tell binders from.
            ModelError: A model can't be loaded.
        """
        table = self._pairs()
        loaded = {
            name: load_binding_model(resolve_binding_model(name), self.device)
            for name in dict.fromkeys(self.models)
        }
        return evaluate(table, loaded, self.seed, tell)

    def _pairs(self) -> PairTable:
        table = read_pairs(self.data, self.label_column, self.limits)
        if self.swap:
            table = with_swaps(table, self.seed)
        if self.controls is not None:
            table = with_controls(table, self.controls, self.limits)
        for binds, what in ((True, "binders"), (False, "negatives")):
            if not any(p.binds == binds for p in table.pairs):
                raise UsageError(
                    f"{self.data}: no {what} to score",
                    ""
                    if binds
                    else "give --negatives swap, --controls TABLE or a column of labels",
                )
        return table


def evaluate(
    table: PairTable,
    models: Mapping[str, BindingModel],
    seed: int = 0,
    tell: Tell = lambda line: None,
    times: int = TIMES,
) -> BindingReport:
    """Measure loaded models on pairs.

    Args:
        table: Pairs of both labels.
        models: Name -> model; the others are compared with the first.
        seed: Of the replicates.
        tell: Called with what is being done.
        times: Replicates.
    """
    pairs = table.pairs
    scored, leaks = {}, {}
    for name, model in models.items():
        tell(f"scoring {len(pairs)} pairs with {name}")
        scored[name], leaks[name] = _examined(model, pairs)
    first = next(iter(models))
    known = scored[first].known
    scores = {name: found.scores for name, found in scored.items()}
    frequency = {FREQUENCY: receptor_frequency(pairs)}
    baselines = frequency | {PRIOR: np.array([known[p.epitope] for p in pairs], np.float64)}
    binds = np.array([p.binds for p in pairs])
    clean = ~np.any([found.leaking() for found in leaks.values()], axis=0)
    report = BindingReport(
        pairs=pairs,
        models=tuple(models),
        groups={e: _group(n, models[first].few) for e, n in known.items()},
        known={name: found.known for name, found in scored.items()},
        epitopes=by_epitope(pairs, scores | frequency, np.ones_like(clean), seed, times),
        clean={} if clean.all() else by_epitope(pairs, scores, clean, seed, times),
        pooled={n: resample(s, binds, times, seed) for n, s in (scores | baselines).items()},
        leaks=leaks,
        binders={name: model.binders for name, model in models.items()},
        notes=list(table.notes),
        seed=seed,
    )
    for name, found in scored.items():
        told = leaks[name].sentences(pairs) + found.sentences()
        report.notes += [f"{name}: {line}" for line in told]
    report.notes += donor_sentences(pairs)
    report.notes += report.warnings()
    return report


def _examined(model: BindingModel, pairs: Sequence[Pair]) -> tuple[Scored, Leaks]:
    scored = score_pairs(model, pairs)
    same = scored.distance <= distance_to_itself(model)
    return scored, find_leaks(pairs, model.binders, same)


def _group(known: int, few: int) -> str:
    if not known:
        return "unseen"
    return "few" if known < few else "seen"


def by_epitope(
    pairs: Sequence[Pair],
    scores: Mapping[str, Floats],
    kept: NDArray[np.bool_],
    seed: int,
    times: int,
) -> dict[str, ByEpitope]:
    """Source -> epitope -> measures, of the epitopes that have both labels among the rows kept.

    The draws of an epitope are the same for all sources.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero(kept).tolist():
        rows[pairs[row].epitope].append(row)
    out: dict[str, ByEpitope] = {name: {} for name in scores}
    for number, epitope in enumerate(sorted(rows)):
        some = rows[epitope]
        binds = np.array([pairs[r].binds for r in some])
        if binds.all() or not binds.any():
            continue
        for name, values in scores.items():
            out[name][epitope] = resample(values[some], binds, times, seed + number)
    return out
