"""Shapley values of groups of columns, against the median training patient.

The value of a group is the mean over all orders of what its own values, in place of the median
ones, add to the risk when it joins the groups before it (Shapley 1953; one reference patient:
Sundararajan and Najmi, arXiv 1908.08474). They sum to the risk less that of the median values. Up
to `EXACT` groups all coalitions are computed; with more, orders are drawn in pairs of an order and
its reverse (antithetic: Mitchell et al., arXiv 2104.12199), and the standard error over pairs is
told. No model needs to be opened for it.
"""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np

from mmtool.models.explainers.effects import (
    Effects,
    Explainable,
    Groups,
    Item,
    present,
    units,
    without,
)
from mmtool.survival import Cohort, Floats

EXACT = 6
PAIRS = 8


def explain(model: Explainable, cohort: Cohort, groups: Groups, seed: int) -> list[Effects]:
    """Values of the groups; see :func:`mmtool.models.explainers.effects.explain`."""
    items = units(model, cohort, groups)
    if len(items) <= EXACT:
        values, error = _exact(model, cohort, items), None
    else:
        values, error = _drawn(model, cohort, items, seed)
    there = present(cohort, items)
    told = None if error is None else np.where(there, error, np.nan)
    return [Effects("group", items, np.where(there, values, np.nan), True, told)]


def _risk(
    model: Explainable, cohort: Cohort, items: tuple[Item, ...], inside: np.ndarray
) -> Floats:
    """(P,) risk of the patients with the own values of the groups inside (K,) alone."""
    gone = np.broadcast_to(~inside, (len(cohort), len(items))) & present(cohort, items)
    return np.nan_to_num(model.risk(without(model, cohort, items, gone)))


def _exact(model: Explainable, cohort: Cohort, items: tuple[Item, ...]) -> Floats:
    count = len(items)
    kinds = [np.array(kind) for kind in product((False, True), repeat=count)]
    worth = {tuple(kind): _risk(model, cohort, items, kind) for kind in kinds}
    out = np.zeros((len(cohort), count))
    for k in range(count):
        for kind in (kind for kind in kinds if not kind[k]):
            more = kind.copy()
            more[k] = True
            share = 1 / (count * comb(count - 1, int(kind.sum())))
            out[:, k] += share * (worth[tuple(more)] - worth[tuple(kind)])
    return out


def _drawn(
    model: Explainable, cohort: Cohort, items: tuple[Item, ...], seed: int
) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    count = len(items)
    pairs = np.zeros((PAIRS, len(cohort), count))
    none, whole = (_risk(model, cohort, items, np.full(count, full)) for full in (False, True))
    for pair in range(PAIRS):
        order = rng.permutation(count)
        for way in (order, order[::-1]):
            inside, before = np.zeros(count, np.bool_), none
            for k in way:
                inside[k] = True
                after = whole if inside.all() else _risk(model, cohort, items, inside)
                pairs[pair, :, k] += (after - before) / 2
                before = after
    return pairs.mean(axis=0), pairs.std(axis=0, ddof=1) / np.sqrt(PAIRS)
