"""The gradient of the risk by each column, in its sd (Simonyan et al., arXiv 1312.6034).

Of networks by automatic differentiation; of the stack that of its regressions, exactly: the
gradient of a tree is 0 wherever it is one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmtool.models.explainers.effects import Effects, Explainable, Groups, Item
from mmtool.survival import Cohort, Floats


def explain(model: Explainable, cohort: Cohort, groups: Groups, seed: int) -> list[Effects]:
    """Gradients; see :func:`mmtool.models.explainers.effects.explain`."""
    del groups, seed
    return by_columns(cohort, model, model.slopes)


def by_columns(
    cohort: Cohort, model: Explainable, ask: Callable[[Cohort, str], Floats | None]
) -> list[Effects]:
    """What ``ask`` says of the columns of each modality that has any."""
    out = []
    for name, block in cohort.blocks.items():
        values = ask(cohort, name)
        if values is not None:
            told = np.where(block.present[:, None], values, np.nan)
            items = tuple(Item(name, c, (i,)) for i, c in enumerate(model.columns(name)))
            out.append(Effects("feature", items, told, signed=False))
    return out
