"""From the files of a model to the binding model that runs them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mmtool.errors import ModelError
from mmtool.models.card import OWN
from mmtool.models.store import ModelFiles, load_state
from mmtool.models.tcr.reference import unpack
from mmtool.pipelines.binding_knn import LevenshteinKnn
from mmtool.pipelines.binding_model import BindingModel
from mmtool.pipelines.binding_ratio import NETWORK, load_kernel_ratio
from mmtool.receptors import Binder


def load_binding_model(
    files: ModelFiles, device: torch.device, reference: Sequence[Binder] = ()
) -> BindingModel:
    """Build what a model's config names, with its own known binders and those of the user.

    Raises:
        ModelError: The model names a network that is not known here.
    """
    model = _own(files, device)
    return model.with_binders(reference) if reference else model


def _own(files: ModelFiles, device: torch.device) -> BindingModel:
    network = files.config.get("network") if files.format == OWN else files.format
    if network == "levenshtein_knn":
        return LevenshteinKnn(files.config, unpack(load_state(files, device=str(device))))
    if network == NETWORK:
        return load_kernel_ratio(
            files.config, load_state(files, device=str(device)), str(files.folder)
        )
    raise ModelError(
        f"{files.folder}: unknown network {network!r}", "the model needs a newer mmtool"
    )
