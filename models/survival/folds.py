"""Folds of patients: groups stay whole, and events and times are alike in all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmtool.survival import Outcome


def assign_folds(
    outcome: Outcome, count: int, seed: int, groups: NDArray[np.str_] | None = None
) -> NDArray[np.int64]:
    """The fold of each patient, 0 to count - 1.

    Without groups, patients are sorted by event and time and each run of ``count`` is dealt out at
    random, so that every fold has its share of events, early and late. Whole groups go, largest
    first, to the fold that has fewest events, then fewest patients.

    Args:
        outcome: Of N patients.
        count: Number of folds, >= 2.
        seed: Of the dealing.
        groups: (N,) names; patients of one name stay together.

    Returns:
        (N,) int64.
    """
    rng = np.random.default_rng(seed)
    if groups is not None:
        return _grouped(outcome, count, rng, groups)
    size = len(outcome)
    order = np.lexsort((rng.random(size), outcome.time, ~outcome.event))
    fold = np.empty(size, np.int64)
    # Runs go on over the border between events and censored, so that sizes differ by one at most.
    for start in range(0, size, count):
        run = order[start : start + count]
        fold[run] = rng.permutation(count)[: len(run)]
    return fold


def _grouped(
    outcome: Outcome, count: int, rng: np.random.Generator, groups: NDArray[np.str_]
) -> NDArray[np.int64]:
    names, member = np.unique(groups, return_inverse=True)
    patients = np.bincount(member, minlength=len(names))
    events = np.bincount(member, outcome.event, minlength=len(names))
    loads = np.zeros((count, 2))
    home = np.empty(len(names), np.int64)
    for group in np.lexsort((rng.random(len(names)), -patients, -events)):
        fold = min(range(count), key=lambda f: (loads[f, 0], loads[f, 1]))
        home[group] = fold
        loads[fold] += (events[group], patients[group])
    return home[member]
