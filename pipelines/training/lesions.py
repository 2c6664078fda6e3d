"""Tumours painted into label maps of healthy heads: shape, parts, oedema, mass effect.

Labels are those of BraTS 2013 (Menze et al. 2015, 10.1109/TMI.2014.2377694).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mmtool.pipelines.training.brain_labels import CLASSES, build_lookup
from mmtool.pipelines.training.random_fields import RandomTensors, rotation

NECROSIS, OEDEMA, SOLID, ENHANCING = 1, 2, 3, 4
VOXEL_MM = 2.0
_HEALTHY = 0.12  # share of heads without a tumour
_LOOKUP = build_lookup()
_CLASS = torch.from_numpy(_LOOKUP.of_class).long()
_SIDE = torch.from_numpy(_LOOKUP.side)
_KINDS = ("ring", "ring", "ring", "mixed", "solid", "diffuse")


def _classes(*names: str) -> Tensor:
    wanted = torch.zeros(len(CLASSES), dtype=torch.bool)
    wanted[[list(CLASSES).index(name) for name in names]] = True
    return wanted


_WHITE = _classes("cerebral white matter", "cerebellar white matter", "brainstem")
_CORTEX = _classes("cerebral cortex", "cerebellar cortex")
_FLUID = _classes(
    "background",
    "lateral ventricle",
    "inferior lateral ventricle",
    "third ventricle",
    "fourth ventricle",
    "cerebrospinal fluid",
)


@dataclass(frozen=True)
class Lesions:
    """A head with its tumours.

    Attributes:
        codes: (I, J, K) int64 raw codes, pushed aside by the tumours.
        labels: (I, J, K) uint8, BraTS labels.
        pushed_mm: Largest displacement of tissue.
    """

    codes: Tensor
    labels: Tensor
    pushed_mm: float


def paint_lesions(codes: Tensor, random: RandomTensors) -> Lesions:
    """Draw up to three tumours into a head.

    Args:
        codes: (I, J, K) int64 raw codes of a healthy head, RAS order, 2 mm.
        random: Source of all chance.
    """
    labels = torch.zeros(codes.shape, dtype=torch.uint8)
    pushed = 0.0
    if random.chance(_HEALTHY):
        return Lesions(codes, labels, pushed)
    for number in range(1 + random.chance(0.25) + random.chance(0.12)):
        radius_mm = min(32.0, 15.0 * float(np.exp(random.rng.normal(0, 0.4))))
        radius = radius_mm / VOXEL_MM * (random.uniform(0.2, 0.6) if number else 1.0)
        centre = _place(codes, random)
        codes, moved = _push(codes, centre, radius, random)
        pushed = max(pushed, moved)
        core = _core(codes, centre, radius, random)
        tissue = _CLASS.take(codes)
        core[_FLUID[tissue] & ((tissue == 0) | random.chance(0.8))] = 0
        swollen = _oedema(codes, core, random)
        labels = torch.where((labels == 0) | (labels == OEDEMA), swollen, labels)
        labels = torch.where(core > 0, core, labels)
    return Lesions(codes, labels, pushed)


def _place(codes: Tensor, random: RandomTensors) -> Tensor:
    """(3,) voxel of white matter mostly, else of any tissue."""
    tissue = _CLASS.take(codes)
    where = _WHITE[tissue] if random.chance(0.8) else ~_FLUID[tissue]
    spots = where.nonzero()
    return spots[int(random.rng.integers(len(spots)))].float()


def _offsets(size: torch.Size, centre: Tensor) -> Tensor:
    """(I, J, K, 3) voxels from a centre."""
    axes = [torch.arange(n, dtype=torch.float32) - c for n, c in zip(size, centre, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def _push(
    codes: Tensor, centre: Tensor, radius: float, random: RandomTensors
) -> tuple[Tensor, float]:
    """Mass effect: tissue around the centre is moved outwards, less with distance."""
    strength = random.uniform(0, 0.4) if random.chance(0.7) else 0.0
    reach = radius * random.uniform(1.0, 2.0)
    away = _offsets(codes.shape, centre)
    squared = (away**2).sum(-1, keepdim=True)
    back = centre + away * (1 - strength * torch.exp(-squared / reach**2))
    grid = (back / (torch.tensor(codes.shape) - 1) * 2 - 1).flip(-1)
    moved = F.grid_sample(
        codes[None, None].float(), grid[None], mode="nearest", align_corners=True
    )[0, 0].long()
    # r * exp(-r^2 / reach^2) is largest at reach / sqrt(2), where it is 0.43 of the reach.
    return moved, VOXEL_MM * strength * 0.43 * reach


def _core(codes: Tensor, centre: Tensor, radius: float, random: RandomTensors) -> Tensor:
    """(I, J, K) uint8 parts of the tumour without its oedema."""
    size = tuple(codes.shape)
    axes = torch.from_numpy(rotation(random.rng.uniform(0, np.pi, 3))).float()
    axes = axes * torch.exp(0.25 * random.normal(3))
    depth = (_offsets(codes.shape, centre) @ axes).norm(dim=-1) / radius
    finer = max(4, min(40, round(2.5 * max(size) / radius)))
    rough = random.smooth(3, finer, size)
    lumps = random.smooth(1, max(4, finer // 2), size)[0]
    depth = depth + random.uniform(0.05, 0.3) * lumps + random.uniform(0.0, 0.15) * rough[0]
    inside, kind = depth < 1, _KINDS[int(random.rng.integers(len(_KINDS)))]
    parts = torch.full(size, SOLID, dtype=torch.uint8)
    first, second = rough[1], rough[2]
    if kind == "ring":
        parts[first < random.uniform(0.0, 2.5)] = NECROSIS
        thick = random.uniform(0.1, 0.5) * (1 + 0.4 * second)
        parts[(depth > 1 - thick) & (second > random.uniform(-3, -0.8))] = ENHANCING
    elif kind == "solid":
        parts[:] = ENHANCING
        parts[first > random.uniform(0.8, 2.5)] = NECROSIS
    elif kind == "mixed":
        parts[first > random.uniform(-0.5, 1.0)] = ENHANCING
        parts[first < random.uniform(-2.0, -0.5)] = NECROSIS
    elif random.chance(0.4):  # diffuse: all is solid, with a few spots of enhancement at most
        parts[second > random.uniform(1.2, 2.5)] = ENHANCING
    return parts.masked_fill_(~inside, 0)


def _oedema(codes: Tensor, core: Tensor, random: RandomTensors) -> Tensor:
    """(I, J, K) uint8 oedema: far along white matter, hardly into cortex, never into fluid."""
    extent = random.uniform(0, 34) if random.chance(0.9) else 0.0
    if extent < VOXEL_MM or not bool(core.any()):
        return torch.zeros_like(core)
    size, tissue = tuple(codes.shape), _CLASS.take(codes)
    distance = ndimage.distance_transform_edt((core == 0).numpy(), sampling=VOXEL_MM)
    speed = torch.full(size, random.uniform(0.3, 0.8))
    speed[_WHITE[tissue]] = 1.0
    speed[_CORTEX[tissue]] = random.uniform(0.15, 0.5)
    speed[_FLUID[tissue]] = 0.0
    side = _SIDE[codes]
    own = side[core > 0]
    if random.chance(0.8):  # the falx holds it back
        speed[side == (0 if bool((own == 1).sum() > (own == 0).sum()) else 1)] = 0.0
    ragged = 1 + 0.45 * random.smooth(1, 9, size)[0] + 0.15 * random.smooth(1, 20, size)[0]
    return OEDEMA * (torch.from_numpy(distance) < extent * ragged * speed).byte()
