"""From the files of a model to the segmenter that runs it."""

from __future__ import annotations

import torch

from mmtool.errors import ModelError
from mmtool.models.store import ModelFiles, load_state
from mmtool.pipelines.inference import BrainSegmenter
from mmtool.pipelines.segmenter import Segmenter


def load_segmenter(files: ModelFiles, device: torch.device) -> Segmenter:
    """Build the network that a model names and load its weights.

    Raises:
        ModelError: The model names a network that is not known here.
    """
    network = files.config.get("network")
    if network == "subvoxel_unet":
        return BrainSegmenter(files.config, load_state(files, device=str(device)), device)
    raise ModelError(
        f"{files.folder}: unknown network {network!r}", "the model needs a newer mmtool"
    )
