"""Train the ``brain`` model: synthetic head scans from label maps, one network, two CPU cores."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, IterableDataset

from mmtool.errors import ModelError
from mmtool.io.writers.json_file import write_json
from mmtool.models.losses.sampled_dice_ce import sampled_dice_ce
from mmtool.models.segmentation.subvoxel_unet import (
    SubvoxelUNet,
    SubvoxelUNetConfig,
    fold_blocks,
)
from mmtool.models.store import load_state, resolve_model
from mmtool.pipelines.training.brain_card import Progress, draft_card
from mmtool.pipelines.training.brain_labels import CLASSES, NAMES
from mmtool.pipelines.training.brain_options import BrainTraining, split_maps
from mmtool.pipelines.training.muon_adam import MuonAdam
from mmtool.pipelines.training.synthesis import Sample, SynthesisOptions, synthesise

log = logging.getLogger(__name__)

_PAINTS = 2  # scans drawn from one deformed map: deforming costs more than painting
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
            progress = _PAINTS * index / self.options.iterations
            contrasts = _WIDE if self.options.start else _contrasts(progress)
            codes = self.codes[int(rng.integers(len(self.codes)))]
            yield from synthesise(codes, SIZE, contrasts, rng, paints=_PAINTS)
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


def train_brain(
    options: BrainTraining, *, report: Callable[[dict[str, Any]], None] | None = None
) -> Path:
    """Train, or go on from the checkpoint in ``options.out``.

    Args:
        options: See :class:`BrainTraining`.
        report: Called with every line of the log.

    Returns:
        The folder that holds ``model.safetensors`` and ``config.json`` (averaged weights).
    """
    options.out.mkdir(parents=True, exist_ok=True)
    run = _Run(options)
    loader = DataLoader(
        SyntheticScans(options, run.step // _PAINTS),
        batch_size=None,
        num_workers=options.workers,
        prefetch_factor=4 if options.workers else None,
    )
    started, since = time.monotonic(), run.step
    shown: list[Tensor] = []
    for sample in loader:
        if run.step >= options.iterations:
            break
        loss, dice = run.advance(sample)
        shown.append(torch.cat([loss[None], dice[1:]]))
        if run.step % 50 == 0:
            line = _log_line(run, shown, (time.monotonic() - started) / (run.step - since))
            run.dice, shown = line["dice"], []
            with (options.out / "log.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
            if report:
                report(line)
        if run.step % 200 == 0:
            run.save()
    run.save()
    return run.export()


def _log_line(run: _Run, shown: list[Tensor], pace: float) -> dict[str, Any]:
    mean = torch.stack(shown).nanmean(0)
    return {
        "step": run.step,
        "loss": round(float(mean[0]), 4),
        "dice": round(float(mean[1:].nanmean()), 4),
        "seconds_per_step": round(pace, 3),
        "rate": round(run.rate(), 6),
        "classes": {n: round(float(v), 3) for n, v in zip(NAMES[1:], mean[1:], strict=True)},
    }


class _Run:
    """Network, optimiser, running average and step: what a checkpoint holds."""

    def __init__(self, options: BrainTraining) -> None:
        self.options = options
        self.device = torch.device(options.device)
        torch.manual_seed(options.seed)
        self.config = SubvoxelUNetConfig(classes=len(NAMES), widths=options.widths)
        self.net = SubvoxelUNet(self.config).to(self.device)
        self.origin: dict[str, Any] = {}
        resumed = self.checkpoint.exists()
        if options.start and not resumed:
            self._start_from(options.start)
        self.net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.optimiser = MuonAdam(self.net, muon_rate=10 * options.rate, adam_rate=options.rate)
        self.step = 0
        self.seconds = 0.0
        self.dice = 0.0
        if resumed:
            self._restore()

    @property
    def checkpoint(self) -> Path:
        return self.options.out / "checkpoint.pt"

    def rate(self) -> float:
        """Share of the peak: warm-up, constant, straight down (Hu et al. 2024, 2404.06395)."""
        left = 1 - self.step / self.options.iterations
        return min(1.0, (self.step + 1) / 100, max(0.01, left / self.options.decay))

    def advance(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """One optimiser step."""
        began = time.monotonic()
        self.optimiser.set_rate(self.rate())
        generator = torch.Generator().manual_seed(self.options.seed * 1_000_003 + self.step)
        loss, dice = loss_of(self.net, sample, generator, self.device, self.options.precision)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        keep = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                self.average[name].lerp_(value, 1 - keep)
        self.seconds += time.monotonic() - began
        return loss.detach().cpu(), dice.cpu()

    def save(self) -> None:
        state = {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "dice": self.dice,
            "origin": self.origin,
            "config": self.config.to_json(),
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.checkpoint)

    def _start_from(self, name: str) -> None:
        """Take the weights of a model of the same shape."""
        files = resolve_model("segment", name)
        if files.config.get("arguments") != self.config.to_json():
            raise ModelError(
                f"the network of {name!r} has another shape than the one to be trained",
                "start from a model that 'mmtool train segment' made",
            )
        self.net.load_state_dict(load_state(files))
        self.origin = {"weights_sha256": files.weights_sha256, **files.card["training"]}

    def _restore(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if state["config"] != self.config.to_json():
            raise ModelError(
                f"{self.checkpoint} was written by a network of another shape",
                "train into another folder",
            )
        self.net.load_state_dict(state["net"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.dice = state.get("dice", 0.0)
        self.origin = state.get("origin", {})
        log.info("going on from step %d", self.step)

    def export(self) -> Path:
        """Write the averaged weights, their configuration and a card without metrics."""
        from safetensors.torch import save_file

        folder = self.options.out / "model"
        folder.mkdir(exist_ok=True)
        weights = {k: v.detach().cpu().contiguous() for k, v in self.average.items()}
        save_file(weights, folder / "model.safetensors")
        config = {
            "network": "subvoxel_unet",
            "arguments": self.config.to_json(),
            "spacing_mm": 2.0,
            "classes": [
                {"name": name, "left": (left or (0,))[0], "right": (right or left or (0,))[0]}
                for name, (left, right) in CLASSES.items()
            ],
        }
        write_json(folder / "config.json", config)
        done = Progress(self.step, self.seconds, self.dice, self.origin)
        card = draft_card(folder, self.options, done)
        write_json(folder / "card.json", card)
        return folder
