"""From the files of a model to the segmenter that runs it."""

from __future__ import annotations

import torch

from mmtool.errors import ModelError
from mmtool.models.card import OWN
from mmtool.models.outside import MESHNET, MONAI_BUNDLE, NNUNET
from mmtool.models.store import ModelFiles, load_state, resolve_model
from mmtool.pipelines.crop_inference import CropSegmenter
from mmtool.pipelines.inference import BrainSegmenter
from mmtool.pipelines.segmenter import Segmenter
from mmtool.pipelines.text_inference import BrainTextSegmenter
from mmtool.pipelines.tumor_inference import load_tumor


def load_segmenter(files: ModelFiles, device: torch.device) -> Segmenter:
    """Build the network that a model names and load its weights.

    Raises:
        ModelError: The model names a network or a step that is not known here.
    """
    if files.format != OWN:
        return _load_outside(files, device)
    network = files.config.get("network")
    if files.config.get("runner") == "tumor":
        return load_tumor(files.config, load_state(files, device=str(device)), device)
    if network == "subvoxel_unet":
        state = load_state(files, device=str(device))
        if files.config.get("runner") == "crop":
            return CropSegmenter(files.config, state, device, _locator(files, device))
        return BrainSegmenter(files.config, state, device)
    if network == "text_unet":
        return BrainTextSegmenter(files.config, load_state(files, device=str(device)), device)
    raise ModelError(
        f"{files.folder}: unknown network {network!r}", "the model needs a newer mmtool"
    )


def channels_of(files: ModelFiles) -> tuple[str, ...]:
    """Names of a model's channels in their order, read from its files without its weights.

    Raises:
        ModelError: The files don't say.
    """
    if files.format == MONAI_BUNDLE:
        from mmtool.pipelines.outside.monai_bundle import bundle_channels

        return bundle_channels(files)
    if files.format == NNUNET:
        from mmtool.pipelines.outside.nnunet import dataset_channels

        return dataset_channels(files)
    return tuple(str(name) for name in files.config.get("channels", ("image",)))


def _locator(files: ModelFiles, device: torch.device) -> BrainSegmenter | None:
    """The model that finds the place of crops in a whole head, if there is one."""
    place = files.config.get("locate")
    if not place:
        return None
    found = resolve_model(files.task, str(place["model"]))
    return BrainSegmenter(found.config, load_state(found, device=str(device)), device)


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
