"""Train the ``brain`` model: synthetic head scans from label maps, one network, two CPU cores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, IterableDataset

from mmtool.models.losses.sampled_dice_ce import sampled_dice_ce
from mmtool.models.segmentation.subvoxel_unet import (
    SubvoxelUNet,
    SubvoxelUNetConfig,
    fold_blocks,
)
from mmtool.pipelines.training.brain_card import draft_card
from mmtool.pipelines.training.brain_labels import CLASSES, NAMES
from mmtool.pipelines.training.brain_options import BrainTraining, split_maps
from mmtool.pipelines.training.run import Report, TrainingRun
from mmtool.pipelines.training.synthesis import Sample, SynthesisOptions, synthesise

PAINTS = 2  # scans drawn from one deformed map: deforming costs more than painting
# Share of blocks whose loss is computed, by the rarest class in the block.
_KEEP = {
    "background": 0.06,
    "cerebrospinal fluid": 0.2,
    "cerebral white matter": 0.3,
    "cerebral cortex": 0.3,
    "cerebellar cortex": 0.3,
    "cerebellar white matter": 0.5,
}
_WIDE = SynthesisOptions(t1_like=0.45, inverted=0.1)  # of a run that starts from a model
SIZE = (96, 112, 96)  # voxels of 2 mm: room for any brain, and the window of inference


def load_codes(path: Path) -> NDArray[np.int16]:
    """(I, J, K) int16 codes of one map, in RAS order."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    return np.asarray(image.dataobj, dtype=np.int16)


class SyntheticScans(IterableDataset[Sample]):
    """Endless scans; the ``i``-th deformed map and its scans depend on the seed and ``i`` alone."""

    def __init__(self, options: BrainTraining, first: int) -> None:
        self.options = options
        self.first = first
        self.codes = [load_codes(p) for p in split_maps(options.maps, options.holdout)[0]]

    def __iter__(self) -> Iterator[Sample]:
        torch.set_num_threads(1)
        info = torch.utils.data.get_worker_info()
        step, offset = (info.num_workers, info.id) if info else (1, 0)
        index = self.first + offset
        while True:
            rng = np.random.default_rng([self.options.seed, index])
            progress = PAINTS * index / self.options.iterations
            contrasts = _WIDE if self.options.start else _contrasts(progress)
            codes = self.codes[int(rng.integers(len(self.codes)))]
            yield from synthesise(codes, SIZE, contrasts, rng, paints=PAINTS)
            index += step


def _contrasts(progress: float) -> SynthesisOptions:
    """Clear T1-like contrasts first, wider ones later."""
    if progress < 0.15:
        return SynthesisOptions(
            t1_like=0.95, inverted=0.05, warp_voxels=1.5, strip=0.15, crop=0.1, thick=0.1
        )
    if progress < 0.4:
        return SynthesisOptions(t1_like=0.8, inverted=0.1)
    return SynthesisOptions(t1_like=0.5, inverted=0.1)


def sample_blocks(
    sample: Sample, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pick the blocks that enter the loss.

    Returns:
        Block indices (N,), classes (8, N) int64, sides (8, N) int64, weights (N,) float32.
    """
    keep = torch.tensor([_KEEP.get(name, 1.0) for name in NAMES])
    classes = fold_blocks(sample.classes[None, None].long(), 2)[0].flatten(1)
    side = fold_blocks(sample.side[None, None].long(), 2)[0].flatten(1)
    probability = keep[classes].amax(0)
    chosen = (torch.rand(probability.shape, generator=generator) < probability).nonzero()[:, 0]
    return chosen, classes[:, chosen], side[:, chosen], 1 / probability[chosen]


def loss_of(
    net: SubvoxelUNet,
    sample: Sample,
    generator: torch.Generator,
    device: torch.device,
    precision: str = "float32",
) -> tuple[Tensor, Tensor]:
    """Loss of one scan and the (C,) Dice of its classes."""
    chosen, classes, side, weight = sample_blocks(sample, generator)
    image = sample.image[None, None].to(device)
    half = precision == "bfloat16"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        features = net.features(image.contiguous(memory_format=torch.channels_last_3d))
        picked = features.flatten(2)[0, :, chosen.to(device)]
        logits = net.head(picked[None, :, :, None, None])[0, :, :, 0, 0]
    cells = net.config.block**3
    logits = logits.float().reshape(net.config.classes + 1, -1)  # (C + 1, cells * N)
    weights = weight.repeat(cells).to(device)
    loss, dice = sampled_dice_ce(logits[:-1], classes.flatten().to(device), weights)
    sides = side.flatten().to(device)
    sided = sides >= 0
    if bool(sided.any()):
        entropy = F.binary_cross_entropy_with_logits(
            logits[-1][sided], sides[sided].float(), reduction="none"
        )
        loss = loss + 0.3 * (entropy * weights[sided]).sum() / weights[sided].sum()
    return loss, dice


def train_brain(options: BrainTraining, *, report: Report | None = None) -> Path:
    """Train, or go on from the checkpoint in ``options.out``.

    Args:
        options: See :class:`BrainTraining`.
        report: Called with every line of the log.

    Returns:
        The folder that holds ``model.safetensors`` and ``config.json`` (averaged weights).
    """
    torch.manual_seed(options.seed)
    config = SubvoxelUNetConfig(classes=len(NAMES), widths=options.widths)
    net = SubvoxelUNet(config)
    run = TrainingRun(net, options, config.to_json())
    loader = DataLoader(
        SyntheticScans(options, run.step // PAINTS),
        batch_size=None,
        num_workers=options.workers,
        prefetch_factor=4 if options.workers else None,
    )

    def loss(sample: Sample, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        total, dice = loss_of(net, sample, generator, run.device, options.precision)
        return total, dice[1:]

    run.train(loader, loss, NAMES[1:], report)
    description = {
        "network": "subvoxel_unet",
        "arguments": config.to_json(),
        "spacing_mm": 2.0,
        "classes": [
            {"name": name, "left": (left or (0,))[0], "right": (right or left or (0,))[0]}
            for name, (left, right) in CLASSES.items()
        ],
    }
    return run.export(description, lambda facts: draft_card(options, facts))
