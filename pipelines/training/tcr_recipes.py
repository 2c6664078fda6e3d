"""What ``mmtool train tcr-bind`` can make, by the name of its recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mmtool.pipelines.training.tcr_bind import train_binding_model
from mmtool.pipelines.training.tcr_card import BindingTraining, Tell
from mmtool.pipelines.training.tcr_knn import train_knn_model
from mmtool.pipelines.training.tcr_titan import train_titan_model

RECIPES: Mapping[str, Callable[[BindingTraining, Tell], Path]] = {
    "kernel-ratio": train_binding_model,
    "knn": train_knn_model,
    "titan": train_titan_model,
}
