"""Train ``tumor``: parts of brain tumours in FLAIR and contrast-enhanced T1, with a report or not.

No real scan is used: tumours are painted into label maps of healthy heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, IterableDataset

from mmtool.models.losses.region_dice_ce import region_dice_ce
from mmtool.models.segmentation.guided_unet import GuidedUNet, GuidedUNetConfig, place_in
from mmtool.models.segmentation.subvoxel_unet import (
    SubvoxelUNet,
    SubvoxelUNetConfig,
    fold_blocks,
)
from mmtool.models.store import load_state, resolve_model
from mmtool.models.text.encoder import TextEncoderConfig, tokenise
from mmtool.pipelines.training.brain import load_codes
from mmtool.pipelines.training.brain_options import BrainTraining, split_maps
from mmtool.pipelines.training.reading import train_reading
from mmtool.pipelines.training.run import Report, TrainingRun
from mmtool.pipelines.training.tumor_card import draft_card, model_config
from mmtool.pipelines.training.tumor_reports import SLOTS, draw_findings, write_report
from mmtool.pipelines.training.tumor_scans import CHANNELS, TumorSample, draw_cases, mirrored

REGIONS = {"whole tumour": (1, 2, 3, 4), "core": (1, 3, 4), "enhancing": (4,)}
PLAIN = "none"
_PAINTS = 3  # heads drawn from one deformed map
_USES = 2 * _PAINTS  # samples of a deformed map: each head is seen in a mirror too
_EMPTY = 0.3  # share of scans without a report
_TISSUE, _OUTSIDE = 0.3, 0.03  # share of blocks away from tumours whose loss is computed


@dataclass(frozen=True, kw_only=True)
class TumorTraining(BrainTraining):
    """One training run of ``tumor``.

    Attributes:
        start: Name or folder of the image network whose levels training starts from, or nothing.
        fusion: One of ``text_unet.FUSIONS``, or ``none`` for a network that reads nothing.
        reading: Steps of the text encoder alone; 32 reports each.
    """

    start: str = "brain"
    iterations: int = 3000
    fusion: str = "sequential"
    reading: int = 1500


class TumorScans(IterableDataset[tuple[TumorSample, str]]):
    """Endless cases with their reports; all follow from the seed and the index of the map."""

    def __init__(self, options: TumorTraining, multiple: int, first: int) -> None:
        self.options, self.multiple, self.first = options, multiple, first
        self.codes = [load_codes(p) for p in split_maps(options.maps, options.holdout)[0]]

    def __iter__(self) -> Iterator[tuple[TumorSample, str]]:
        info = torch.utils.data.get_worker_info()
        step, offset = (info.num_workers, info.id) if info else (1, 0)
        if info:
            torch.set_num_threads(1)
        index = self.first + offset
        while True:
            rng = np.random.default_rng([self.options.seed, 23, index])
            codes = self.codes[int(rng.integers(len(self.codes)))]
            for case in draw_cases(codes, self.multiple, rng, paints=_PAINTS):
                for sample in (case, mirrored(case)):
                    empty = rng.random() < _EMPTY
                    yield sample, "" if empty else write_report(sample.findings, rng)
            index += step


def sample_blocks(
    sample: TumorSample, block: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Pick the blocks that enter the loss: all at tumours, some of the rest.

    Returns:
        Block indices (N,), labels (cells, N) int64, weights (N,) float32.
    """
    labels = fold_blocks(sample.labels[None, None].long(), block)[0]
    brain = fold_blocks(sample.brain[None, None].long(), block)[0].amax(0).flatten()
    tumour = (labels.amax(0, keepdim=True) > 0).float()
    near = F.max_pool3d(tumour, 3, 1, 1).flatten() > 0
    probability = torch.where(brain > 0, _TISSUE, _OUTSIDE).masked_fill(near, 1.0)
    chosen = (torch.rand(probability.shape, generator=generator) < probability).nonzero()[:, 0]
    return chosen, labels.flatten(1)[:, chosen], 1 / probability[chosen]


def loss_of(
    net: SubvoxelUNet | GuidedUNet,
    sample: TumorSample,
    text: str,
    generator: torch.Generator,
    device: torch.device,
    precision: str = "float32",
) -> tuple[Tensor, Tensor]:
    """Loss of one case and the Dice of ``REGIONS``."""
    trunk = net if isinstance(net, SubvoxelUNet) else net.trunk
    chosen, labels, weight = sample_blocks(sample, trunk.config.block, generator)
    image = sample.image[None].to(device).contiguous(memory_format=torch.channels_last_3d)
    half = precision == "bfloat16"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        if isinstance(net, GuidedUNet):
            place = place_in(sample.brain, net.multiple).to(device)
            features = net.features(image, place, tokenise([text], net.config.text).to(device))
        else:
            features = net.features(image)
        picked = features.flatten(2)[0, :, chosen.to(device)]
        logits = trunk.head(picked[None, :, :, None, None])[0, :, :, 0, 0]
    cells = trunk.config.block**3
    flat = logits.float().reshape(trunk.config.classes, -1)  # (C, cells * N)
    weights = weight.repeat(cells).to(device)
    return region_dice_ce(flat, labels.flatten().to(device), weights, list(REGIONS.values()))


def started_trunk(name: str, widths: tuple[int, ...]) -> SubvoxelUNet:
    """The image network, its levels as a trained one of one channel left them.

    The stem sums over channels, so each channel gets its share; the head is new.

    Args:
        name: Of the trained model, or nothing for random weights.
        widths: Channels of the levels; those of the trained model if there is one.
    """
    if not name:
        return SubvoxelUNet(_shape(widths))
    files = resolve_model("segment", name)
    trunk = SubvoxelUNet(_shape(tuple(files.config["arguments"]["widths"])))
    given = load_state(files)
    stem = given["stem.0.weight"]
    kept = {k: v for k, v in given.items() if not k.startswith("head.")}
    kept["stem.0.weight"] = stem.repeat(1, len(CHANNELS), 1, 1, 1) / len(CHANNELS)
    trunk.load_state_dict(kept, strict=False)
    return trunk


def _shape(widths: tuple[int, ...]) -> SubvoxelUNetConfig:
    return SubvoxelUNetConfig(classes=5, widths=widths, head=64, inputs=len(CHANNELS), sides=False)


def _reports(rng: np.random.Generator, count: int) -> tuple[list[str], Tensor]:
    """Reports of drawn findings and their slots."""
    found = [draw_findings(rng) for _ in range(count)]
    slots = torch.tensor([f.slots() for f in found])
    return [write_report(f, rng) for f in found], slots


def train_tumor(options: TumorTraining, *, report: Report | None = None) -> Path:
    """Train, or go on from the checkpoints in ``options.out``.

    Returns:
        The folder with the exported model.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    trunk = started_trunk(options.start, options.widths)
    net: SubvoxelUNet | GuidedUNet = trunk
    if options.fusion != PLAIN:
        reader = TextEncoderConfig(structures=len(SLOTS), width=64, buckets=4096)
        read = train_reading(options, options.reading, reader, _reports, report)
        torch.manual_seed(options.seed)
        net = GuidedUNet(GuidedUNetConfig(trunk.config, reader, options.fusion))
        net.trunk.load_state_dict(trunk.state_dict())
        net.text.load_state_dict(read)
    run = TrainingRun(net, replace(options, start=""), net.config.to_json())
    loader = DataLoader(
        TumorScans(options, net.multiple, run.step // _USES),
        batch_size=None,
        num_workers=options.workers,
        prefetch_factor=4 if options.workers else None,
    )

    def loss(sample: tuple[TumorSample, str], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return loss_of(net, *sample, generator, run.device, options.precision)

    run.train(loader, loss, list(REGIONS), report)
    guided = isinstance(net, GuidedUNet)
    return run.export(
        model_config(net.config.to_json(), guided=guided),
        lambda facts: draft_card(options, facts),
    )
