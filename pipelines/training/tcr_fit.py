"""From known binders and controls to the default binding model, calibrated on held-out studies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.tcr.chain_space import CHAINS, UNKNOWN, codes_of, make_space
from mmtool.models.tcr.density import own_density, squared_distances
from mmtool.pipelines.binding_ratio import NETWORK, ChainReference, KernelRatio
from mmtool.pipelines.training.tcr_data import Controls, Split, donors_apart, paired, thinned
from mmtool.pipelines.training.tcr_motif import (
    MotifSettings,
    MotifSize,
    fit_motifs,
    regressions,
)
from mmtool.pipelines.training.tcr_tuning import ChainSettings, areas
from mmtool.receptors import Binder, Receptor

VIEWS, DENSITIES = ("ab", "b", "a"), "densities"
_Raw = tuple[NDArray[Any], NDArray[Any]]  # held-out binders' and controls' raw scores
_UNCALIBRATED = {view: [1.0, 0.0] for view in VIEWS}
NO_MOTIF = MotifSettings(0.0, 1e-3)
_PENALTIES, _WEIGHTS = (3e-3, 1e-3, 3e-4), (0.25, 0.5, 1.0)  # of motifs, that are tried
POSITIVES, _NEGATIVES = 100, 1000  # of an epitope; of a split


@dataclass(frozen=True)
class FitOptions:
    """How large the model is.

    Attributes:
        dimensions: Of the points of a chain.
        most: Binders of an epitope, paired and unpaired each.
        background: Control receptors.
        prevalence: Binders among receptors that probabilities are given for.
        few: Binders under which an epitope is told as ``few``.
        motifs: How many motifs.
        seed: Of the draws.
    """

    dimensions: int = 96
    most: int = 400
    background: int = 4000
    prevalence: float = 0.01
    few: int = 20
    motifs: MotifSize = field(default_factory=MotifSize)
    seed: int = 0


@dataclass(frozen=True)
class Settings:
    """What is chosen on held-out studies.

    Attributes:
        chains: Of the densities of each chain.
        motif: Of the motifs.
    """

    chains: Mapping[str, ChainSettings]
    motif: MotifSettings = NO_MOTIF


@dataclass(frozen=True)
class Calibration:
    """View -> slope and intercept of the log odds at even prevalence.

    Attributes:
        plain: Of epitopes without a motif.
        motif: Of those with one.
    """

    plain: Mapping[str, Sequence[float]]
    motif: Mapping[str, Sequence[float]]


UNCALIBRATED = Calibration(_UNCALIBRATED, _UNCALIBRATED)


def fit(
    known: Sequence[Binder],
    controls: Controls,
    settings: Settings,
    options: FitOptions,
    calibration: Calibration = UNCALIBRATED,
) -> KernelRatio:
    """The model of these binders; raw scores as they are without a calibration."""
    binders = _kept(known, options)
    general = _background(controls, options)
    chains, apart = {}, {}
    for chain in CHAINS:
        own = settings.chains[chain]
        chains[chain] = _reference(binders, general, chain, own, options)
        apart[chain] = chains[chain].apart
    motifs = {}
    if settings.motif.weight:
        motifs = fit_motifs(known, general, settings.motif, options.motifs, options.seed)
    held = Counter(b.epitope for b in binders)
    every = Counter(b.epitope for b in known)
    config = {
        "network": NETWORK,
        "prior": {c: settings.chains[c].prior for c in CHAINS},
        "width": {c: settings.chains[c].width for c in CHAINS},
        "weights": {c: dict(settings.chains[c].weights) for c in CHAINS},
        "apart": apart,
        "motif_weight": settings.motif.weight,
        "motif_penalty": settings.motif.penalty,
        "motifs": {c: list(found.epitopes) for c, found in motifs.items()},
        "calibration": {k: list(v) for k, v in calibration.plain.items()},
        "calibration_with_motif": {k: list(v) for k, v in calibration.motif.items()},
        "prevalence": options.prevalence,
        "few": options.few,
        "unseen_skill": None,
        "left_out": {e: n - held[e] for e, n in sorted(every.items()) if n > held[e]},
    }
    return KernelRatio(config, chains, binders, motifs=motifs)


def _background(controls: Controls, options: FitOptions) -> list[Receptor]:
    order = np.random.default_rng(options.seed).permutation(len(controls.receptors))
    return [controls.receptors[i] for i in order[: options.background]]


def _kept(known: Sequence[Binder], options: FitOptions) -> list[Binder]:
    """At most so many of each epitope; those without a V gene only where there are no others."""
    with_gene = [b for b in known if b.receptor.v_a or b.receptor.v_b]
    enough = Counter(b.epitope for b in with_gene)
    rest = [b for b in known if not (b.receptor.v_a or b.receptor.v_b)]
    return thinned(
        with_gene + [b for b in rest if enough[b.epitope] < options.few], options.most, options.seed
    )


def _reference(
    binders: Sequence[Binder],
    general: Sequence[Receptor],
    chain: str,
    settings: ChainSettings,
    options: FitOptions,
) -> ChainReference:
    codes = codes_of(general, chain)
    whole = codes[(codes != UNKNOWN).all(1)]
    space = make_space(whole, settings.weights, settings.width, options.dimensions)
    rows = [i for i, b in enumerate(binders) if getattr(b.receptor, f"cdr3_{chain}")]
    points = space.points(codes_of([binders[i].receptor for i in rows], chain))
    background = space.points(codes)
    some = background[:1000]
    apart = float(squared_distances(some, some).sum() / max(1, len(some) * (len(some) - 1)))
    density = own_density(background)
    return ChainReference(space, background, density, points, torch.tensor(rows), apart)


# AUC and AUC0.1 against binders of other epitopes, then against controls.
MEASURES = ("auc", "auc01", "auc_controls", "auc01_controls")
Quality = dict[str, list[tuple[float, ...]]]  # epitope -> its measures in each split


@dataclass(frozen=True)
class Validation:
    """Held-out raw scores of some splits.

    Attributes:
        calibration: Fitted to them.
        quality: Of each view, and of both chains by the densities alone (`DENSITIES`).
        nearest: Of the baseline: the distance to the nearest paired binder.
        splits: How many.
    """

    calibration: Calibration
    quality: dict[str, Quality]
    nearest: Quality
    splits: int


def validate(
    splits: Sequence[Split],
    controls: Controls,
    settings: Settings,
    options: FitOptions,
) -> Validation:
    """Fit to each split's training part, score what is held out, and calibrate on that."""
    background, tested = donors_apart(controls)
    plain: dict[str, list[_Raw]] = {view: [] for view in VIEWS}
    told: dict[str, list[_Raw]] = {view: [] for view in VIEWS}
    quality: dict[str, Quality] = {view: defaultdict(list) for view in (*VIEWS, DENSITIES)}
    nearest: Quality = defaultdict(list)
    for split in splits:
        model = fit(split.train, background, settings, options)
        densities = KernelRatio(model.config, model.chains, model.binders)
        bare = Settings(settings.chains)
        pairs = fit([b for b in split.train if paired(b)], background, bare, options)
        asked = thinned(split.test, POSITIVES, options.seed)
        for epitope in split.epitopes:
            sets = test_sets(asked, tested, epitope)
            for view in VIEWS:
                rows = [[seen_by(r, view) for r in s] for s in sets]
                raw = [model.raw_scores(r, epitope) for r in rows]
                alone = [densities.raw_scores(r, epitope) for r in rows]
                plain[view].append((alone[0], alone[2]))
                if any(epitope in model.motifs[c].epitopes for c in view if model.motifs):
                    told[view].append((raw[0], raw[2]))
                quality[view][epitope].append(measured(*raw))
                if view == "ab":
                    quality[DENSITIES][epitope].append(measured(*alone))
            apart = [-pairs.neighbours(s, epitope, 1)[1][:, 0] for s in sets]
            nearest[epitope].append(measured(*apart))
    lines = {view: logistic(rows) for view, rows in plain.items()}
    calibration = Calibration(
        lines, {view: logistic(rows) if rows else lines[view] for view, rows in told.items()}
    )
    return Validation(calibration, quality, nearest, len(splits))


def choose_motif(
    splits: Sequence[Split],
    controls: Controls,
    chains: Mapping[str, ChainSettings],
    options: FitOptions,
) -> MotifSettings:
    """The penalty and weight that do best on held-out studies; no weight where none helps.

    The mean over views, epitopes and `MEASURES` decides. Motifs are not put on shared axes here.
    """
    background, tested = donors_apart(controls)
    general = _background(background, options)
    found: dict[MotifSettings, list[float]] = defaultdict(list)
    for split in splits:
        model = fit(split.train, background, Settings(chains), options)
        asked = thinned(split.test, POSITIVES, options.seed)
        sets = {e: test_sets(asked, tested, e) for e in split.epitopes}
        receptors = list(dict.fromkeys(r for s in sets.values() for some in s for r in some))
        row = {r: i for i, r in enumerate(receptors)}
        rows = {e: [[row[r] for r in some] for some in s] for e, s in sets.items()}
        densities = {
            view: {
                e: model.raw_scores([seen_by(r, view) for r in receptors], e)
                for e in split.epitopes
            }
            for view in VIEWS
        }
        for penalty in _PENALTIES:
            odds = _held_odds(split, general, receptors, penalty, options)
            for weight in (0.0, *_WEIGHTS):
                found[MotifSettings(weight, penalty)] += _means(densities, odds, rows, weight)
    return max(found, key=lambda settings: float(np.mean(found[settings])))


def _held_odds(
    split: Split,
    general: Sequence[Receptor],
    receptors: Sequence[Receptor],
    penalty: float,
    options: FitOptions,
) -> dict[str, dict[str, NDArray[Any]]]:
    """Chain -> epitope -> log odds of the receptors, by motifs of the split's training part."""
    odds = {}
    for chain in CHAINS:
        only = frozenset(split.epitopes)
        fitted = regressions(
            split.train, general, chain, penalty, options.motifs, options.seed, only
        )
        columns = fitted.odds(receptors, chain).numpy().T
        odds[chain] = dict(zip(fitted.epitopes, columns, strict=True))
    return odds


def _means(
    densities: Mapping[str, Mapping[str, NDArray[Any]]],
    odds: Mapping[str, Mapping[str, NDArray[Any]]],
    rows: Mapping[str, Sequence[Sequence[int]]],
    weight: float,
) -> list[float]:
    """Mean of `MEASURES` for each view and epitope, with motifs of that weight.

    Args:
        densities: View -> epitope -> raw scores of all receptors.
        odds: Chain -> epitope -> log odds of the same.
        rows: Epitope -> rows of its binders and of each kind of negatives.
        weight: Of the log odds.
    """
    out = []
    for view, by_epitope in densities.items():
        for epitope, raw in by_epitope.items():
            scores = raw + weight * sum(odds[c].get(epitope, 0.0) for c in view)
            out.append(float(np.mean(measured(*(scores[some] for some in rows[epitope])))))
    return out


def test_sets(
    asked: Sequence[Binder], tested: Controls, epitope: str
) -> tuple[list[Receptor], list[Receptor], list[Receptor]]:
    """Held-out binders of the epitope, those of other epitopes, and controls."""
    own = [b.receptor for b in asked if b.epitope == epitope]
    bound = set(own)
    others = [b.receptor for b in asked if b.epitope != epitope and b.receptor not in bound]
    return own, others[:_NEGATIVES], list(tested.receptors[:_NEGATIVES])


def seen_by(receptor: Receptor, view: str) -> Receptor:
    """The receptor with only the chains of a view."""
    a, b = ("a" in view), ("b" in view)
    return Receptor(
        *((receptor.v_a, receptor.j_a, receptor.cdr3_a) if a else ("", "", "")),
        *((receptor.v_b, receptor.j_b, receptor.cdr3_b) if b else ("", "", "")),
    )


def measured(own: NDArray[Any], *negatives: NDArray[Any]) -> tuple[float, ...]:
    """`areas` against each set of negatives."""
    out: list[float] = []
    for others in negatives:
        truth = np.r_[np.ones(len(own), bool), np.zeros(len(others), bool)]
        out += areas(np.r_[own, others], truth)
    return tuple(out)


def logistic(rows: Sequence[_Raw]) -> list[float]:
    """Slope and intercept from raw score to log likelihood ratio, binders against controls.

    Each epitope counts the same, and in it binders as much as controls.
    """
    x = torch.from_numpy(np.concatenate([part for row in rows for part in row])).double()
    labels, weights = [], []
    for row in rows:
        for label, part in zip((1.0, 0.0), row, strict=True):
            labels.append(torch.full((len(part),), label, dtype=torch.double))
            weights.append(torch.full((len(part),), 1 / len(part), dtype=torch.double))
    y, w = torch.cat(labels), torch.cat(weights)
    line = torch.tensor([1.0, 0.0], dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS([line], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = (
            torch.nn.functional.binary_cross_entropy_with_logits(
                line[0] * x + line[1], y, w, reduction="sum"
            )
            / w.sum()
        )
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return [round(float(v), 4) for v in line.detach()]
