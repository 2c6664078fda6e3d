"""Pictures without labels for pre-training, and views of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mmtool.errors import InputError
from mmtool.io.readers import read_volume
from mmtool.io.readers.picture import picture_of_volume
from mmtool.models.encoders.joint_input import DEPTH, InputSettings, slabs
from mmtool.retrieval import Picture

_NO_SCAN = ("label", "mask", "seg", "gtv")  # in the name of a file
_SLABS = 2  # of each plane of a volume


def volume_slabs(
    folders: Sequence[Path], settings: InputSettings, cache: Path
) -> NDArray[np.uint8]:
    """(V, 6, 3, size, size) uint8: two slabs of each plane of all volumes below folders.

    Args:
        folders: With NIfTI files; those whose names hold label, mask, seg or gtv are passed over.
        settings: How slabs are made.
        cache: File that is read if it fits, else written.

    Raises:
        InputError: No volume there.
    """
    files = []
    for folder in folders:
        found = sorted(f for f in folder.rglob("*.nii*") if not any(w in f.name for w in _NO_SCAN))
        if not found:
            raise InputError(
                f"{folder}: no NIfTI volumes", "name a folder of .nii or .nii.gz files"
            )
        files += found
    wanted = (len(files), DEPTH * _SLABS, DEPTH, settings.size, settings.size)
    if cache.is_file():
        kept: NDArray[np.uint8] = np.load(cache)
        if kept.shape == wanted:
            return kept
    out = np.empty(wanted, np.uint8)
    few = replace(settings, slices=_SLABS, top=0.0, bottom=0.0)
    for row, file in zip(out, files, strict=True):
        volume = picture_of_volume(read_volume(file))
        cut = torch.cat([_two(plane, few) for plane in planes(volume)])
        row[:] = (cut * 255).round().byte().numpy()
    np.save(cache, out)
    return out


def _two(plane: Picture, settings: InputSettings) -> Tensor:
    found = slabs(plane, settings)
    return found if len(found) == _SLABS else found[:1].repeat(_SLABS, 1, 1, 1)


def planes(volume: Picture) -> Iterator[Picture]:
    """A volume cut axially, coronally and sagittally, the head up."""
    depth, high, wide = volume.spacing or (1.0, 1.0, 1.0)
    upright = volume.pixels[::-1]
    yield volume
    yield Picture(upright.transpose(1, 0, 2), (high, depth, wide))
    yield Picture(upright.transpose(2, 0, 1), (wide, depth, high))


def view(pixels: Tensor, edge: int, shares: tuple[float, float], draw: torch.Generator) -> Tensor:
    """(B, D, edge, edge): a crop of each, a little turned, brighter or darker, noisy.

    Args:
        pixels: (B, D, size, size) float32 in 0..1.
        edge: Pixels of the crop.
        shares: Least and greatest share of the area that a crop takes.
        draw: For all that is drawn.
    """
    count, depth = pixels.shape[:2]

    def rand(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=draw) * (high - low) + low

    scale = rand(*shares).sqrt()
    aspect = rand(-math.log(4 / 3), math.log(4 / 3)).div(2).exp()
    angle = rand(-0.25, 0.25)
    high, wide = (scale * aspect).clamp(max=1.0), (scale / aspect).clamp(max=1.0)
    down, across = rand(-1, 1) * (1 - high), rand(-1, 1) * (1 - wide)
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack(
        [
            torch.stack([cos * wide, -sin * wide, across], 1),
            torch.stack([sin * high, cos * high, down], 1),
        ],
        1,
    )
    grid = functional.affine_grid(rows, [count, depth, edge, edge], align_corners=False)
    cut = functional.grid_sample(pixels, grid.to(pixels.device), align_corners=False)
    gamma, gain, shift = (
        r[:, None, None, None].to(pixels.device)
        for r in (rand(-0.5, 0.5).exp(), rand(0.7, 1.3), rand(-0.1, 0.1))
    )
    bright = torch.where(cut > 0.02, cut.clamp(min=1e-4) ** gamma * gain + shift, cut)
    noise = (
        torch.randn(count, depth, edge, edge, generator=draw) * rand(0, 0.05)[:, None, None, None]
    )
    return (bright + noise.to(pixels.device)).clamp(0, 1)
