"""Whether an explanation can be trusted: deletion against chance, and stability over fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.stats import spearmanr

from mmtool.models.explainers.effects import Effects, Explainable, Groups, explain, without
from mmtool.survival import Cohort, Floats

DRAWS = 20
MOST = 10  # items that are taken away; fewer where there are few


@dataclass(frozen=True)
class Deletion:
    """What happens to the risk when the items of most effect are taken away.

    Attributes:
        taken: Items of each patient.
        way: ``falls`` (those that raise it are taken), ``rises`` (those that lower it), or
            ``moves`` (of effects without sign).
        top: Mean over the patients of how far it went that way.
        random: Mean of the same over random items.
        spread: Its standard deviation over the draws.
        p: Share of the draws that went as far, the true order counted as one of them.
    """

    taken: int
    way: str
    top: float
    random: float
    spread: float
    p: float


def deletions(model: Explainable, cohort: Cohort, effects: Effects, seed: int) -> list[Deletion]:
    """Take away the items of most effect, and as many at random of the same patient.

    Args:
        model: The model.
        cohort: P patients, as the effects have them.
        effects: Of K items, at least two.
        seed: Of the draws.
    """
    values = effects.values
    taken = max(1, min(MOST, values.shape[1] // 3))
    ways = {"falls": values, "rises": -values} if effects.signed else {"moves": np.abs(values)}
    risk = np.nan_to_num(model.risk(cohort))

    def gone(score: Floats) -> Floats:
        """(P,) risk less that without the items of highest score."""
        ranked = np.argsort(-np.where(np.isnan(score), -np.inf, score), axis=1)[:, :taken]
        chosen = np.zeros(values.shape, np.bool_)
        np.put_along_axis(chosen, ranked, True, axis=1)
        chosen &= ~np.isnan(values)
        left = model.risk(without(model, cohort, effects.items, chosen))
        return np.asarray(risk - np.nan_to_num(left), np.float64)

    rng = np.random.default_rng(seed)
    drawn = [
        gone(np.where(np.isnan(values), np.nan, rng.random(values.shape))) for _ in range(DRAWS)
    ]
    return [_compared(way, taken, gone(score), drawn) for way, score in ways.items()]


def _compared(way: str, taken: int, top: Floats, drawn: Sequence[Floats]) -> Deletion:
    def far(change: Floats) -> float:
        turned = {"falls": change, "rises": -change}.get(way, np.abs(change))
        return float(turned.mean())

    others = np.array([far(change) for change in drawn])
    p = (1 + int((others >= far(top)).sum())) / (1 + len(others))
    return Deletion(taken, way, far(top), float(others.mean()), float(others.std(ddof=1)), p)


@dataclass(frozen=True)
class Stability:
    """Spearman's correlation of the items' mean sizes between pairs of fits."""

    fits: int
    mean: float
    low: float
    high: float


def stability(
    method: str, model: Explainable, cohort: Cohort, groups: Groups, seed: int
) -> list[Stability | None]:
    """How alike fits of other training patients explain the same patients.

    The fits are the model's own, each without a part of the training patients. One answer for each
    of the method's effects; None where there are fewer than two fits or three items.
    """
    told = [explain(method, fit, cohort, groups, seed) for fit in model.own_fits()]
    return [_alike(list(same)) for same in zip(*told, strict=True)]


def _alike(effects: Sequence[Effects]) -> Stability | None:
    if len(effects) < 2 or len(effects[0].items) < 3:
        return None
    sizes = [np.nan_to_num(np.abs(e.values)).mean(axis=0) for e in effects]
    pairs = [float(spearmanr(a, b).statistic) for a, b in combinations(sizes, 2) if _vary(a, b)]
    if not pairs:
        return None
    return Stability(len(effects), float(np.mean(pairs)), min(pairs), max(pairs))


def _vary(a: Floats, b: Floats) -> bool:
    return bool(np.ptp(a) > 0 and np.ptp(b) > 0)


def rows_of(effects: Effects, rows: Sequence[int]) -> Effects:
    """The effects of some patients."""
    where = np.asarray(rows, np.int64)
    error = None if effects.error is None else effects.error[where]
    return replace(effects, values=effects.values[where], error=error)
