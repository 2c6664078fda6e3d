"""Cases of several images: which file is which channel of a model, and all on one grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmtool.errors import GeometryError, InputError
from mmtool.io.limits import Limits
from mmtool.io.readers import count_volumes, read_volume, read_volumes
from mmtool.pipelines.air import air_value, finite
from mmtool.pipelines.samplesheet import VOLUME_SUFFIXES, BatchItem, stem_of
from mmtool.pipelines.world_grid import world_box
from mmtool.types import ScanHeader, Volume

_MOVED = 0.01  # share of a voxel by which corners of one grid may differ: rounding of headers
_OVERLAP = 0.2  # share of the smaller volume that both must have in common


@dataclass(frozen=True)
class CaseScan:
    """What was read of a case.

    Attributes:
        scan: The first channel, whose grid is that of the result.
        data: (I, J, K) finite intensities; (C, I, J, K) of several channels.
        sha256: Path of each file read -> hash.
        notes: What had to be done to bring the channels together.
    """

    scan: Volume
    data: NDArray[Any]
    sha256: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How files are read; see `read_volume`."""

    limits: Limits
    series: str | None = None
    resample_irregular: bool = False
    on_header: Callable[[ScanHeader], None] = lambda header: None


def plain(name: str) -> str:
    """Letters and digits of a channel's name in lower case: ``T1-c`` and ``t1c`` are one."""
    return "".join(c for c in name.lower() if c.isalnum())


def place_of(name: str, channels: Sequence[str]) -> int | None:
    """Which channel a name or a number (from 0, as in nnU-Net's file names) means."""
    named = [n for n, channel in enumerate(channels) if plain(channel) == plain(name)]
    if len(named) == 1:
        return named[0]
    number = int(name) if name.isascii() and name.isdigit() else -1
    return number if 0 <= number < len(channels) else None


def files_of(item: BatchItem, channels: Sequence[str], limits: Limits) -> tuple[Path, ...]:
    """Files of an item in the order of a model's channels; one may hold all of them.

    Args:
        item: Its first input is the first channel, a folder with a file for each channel, or a
            NIfTI whose fourth axis is channels.
        channels: Of the model.
        limits: Of the readers.

    Raises:
        InputError: A channel is missing, or one is given that the model doesn't have.
    """
    first, *rest = item.inputs
    if len(channels) == 1 and rest:
        raise InputError(
            f"{item.name}: {len(item.inputs)} images, and the model takes one",
            "leave the other channels out, or choose a model that takes them",
        )
    if len(channels) == 1:
        return (first,)
    given: dict[int, Path] = {0: first}
    for name, path in zip(item.channels, rest, strict=True):
        place = place_of(name, channels)
        if place is None or place in given:
            raise InputError(
                f"{item.name}: '{name}' is no further channel of the model",
                f"its channels are {', '.join(channels)}; the first is the scan itself",
            )
        given[place] = path
    if not rest and first.is_dir():
        given = _in_folder(first, channels) or given
    if not rest and first.is_file() and count_volumes(first, limits=limits) > 1:
        return (first,)
    missing = [channel for n, channel in enumerate(channels) if n not in given]
    if missing:
        raise InputError(
            f"{item.name}: the channel '{missing[0]}' is missing; the model takes "
            f"{', '.join(channels)}",
            f"add --channel {missing[0]}=FILE, or a column of that name to the sample sheet",
        )
    return tuple(given[n] for n in range(len(channels)))


def _in_folder(folder: Path, channels: Sequence[str]) -> dict[int, Path]:
    """Files of a folder that are named after channels: ``flair.nii.gz``, ``sub_flair.nii.gz``."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not path.name.lower().endswith(VOLUME_SUFFIXES):
            continue
        last = stem_of(path).replace("-", "_").rpartition("_")[2]
        place = next((n for n, c in enumerate(channels) if plain(c) == plain(last)), None)
        if place is None:
            continue
        if place in found:
            raise InputError(
                f"{folder}: {found[place].name} and {path.name} are both '{channels[place]}'",
                "name the files themselves: SCAN --channel NAME=FILE",
            )
        found[place] = path
    return found


def read_case(files: Sequence[Path], channels: Sequence[str], how: Reading) -> CaseScan:
    """Read all channels and bring them to the grid of the first.

    Args:
        files: Of :func:`files_of`.
        channels: Of the model.
        how: See :class:`Reading`; the series of a DICOM folder is that of the first channel.

    Raises:
        InputError: Unreadable, or with another number of volumes than the model has channels.
        GeometryError: A channel lies elsewhere than the first one.
    """
    if len(files) == 1 and len(channels) > 1:
        return _of_one_file(files[0], channels, how)
    first = read_volume(
        files[0],
        limits=how.limits,
        series=how.series,
        resample_irregular=how.resample_irregular,
        on_header=how.on_header,
    )
    sha256 = {str(files[0]): first.source.sha256}
    if len(files) == 1:
        return CaseScan(first, finite(first.data), sha256)
    data = np.empty((len(files), *first.shape), np.float32)
    data[0] = finite(first.data)
    notes: list[str] = []
    for number, path in enumerate(files[1:], start=1):
        other = read_volume(path, limits=how.limits, resample_irregular=how.resample_irregular)
        sha256[str(path)] = other.source.sha256
        data[number] = on_grid(first, other, channels[number])
        if not same_grid(first, other):
            notes.append(
                f"'{channels[number]}' was resampled to the grid of '{channels[0]}' (linearly)"
            )
    return CaseScan(first, data, sha256, tuple(notes))


def _of_one_file(path: Path, channels: Sequence[str], how: Reading) -> CaseScan:
    count = count_volumes(path, limits=how.limits)
    if count != len(channels):
        raise InputError(
            f"{path}: {count} volumes along the fourth axis, and the model takes "
            f"{len(channels)} ({', '.join(channels)})",
            "give a file for each channel: SCAN --channel NAME=FILE",
        )
    volumes = read_volumes(path, count, limits=how.limits, on_header=how.on_header)
    data = np.stack([finite(v.data).astype(np.float32, copy=False) for v in volumes])
    note = f"volumes along the fourth axis were taken as {', '.join(channels)}"
    return CaseScan(volumes[0], data, {str(path): volumes[0].source.sha256}, (note,))


def same_grid(one: Volume, two: Volume) -> bool:
    """Whether the corners of both lie at one place, up to the rounding of headers."""
    if one.shape != two.shape:
        return False
    corners = np.array(np.meshgrid(*([0, n - 1] for n in one.shape))).reshape(3, -1)
    corners = np.vstack([corners, np.ones(8)])
    apart = np.linalg.norm(((one.affine - two.affine) @ corners)[:3], axis=0).max()
    return bool(apart <= _MOVED * np.linalg.norm(one.affine[:3, :3], axis=0).min())


def on_grid(first: Volume, other: Volume, name: str) -> NDArray[Any]:
    """(I, J, K) intensities of ``other`` on the grid of ``first``.

    Interpolated linearly; what is finer is smoothed before, what lies outside is air.

    Raises:
        GeometryError: Both lie at different places in the world.
    """
    data = finite(other.data)
    if same_grid(first, other):
        return data
    _check_overlap(first, other, name)
    step = np.linalg.inv(other.affine) @ first.affine
    coarser = np.linalg.norm(step[:3, :3], axis=1)  # voxels of the other for one of the first
    smooth = np.maximum(0.0, (coarser - 1) / 2)
    values = data.astype(np.float32)
    if smooth.any():
        values = ndimage.gaussian_filter(values, smooth)
    moved: NDArray[np.float32] = ndimage.affine_transform(
        values,
        step[:3, :3],
        step[:3, 3],
        output_shape=first.shape,
        order=1,
        mode="constant",
        cval=air_value(data),
    )
    return moved


def _check_overlap(first: Volume, other: Volume, name: str) -> None:
    boxes = [world_box(v.shape, v.affine) for v in (first, other)]
    low, high = np.maximum(*(b[0] for b in boxes)), np.minimum(*(b[1] for b in boxes))
    common = np.prod((high - low).clip(0))
    if common < _OVERLAP * min(np.prod(b[1] - b[0]) for b in boxes):
        raise GeometryError(
            f"{other.source.path}: the channel '{name}' does not lie where "
            f"{first.source.path} lies",
            "register the images of a case to each other first",
        )
