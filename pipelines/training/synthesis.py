"""Synthetic head scans drawn from label maps.

The idea is domain randomisation (Billot et al. 2023, SynthSeg, 10.1016/j.media.2023.102789):
deform a label map, give each tissue a random intensity, then spoil the image as scanners do. Here
most contrasts stay near T1 weighting at first and get wider as training goes on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mmtool.models.segmentation.intensity import scale_intensity
from mmtool.pipelines.training.brain_labels import (
    CSF,
    SOFT_TISSUE,
    T1_LIKE,
    build_lookup,
)
from mmtool.pipelines.training.random_fields import RandomTensors, blur, rotation, thick_slices

_LOOKUP = build_lookup()
_BRAIN = torch.tensor(_LOOKUP.of_class > 0)
_BRAIN_WITHOUT_CSF = torch.tensor((_LOOKUP.of_class > 0) & (_LOOKUP.of_class != CSF))


@dataclass(frozen=True)
class SynthesisOptions:
    """How far images may wander. Probabilities unless a unit is named.

    Attributes:
        t1_like: Share of images with T1-like contrast.
        inverted: Share with the T1-like contrast inverted (T2-like); the rest is random.
        strip: Skull removed.
        crop: Field of view cut on some sides.
        thick: Thick slices.
        rotation_deg: Standard deviation of each rotation angle, degrees.
        scaling: Standard deviation of log scale of each axis.
        warp_voxels: Largest standard deviation of the smooth displacement, voxels of 2 mm.
    """

    t1_like: float = 0.7
    inverted: float = 0.1
    strip: float = 0.2
    crop: float = 0.3
    thick: float = 0.25
    rotation_deg: float = 9.0
    scaling: float = 0.07
    warp_voxels: float = 2.0


@dataclass(frozen=True)
class Sample:
    """One synthetic scan: image (I, J, K) float32, classes uint8, side int8 (1 left, 0 right)."""

    image: Tensor
    classes: Tensor
    side: Tensor


def synthesise(
    codes: NDArray[np.int16],
    size: tuple[int, int, int],
    options: SynthesisOptions,
    rng: np.random.Generator,
    *,
    paints: int = 1,
) -> list[Sample]:
    """Draw scans of one deformed map.

    Args:
        codes: (I, J, K) raw label codes in RAS order at 2 mm.
        size: Voxels of the sample along I, J, K.
        options: See :class:`SynthesisOptions`.
        rng: Source of all randomness.
        paints: How many scans of different contrast to draw from the deformed map.

    Returns:
        ``paints`` samples on a 2 mm RAS grid.
    """
    random = RandomTensors(rng)
    deformed, mirrored = deform(codes, size, options, random)
    tissue = torch.from_numpy(_LOOKUP.tissue)[deformed]
    classes = torch.from_numpy(_LOOKUP.of_class)[deformed]
    side = torch.from_numpy(_LOOKUP.side)[deformed]
    if mirrored:
        side = torch.where(side >= 0, 1 - side, side)
    return [
        _scan(deformed, tissue, Sample(torch.empty(0), classes, side), options, random)
        for _ in range(paints)
    ]


def _scan(
    codes: Tensor, tissue: Tensor, truth: Sample, options: SynthesisOptions, random: RandomTensors
) -> Sample:
    """Paint one scan of a deformed map and spoil it."""
    image = _paint(tissue, options, random)
    if random.chance(options.strip):
        image = image * (_BRAIN if random.chance(0.5) else _BRAIN_WITHOUT_CSF)[codes]
    image = spoil(image, options, random)
    classes, side = truth.classes, truth.side
    if random.chance(options.crop):
        inside = _field_of_view(tuple(tissue.shape), random)
        image, classes = image * inside, classes * inside
        side = torch.where(inside, side, torch.full_like(side, -1))
    return Sample(scale_intensity(image), classes, side)


def deform(
    codes: NDArray[np.int16],
    size: tuple[int, int, int],
    options: SynthesisOptions,
    random: RandomTensors,
) -> tuple[Tensor, bool]:
    """Codes on a deformed grid of ``size`` around the brain, and whether it was mirrored."""
    raw = torch.from_numpy(codes.astype(np.int64))
    extent = torch.tensor(raw.shape, dtype=torch.float32)
    where = _BRAIN_WITHOUT_CSF[raw].nonzero()[::50].float()
    centre = where.mean(0)
    angles = np.deg2rad(random.rng.normal(0, options.rotation_deg, 3))
    matrix = torch.from_numpy(rotation(angles)).float()
    matrix = matrix * torch.exp(options.scaling * random.normal(3))
    mirrored = random.chance(0.5)
    if mirrored:
        matrix[0] *= -1
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in size]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    jitter = random.normal(3) * torch.tensor([4.0, 6.0, 7.0])
    grid = grid @ matrix.T + centre + jitter
    for cells, share in ((4, 1.0), (9, 0.4)):
        amount = share * random.uniform(0, options.warp_voxels)
        grid = grid + amount * random.smooth(3, cells, size).permute(1, 2, 3, 0)
    grid = (grid / (extent - 1) * 2 - 1).flip(-1)
    sampled = F.grid_sample(raw[None, None].float(), grid[None], mode="nearest", align_corners=True)
    return sampled[0, 0].long(), mirrored


def _paint(tissue: Tensor, options: SynthesisOptions, random: RandomTensors) -> Tensor:
    """Random intensity for each tissue, with texture; roughly 0 to 1."""
    typical = torch.tensor([mean for _, mean, _ in T1_LIKE.values()])
    spread = torch.tensor([sd for _, _, sd in T1_LIKE.values()])
    kind = random.uniform(0, 1)
    if kind < options.t1_like + options.inverted:
        # One draw of the grey-white contrast for the whole brain, then each tissue on its own.
        contrast = random.uniform(0.7, 1.5)
        means = 1 - contrast * (1 - typical) + spread * random.normal(len(typical))
        means = means.clamp(0, 1.3)
        if kind >= options.t1_like:
            means = 1.25 - means
    else:
        means = torch.from_numpy(random.rng.uniform(0, 1, len(typical)).astype(np.float32))
    means[0] = abs(random.uniform(-0.05, 0.05)) if random.chance(0.9) else random.uniform(0, 0.4)
    deviation = torch.from_numpy(random.rng.uniform(0.0, 0.08, len(typical)).astype(np.float32))
    image = means[tissue.long()]
    size = tuple(tissue.shape)
    image = image + deviation[tissue.long()] * random.normal(*size)
    if random.chance(0.8):  # fat and muscle are one label; split them by a smooth random field
        fat = random.smooth(1, 14, size)[0] > random.uniform(-0.5, 1.0)
        image = torch.where((tissue == SOFT_TISSUE) & fat, image + random.uniform(-0.4, 0.7), image)
    return image * (1 + 0.06 * random.smooth(1, 10, size)[0])


def spoil(image: Tensor, options: SynthesisOptions, random: RandomTensors) -> Tensor:
    """Partial volume, coil bias, thick slices, noise and gamma."""
    image = blur(image, random.uniform(0.25, 0.75))
    if random.chance(0.85):
        bias = random.uniform(0, 0.35) * random.smooth(1, 4, tuple(image.shape))[0]
        image = image * torch.exp(bias)
    if random.chance(options.thick):
        image = thick_slices(image, int(random.rng.integers(3)), random.uniform(1.4, 3.5))
    if random.chance(0.9):
        noise = random.uniform(0, 0.07)
        a = image + noise * random.normal(*image.shape)
        if random.chance(0.5):  # magnitude of a complex signal: Rician
            a = torch.hypot(a, noise * random.normal(*image.shape))
        image = a
    return image.clamp_min(0) ** math.exp(random.uniform(-0.35, 0.35))


def _field_of_view(size: tuple[int, ...], random: RandomTensors) -> Tensor:
    inside = torch.ones(size, dtype=torch.bool)
    for axis in range(3):
        for end in (0, 1):
            if random.chance(0.3):
                cut = int(random.uniform(0, 0.25) * size[axis])
                index = [slice(None)] * 3
                index[axis] = slice(0, cut) if end == 0 else slice(size[axis] - cut, None)
                inside[tuple(index)] = False
    return inside
