"""From the options of ``mmtool train segment`` to the run that they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mmtool.errors import UsageError
from mmtool.pipelines.training.brain import train_brain
from mmtool.pipelines.training.brain_options import BrainTraining
from mmtool.pipelines.training.brain_text import TextTraining, train_brain_text
from mmtool.pipelines.training.crops import CropTraining, train_crops
from mmtool.pipelines.training.run import Report
from mmtool.pipelines.training.tumor import TumorTraining, train_tumor


def train_segment_model(recipe: str, values: Mapping[str, Any], report: Report) -> Path:
    """Train a recipe.

    Args:
        recipe: ``brain``, ``brain-text``, ``tumor``, or a key of ``crop_recipes.RECIPES``.
        values: Options by name; those that the recipe doesn't have are ignored, and None stands
            for the recipe's default.
        report: Called with every line of the log.

    Returns:
        The folder of the exported model.
    """
    if recipe == "brain":
        given = dict(values) | {"maps": values["data"]}
        return train_brain(BrainTraining(**_known(BrainTraining, given)), report=report)
    if recipe == "brain-text":
        if values.get("fusion") == "none":
            raise UsageError("brain-text needs a fusion", "sequential, progressive or late")
        given = dict(values) | {"maps": values["data"]}
        return train_brain_text(TextTraining(**_known(TextTraining, given)), report=report)
    if recipe == "tumor":
        given = dict(values) | {"maps": values["data"]}
        return train_tumor(TumorTraining(**_known(TumorTraining, given)), report=report)
    given = dict(values) | {"recipe": recipe}
    return train_crops(CropTraining(**_known(CropTraining, given)), report=report)


def _known(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {f.name: values[f.name] for f in fields(kind) if values.get(f.name) is not None}
