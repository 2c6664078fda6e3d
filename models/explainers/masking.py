"""What the risk loses without a modality, and without a group of columns.

A modality that is masked is missing, so that the model judges by the others alone; a group that is
masked has the values of the median training patient. Occlusion (Zeiler and Fergus, arXiv
1311.2901); no mask is learned.
"""

from __future__ import annotations

import numpy as np

from mmtool.models.explainers.effects import (
    Effects,
    Explainable,
    Groups,
    Item,
    Level,
    present,
    units,
    without,
)
from mmtool.survival import Cohort


def explain(model: Explainable, cohort: Cohort, groups: Groups, seed: int) -> list[Effects]:
    """Risk less that without each; see :func:`mmtool.models.explainers.effects.explain`."""
    del seed
    whole = tuple(Item(name, name, None) for name in cohort.blocks)
    parts = tuple(i for i in units(model, cohort, groups) if i.places is not None)
    out = [_masked(model, cohort, whole, "modality")]
    return out + ([_masked(model, cohort, parts, "group")] if parts else [])


def _masked(model: Explainable, cohort: Cohort, items: tuple[Item, ...], level: Level) -> Effects:
    risk, there = np.nan_to_num(model.risk(cohort)), present(cohort, items)
    values = np.full(there.shape, np.nan)
    for k in range(len(items)):
        gone = np.zeros_like(there)
        gone[:, k] = there[:, k]
        # Of whom nothing is left, the risk is that of the average training patient: 0.
        left = np.nan_to_num(model.risk(without(model, cohort, items, gone)))
        values[:, k] = np.where(there[:, k], risk - left, np.nan)
    return Effects(level, items, values, signed=True)
