"""Weights of loops, widths and priors of the default binding model, chosen on held-out studies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.tcr.chain_space import CHAINS, PARTS, UNKNOWN, codes_of, letter_points
from mmtool.models.tcr.density import TINY, log_ratio, squared_distances
from mmtool.pipelines.evaluation.binding_measures import measure
from mmtool.pipelines.training.tcr_data import Controls, Split, thinned
from mmtool.receptors import Binder, Receptor

log = logging.getLogger(__name__)

_QUERIES, _OTHERS, _REFERENCES = 50, 3, 700  # of an epitope; of one that is not scored; known
_CONTROLS, _BACKGROUND = 500, 2500
_FACTORS = {"width": (0.5, 0.7, 1.4, 2.0), "prior": (0.25, 0.5, 2.0, 4.0)}
_WEIGHT_FACTORS = (0.0, 0.5, 1.5, 2.0)
_WAKE = 0.5  # a weight that is 0 is tried at this times its factors
_GAIN = 1e-4  # less is noise


@dataclass(frozen=True)
class ChainSettings:
    """Of one chain.

    Attributes:
        weights: Of each of `PARTS`.
        width: Distance at which the kernel has fallen to 1/e.
        prior: How many binders the background counts for.
    """

    weights: Mapping[str, float]
    width: float = 15.0
    prior: float = 5.0


# tcrdist's own weights: the germline loops once, the middle of the junction three times.
START = ChainSettings(
    {n: {"start": 0.0, "middle": 3.0, "join": 0.0, "end": 0.0}.get(n, 1.0) for n in PARTS}
)


@dataclass
class Trial:
    """One split with all its distances, ready for many settings.

    Attributes:
        epitopes: The scored ones.
        truth: (N,) index of each query's epitope; -1 for other binders, -2 for controls.
        binder: Chain -> (R, E) 1 where a reference is a binder of the epitope with that chain.
        to_binders: Chain -> (P, N, R) squared distances by part, float16.
        to_background: Chain -> (P, N, M) likewise.
    """

    epitopes: tuple[str, ...]
    truth: NDArray[np.int64]
    binder: dict[str, Tensor] = field(default_factory=dict)
    to_binders: dict[str, Tensor] = field(default_factory=dict)
    to_background: dict[str, Tensor] = field(default_factory=dict)

    def raw(self, chain: str, settings: ChainSettings) -> Tensor:
        """Log ratios of one chain, (N, E)."""
        weights = torch.tensor([settings.weights[p] for p in PARTS]) / settings.width
        kernel = torch.exp(-_weighted(weights, self.to_binders[chain]))
        density = torch.exp(-_weighted(weights, self.to_background[chain])).mean(1)[:, None] + TINY
        binder = self.binder[chain]
        return log_ratio(kernel @ binder, binder.sum(0), density, settings.prior)

    def quality(self, raw: NDArray[np.float32]) -> NDArray[np.float64]:
        """Macro AUC and AUC0.1 against other epitopes' binders, then against controls, (4,)."""
        rows = []
        for column in range(len(self.epitopes)):
            hit = self.truth == column
            row: list[float] = []
            for other in ((self.truth > -2) & ~hit, self.truth == -2):
                asked = hit | other
                row += areas(raw[asked, column], hit[asked])
            rows.append(row)
        return np.asarray(np.mean(rows, 0), np.float64)


def areas(scores: NDArray[np.floating], hit: NDArray[np.bool_]) -> tuple[float, float]:
    """AUC and AUC0.1, see `measure`."""
    found = measure(scores, hit)
    return found["auc"], found["auc01"]


def _weighted(weights: Tensor, parts: Tensor) -> Tensor:
    total = torch.zeros(parts.shape[1:])
    for weight, part in zip(weights.tolist(), parts, strict=True):
        if weight:
            total += weight * part
    return total


def make_trial(split: Split, background: Controls, controls: Controls, seed: int) -> Trial:
    """Distances of a thinned split."""
    scored = set(split.epitopes)
    asked = thinned([b for b in split.test if b.epitope in scored], _QUERIES, seed)
    others = thinned([b for b in split.test if b.epitope not in scored], _OTHERS, seed)
    known = thinned([b for b in split.train if b.epitope in scored], _REFERENCES, seed)
    draw = np.random.default_rng(seed)
    general = [background.receptors[i] for i in draw.permutation(len(background.receptors))]
    queries = [b.receptor for b in (*asked, *others)] + list(controls.receptors[:_CONTROLS])
    column = {e: i for i, e in enumerate(split.epitopes)}
    truth = [column[b.epitope] for b in asked] + [-1] * len(others)
    truth += [-2] * (len(queries) - len(truth))
    trial = Trial(split.epitopes, np.array(truth))
    for chain in CHAINS:
        points = _part_points(queries, chain)
        trial.to_binders[chain] = _distances(
            points, _part_points([b.receptor for b in known], chain)
        )
        trial.to_background[chain] = _distances(points, _part_points(general[:_BACKGROUND], chain))
        trial.binder[chain] = _membership(known, chain, column)
    return trial


def _membership(known: Sequence[Binder], chain: str, column: Mapping[str, int]) -> Tensor:
    out = torch.zeros(len(known), len(column))
    for row, binder in enumerate(known):
        if getattr(binder.receptor, f"cdr3_{chain}"):
            out[row, column[binder.epitope]] = 1
    return out


def _part_points(receptors: Sequence[Receptor], chain: str) -> list[tuple[Tensor, Tensor]]:
    """For each part the points (N, D) and which are known (N,)."""
    codes = codes_of(receptors, chain)
    letters = torch.from_numpy(letter_points()).float()
    return [
        (
            letters[torch.from_numpy(codes[:, begin:end]).clamp(min=0)].flatten(1),
            torch.from_numpy(codes[:, begin] != UNKNOWN),
        )
        for begin, end in PARTS.values()
    ]


def _distances(
    points: Sequence[tuple[Tensor, Tensor]], others: Sequence[tuple[Tensor, Tensor]]
) -> Tensor:
    """(P, N, M) float16; to or from an unknown part the mean of the known ones."""
    out = []
    for (x, there), (y, known) in zip(points, others, strict=True):
        distance = squared_distances(x, y)
        both = there[:, None] & known[None, :]
        typical = distance[both].mean() if both.any() else distance.mean()
        out.append(torch.where(both, distance, typical).half())
    return torch.stack(out)


def tune(trials: Sequence[Trial], rounds: int = 1) -> dict[str, ChainSettings]:
    """Settings of each chain by coordinate search; each chain is scored by itself.

    The two log ratios are added without weights of their own, so the chains can be tuned apart.
    """
    found = {}
    for chain in CHAINS:

        def quality(settings: ChainSettings, chain: str = chain) -> float:
            scores = [t.quality(t.raw(chain, settings).numpy()).mean() for t in trials]
            return float(np.mean(scores))

        found[chain] = _search(quality, rounds)
        log.info("chain %s: %s", chain, found[chain])
    return found


def _search(quality: Callable[[ChainSettings], float], rounds: int) -> ChainSettings:
    settings, best = START, quality(START)
    for _ in range(rounds):
        for name in (*_FACTORS, *PARTS):
            tried = [(quality(s), s) for s in _changed(settings, name)]
            score, candidate = max(tried, key=lambda pair: pair[0])
            if score > best + _GAIN:
                best, settings = score, candidate
    return settings


def _changed(settings: ChainSettings, name: str) -> list[ChainSettings]:
    if name in _FACTORS:
        return [replace(settings, **{name: getattr(settings, name) * f}) for f in _FACTORS[name]]
    weight = settings.weights[name]
    tried = {f * weight if weight else f * _WAKE for f in _WEIGHT_FACTORS} - {weight}
    return [replace(settings, weights={**settings.weights, name: w}) for w in sorted(tried)]
