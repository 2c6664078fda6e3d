"""From the files of a model to the binding model that runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from mmtool.errors import ModelError
from mmtool.models.card import OWN
from mmtool.models.store import ModelFiles, load_state
from mmtool.models.tcr.reference import unpack
from mmtool.pipelines import binding_knn, binding_ratio, binding_titan
from mmtool.pipelines.binding_mammal import load_mammal
from mmtool.pipelines.binding_model import BindingModel
from mmtool.pipelines.binding_outside import MAMMAL, SCEPTR, evidence_files
from mmtool.pipelines.binding_sceptr import load_sceptr
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
    build = _NETWORKS.get(str(network))
    if build is None:
        raise ModelError(
            f"{files.folder}: unknown network {network!r}", "the model needs a newer mmtool"
        )
    return build(files, device)


def _knn(files: ModelFiles, device: torch.device) -> binding_knn.LevenshteinKnn:
    binders = unpack(load_state(files, device=str(device)))
    return binding_knn.LevenshteinKnn(files.config, binders)


def _kernel_ratio(files: ModelFiles, device: torch.device) -> BindingModel:
    state = load_state(files, device=str(device))
    return binding_ratio.load_kernel_ratio(files.config, state, str(files.folder))


def _titan(files: ModelFiles, device: torch.device) -> BindingModel:
    state = load_state(files, device=str(device))
    return binding_titan.load_titan(files.config, state, str(files.folder))


def _sceptr(files: ModelFiles, device: torch.device) -> BindingModel:
    return load_sceptr(unpack(load_state(files, device=str(device))))


def _mammal(files: ModelFiles, device: torch.device) -> BindingModel:
    return load_mammal(files.folder, device, _knn(evidence_files(), device))


# What a config calls the network -> what builds it.
_NETWORKS: Mapping[str, Callable[[ModelFiles, torch.device], BindingModel]] = {
    binding_knn.NETWORK: _knn,
    binding_ratio.NETWORK: _kernel_ratio,
    binding_titan.NETWORK: _titan,
    SCEPTR: _sceptr,
    MAMMAL: _mammal,
}
