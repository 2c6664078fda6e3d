"""What ``mmtool train retrieve`` can train, by the name that ``--recipe`` takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmtool.pipelines.training.retrieve import RetrieveTraining, Tell, train_retrieve
from mmtool.pipelines.training.retrieve_fit import FitOptions
from mmtool.pipelines.training.retrieve_prompts import train_prompts
from mmtool.pipelines.training.retrieve_prompts_fit import PromptOptions
from mmtool.pipelines.training.retrieve_rcar import train_rcar
from mmtool.pipelines.training.retrieve_rcar_fit import RcarOptions


@dataclass(frozen=True)
class Recipe:
    """One thing that can be trained.

    Attributes:
        train: Trains it and gives the folder of the model.
        epochs: Where none are given.
    """

    train: Callable[[RetrieveTraining, Tell], Path]
    epochs: int


RECIPES = {
    "joint": Recipe(train_retrieve, FitOptions().epochs),
    "rcar": Recipe(train_rcar, RcarOptions().epochs),
    "prompts": Recipe(train_prompts, PromptOptions().epochs),
}
