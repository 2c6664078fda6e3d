"""Train a model on real crops with reference labels: ``hippocampus``, ``left-atrium``, your own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmtool import __version__
from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers import read_volume
from mmtool.models.losses.sampled_dice_ce import sampled_dice_ce
from mmtool.models.segmentation.intensity import scale_intensity
from mmtool.models.segmentation.subvoxel_unet import SubvoxelUNet, SubvoxelUNetConfig
from mmtool.pipelines.evaluation.label_maps import find_cases
from mmtool.pipelines.likeness import KEY, scan_features, widened
from mmtool.pipelines.training.augment import Augmentation, augment
from mmtool.pipelines.training.crop_recipes import RECIPES, CropRecipe
from mmtool.pipelines.training.run import Report, Schedule, TrainingRun, command_of
from mmtool.pipelines.world_grid import WorldGrid, to_grid, turned_axes

_HELD_OUT = 4  # of every five cases by name, the last
_OF = 5


@dataclass(frozen=True, kw_only=True)
class CropTraining(Schedule):
    """One training run on crops.

    Attributes:
        data: Folder with ``images`` and ``labels`` of the same file names, or with pairs
            ``*_image.nii.gz`` and ``*_label.nii.gz``.
        recipe: Key of ``RECIPES``.
        fold: Which fifth of the cases, by sorted name, is left out of training: cases i with
            i % 5 == fold; -1 leaves none out.
        batch: Crops of a step.
    """

    data: Path
    recipe: str
    iterations: int = 3000
    fold: int = _HELD_OUT
    batch: int = 2


@dataclass(frozen=True)
class Case:
    """One crop on the grid of the model, RAS order.

    Attributes:
        name: Of its file, without suffixes.
        image: (I, J, K) float32, scaled.
        classes: (I, J, K) uint8 class indices.
        features: Of :func:`mmtool.pipelines.likeness.scan_features`.
    """

    name: str
    image: Tensor
    classes: Tensor
    features: dict[str, float]


def find_pairs(data: Path) -> list[tuple[Path, Path]]:
    """Image and label files of a folder, sorted by name; endings as in :func:`find_cases`.

    Raises:
        InputError: Fewer than five pairs, an image without a label, or two of one name.
    """
    apart = (data / "images").is_dir()
    images = find_cases(data / "images" if apart else data, images=True)
    labels = find_cases(data / "labels" if apart else data)
    if len(images) < _OF:
        raise InputError(
            f"{data} holds {len(images)} images with labels, and {_OF} are needed",
            "put files of the same names into images/ and labels/, or name them *_image.nii.gz "
            "and *_label.nii.gz",
        )
    for case, image in images.items():
        if case not in labels:
            raise InputError(f"{image}: has no label map", "every image needs one of its name")
    return [(image, labels[case]) for case, image in images.items()]


def split_pairs(data: Path, fold: int) -> tuple[list[tuple[Path, Path]], list[tuple[Path, Path]]]:
    """Training pairs and held-out pairs."""
    pairs = find_pairs(data)
    kept = [p for i, p in enumerate(pairs) if i % _OF != fold]
    return kept, [p for i, p in enumerate(pairs) if i % _OF == fold]


def load_case(image: Path, label: Path, recipe: CropRecipe) -> Case:
    """Read a pair and bring it to the model's spacing, in RAS order.

    Raises:
        InputError: Image and label have different grids, or the label map holds other values
            than the recipe names.
    """
    limits = Limits.from_env()
    scan, truth = (read_volume(p, limits=limits) for p in (image, label))
    if scan.shape != truth.shape or not np.allclose(scan.affine, truth.affine, atol=1e-3):
        raise InputError(f"{label}: not on the grid of its image", "resample it first")
    affine = scan.affine @ turned_axes(recipe.axes, scan.shape)
    codes = np.asarray(truth.data).round().astype(np.int64)
    foreign = sorted(set(np.unique(codes)) - {0, *recipe.codes})
    if foreign:
        raise InputError(f"{label}: holds the value {foreign[0]}", f"'{recipe.name}' knows it not")
    grid = WorldGrid.covering(scan.shape, affine, recipe.spacing_mm, 1)
    cpu = torch.device("cpu")
    picture = to_grid(scan.data.astype(np.float32), affine, grid, cpu)
    shares = [to_grid((codes == c).astype(np.float32), affine, grid, cpu) for c in recipe.codes]
    stacked = torch.stack([1 - torch.stack(shares).sum(0), *shares])
    features = scan_features(scan.data, affine)
    name = image.name.split(".")[0]
    return Case(name, scale_intensity(picture), stacked.argmax(0).byte(), features)


class CropSamples:
    """Endless augmented batches; the ``i``-th depends on the seed and ``i`` alone.

    Args:
        cases: To draw from.
        recipe: Window and augmentation.
        options: Seed and batch.
        first: Index of the first batch.
    """

    def __init__(
        self, cases: list[Case], recipe: CropRecipe, options: CropTraining, first: int
    ) -> None:
        self.cases, self.recipe, self.options, self.first = cases, recipe, options, first

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        index = self.first
        settings = Augmentation(mirrored=self.recipe.mirrored)
        while True:
            rng = np.random.default_rng([self.options.seed, index])
            drawn = []
            for _ in range(self.options.batch):
                case = self.cases[int(rng.integers(len(self.cases)))]
                drawn.append(augment(case.image, case.classes, self.recipe.window, settings, rng))
            yield torch.stack([d[0] for d in drawn])[:, None], torch.stack([d[1] for d in drawn])
            index += 1


def network_of(recipe: CropRecipe) -> SubvoxelUNetConfig:
    """Shape of a recipe's network."""
    return SubvoxelUNetConfig(
        classes=len(recipe.codes) + 1,
        widths=recipe.widths,
        head=recipe.head,
        depth=recipe.depth,
        sides=False,
    )


def train_crops(options: CropTraining, *, report: Report | None = None) -> Path:
    """Train, or go on from the checkpoint in ``options.out``.

    Returns:
        The folder with the exported model.
    """
    recipe = RECIPES[options.recipe]
    kept, _ = split_pairs(options.data, options.fold)
    cases = [load_case(image, label, recipe) for image, label in kept]
    torch.manual_seed(options.seed)
    config = network_of(recipe)
    run = TrainingRun(SubvoxelUNet(config), options, config.to_json())
    half = options.precision == "bfloat16"

    def loss_of(sample: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        del generator
        image, classes = (x.to(run.device) for x in sample)
        with torch.autocast(run.device.type, dtype=torch.bfloat16, enabled=half):
            logits = run.net(image.contiguous(memory_format=torch.channels_last_3d))
        flat = logits.float().transpose(0, 1).flatten(1)  # (C, B * I * J * K)
        target = classes.long().flatten()
        loss, dice = sampled_dice_ce(flat, target, torch.ones_like(flat[0]))
        return loss, dice[1:]

    names = [label["name"] for label in recipe.labels]
    run.train(CropSamples(cases, recipe, options, run.step), loss_of, names, report)
    return run.export(
        config_of(recipe, config), lambda facts: card_of(recipe, options, cases, facts)
    )


def config_of(recipe: CropRecipe, network: SubvoxelUNetConfig) -> dict[str, Any]:
    """Content of ``config.json``."""
    return {
        "network": "subvoxel_unet",
        "runner": "crop",
        "arguments": network.to_json(),
        "spacing_mm": recipe.spacing_mm,
        "window": list(recipe.window),
        "mirrored": recipe.mirrored,
        "labels": list(recipe.labels),
        "modalities": list(recipe.modalities),
        "purpose": recipe.purpose,
        "locate": recipe.locate,
    }


def _ranges(recipe: CropRecipe, cases: list[Case]) -> dict[str, Any]:
    """What a scan is compared with; a head that holds the crop is compared by its voxels alone."""
    ranges = widened([case.features for case in cases])
    if recipe.locate is None:
        return ranges
    return {name: ranges[name] for name in ("scans", "finest_mm", "coarsest_mm")}


def card_of(
    recipe: CropRecipe, options: CropTraining, cases: list[Case], facts: dict[str, Any]
) -> dict[str, Any]:
    """The card before evaluation."""
    words = ["--recipe", recipe.name, "--data", recipe.folder, "--output", f"runs/{recipe.name}"]
    command = command_of(options, words, ("fold", "batch"))
    return {
        "task": "segment",
        "name": recipe.name,
        "version": __version__,
        "summary": recipe.summary,
        "licence": "Apache-2.0",
        "use": recipe.use,
        "data": [dict(recipe.data) | {"n": len(cases)}],
        "training": {
            "command": command,
            "method": "augmented crops; cross-entropy and Dice; Muon and AdamW; averaged weights",
            **facts["training"],
        },
        "sha256": facts["sha256"],
        "metrics": facts["metrics"],
        "intended_use": recipe.intended_use,
        "limits": list(recipe.limits),
        KEY: _ranges(recipe, cases),
    }
