"""How far the risk moves with each column: half the way from one sd below to one sd above.

A finite change, so that trees, whose gradient is 0 nearly everywhere, are heard too.
"""

from __future__ import annotations

from mmtool.models.explainers.effects import Effects, Explainable, Groups
from mmtool.models.explainers.saliency import by_columns
from mmtool.survival import Cohort


def explain(model: Explainable, cohort: Cohort, groups: Groups, seed: int) -> list[Effects]:
    """Change a sd; see :func:`mmtool.models.explainers.effects.explain`."""
    del groups, seed
    return by_columns(cohort, model, model.shifts)
