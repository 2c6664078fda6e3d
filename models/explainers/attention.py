"""What a network looks at: attention over tokens and tiles, or its transport plan.

Weights say where the network looked, not which way that moved the risk.
"""

from __future__ import annotations

from mmtool.errors import UsageError
from mmtool.models.explainers.effects import Effects, Explainable, Groups
from mmtool.survival import Cohort


def explain(model: Explainable, cohort: Cohort, groups: Groups, seed: int) -> list[Effects]:
    """Weights, which sum to 1 of each patient.

    Raises:
        UsageError: The model has neither attention nor a plan.
    """
    del groups, seed
    found = model.attention(cohort)
    if not found:
        raise UsageError(
            "--explain attention: this model has no map of attention",
            "abmil, mcat, motcat and cmta have one; another method goes with any model",
        )
    return found
