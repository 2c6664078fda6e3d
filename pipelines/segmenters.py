"""From the files of a model to the segmenter that runs it."""

from __future__ import annotations

import torch

from mmtool.errors import ModelError
from mmtool.models.card import OWN
from mmtool.models.outside import MESHNET, MONAI_BUNDLE, NNUNET
from mmtool.models.store import ModelFiles, load_state
from mmtool.pipelines.inference import BrainSegmenter
from mmtool.pipelines.segmenter import Segmenter


def load_segmenter(files: ModelFiles, device: torch.device) -> Segmenter:
    """Build the network that a model names and load its weights.

    Raises:
        ModelError: The model names a network or a step that is not known here.
    """
    if files.format != OWN:
        return _load_outside(files, device)
    network = files.config.get("network")
    if network == "subvoxel_unet":
        return BrainSegmenter(files.config, load_state(files, device=str(device)), device)
    raise ModelError(
        f"{files.folder}: unknown network {network!r}", "the model needs a newer mmtool"
    )


def _load_outside(files: ModelFiles, device: torch.device) -> Segmenter:
    """A model that others made; its kind's code is loaded only now."""
    if files.format == MESHNET:
        from mmtool.pipelines.outside.meshnet import MeshNetSegmenter

        return MeshNetSegmenter(files, device)
    if files.format == MONAI_BUNDLE:
        from mmtool.pipelines.outside.monai_bundle import BundleSegmenter

        return BundleSegmenter(files, device)
    if files.format == NNUNET:
        from mmtool.pipelines.outside.nnunet import NnunetSegmenter

        return NnunetSegmenter(files, device)
    raise ModelError(
        f"{files.folder}: unknown format {files.format!r}", "the model needs a newer mmtool"
    )
