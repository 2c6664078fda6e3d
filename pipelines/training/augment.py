"""Spatial and intensity changes of a real crop while training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mmtool.pipelines.training.random_fields import RandomTensors, blur, rotation, thick_slices


@dataclass(frozen=True)
class Augmentation:
    """How far a crop may wander. Probabilities unless a unit is named.

    Attributes:
        mirrored: Left and right may be exchanged.
        rotation_deg: Standard deviation of each rotation angle, degrees.
        scaling: Standard deviation of the log scale of each axis.
        shift: Standard deviation of the move along each axis, as a share of the window.
        warp_voxels: Largest standard deviation of the smooth displacement, voxels.
        spoil: Chance of each change of intensity (bias, blur, thick slices, noise, gamma).
    """

    mirrored: bool = True
    rotation_deg: float = 8.0
    scaling: float = 0.09
    shift: float = 0.05
    warp_voxels: float = 1.2
    spoil: float = 0.35


def augment(
    image: Tensor,
    classes: Tensor,
    window: tuple[int, int, int],
    settings: Augmentation,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Draw one training window around the middle of a crop.

    Args:
        image: (I, J, K) float32, scaled to about 0 to 1.
        classes: (I, J, K) uint8.
        window: Voxels of the result.
        settings: See :class:`Augmentation`.
        rng: Source of all randomness.

    Returns:
        (window) float32 image and uint8 classes; zero beyond the crop.
    """
    random = RandomTensors(rng)
    index = _places(tuple(image.shape), window, settings, random)
    extent = torch.tensor(image.shape, dtype=torch.float32)
    grid = (index / (extent - 1) * 2 - 1).flip(-1)[None]
    moved = F.grid_sample(image[None, None], grid, padding_mode="border", align_corners=True)[0, 0]
    truth = F.grid_sample(
        classes[None, None].float(), grid, mode="nearest", padding_mode="border", align_corners=True
    )[0, 0]
    inside = ((index > -0.5) & (index < extent - 0.5)).all(-1)
    return _spoil(moved, settings, random) * inside, (truth * inside).byte()


def _places(
    shape: tuple[int, ...],
    window: tuple[int, int, int],
    settings: Augmentation,
    random: RandomTensors,
) -> Tensor:
    """(*window, 3) where in the crop each voxel of the window is taken from, voxels."""
    angles = np.deg2rad(random.rng.normal(0, settings.rotation_deg, 3))
    matrix = torch.from_numpy(rotation(angles)).float()
    matrix = matrix * torch.exp(settings.scaling * random.normal(3))
    if settings.mirrored and random.chance(0.5):
        matrix[0] *= -1
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in window]
    index = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    sizes = torch.tensor(window, dtype=torch.float32)
    spare = (torch.tensor(shape, dtype=torch.float32) - sizes).clamp_min(0) / 2
    shift = settings.shift * sizes * random.normal(3)
    shift += spare * torch.from_numpy(random.rng.uniform(-1, 1, 3)).float()
    index = index @ matrix.T + (torch.tensor(shape) - 1) / 2 + shift
    for cells, share in ((4, 1.0), (8, 0.4)):
        amount = share * random.uniform(0, settings.warp_voxels)
        index = index + amount * random.smooth(3, cells, window).permute(1, 2, 3, 0)
    return index


def _spoil(image: Tensor, settings: Augmentation, random: RandomTensors) -> Tensor:
    if random.chance(settings.spoil):
        bias = random.uniform(0, 0.3) * random.smooth(1, 4, tuple(image.shape))[0]
        image = image * torch.exp(bias)
    if random.chance(settings.spoil / 2):
        image = blur(image, random.uniform(0.3, 0.8))
    if random.chance(settings.spoil / 2):
        axis = int(random.rng.integers(3))
        image = thick_slices(image, axis, random.uniform(1.2, 2.2))
    if random.chance(settings.spoil):
        image = image + random.uniform(0, 0.08) * random.normal(*image.shape)
    if random.chance(settings.spoil):
        image = image.clamp_min(0) ** math.exp(random.uniform(-0.35, 0.35))
    return image * random.uniform(0.85, 1.15) + random.uniform(-0.05, 0.05)
