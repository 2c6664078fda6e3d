"""One picture that shows a radiologist what was found: three planes, contours, legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mmtool.io.atomic import replace_into
from mmtool.io.label_profiles import LabelProfiles, label_profiles
from mmtool.types import Label, Volume

_PANEL = 420  # pixels, square
_GAP = 8
_LEGEND = 240
_FOOT = 28
_GREY = (150, 150, 150)
_WHITE = (235, 235, 235)
_LISTED = 26
# Name, axis across the plane, axis to the right, axis up, signs of both on the page. In the
# radiological convention the patient's left is on the right of the page.
_PLANES = (
    ("axial", 2, 0, 1, -1, 1, ("R", "L", "A", "P")),
    ("coronal", 1, 0, 2, -1, 1, ("R", "L", "S", "I")),
    ("sagittal", 0, 1, 2, -1, 1, ("A", "P", "S", "I")),
)


@dataclass(frozen=True)
class _Plane:
    grey: NDArray[np.uint8]
    labels: NDArray[Any]
    mm: tuple[float, float]


def write_preview(path: Path, volume: Volume, labels: NDArray[Any], table: Sequence[Label]) -> None:
    """Draw axial, coronal and sagittal planes through what was found.

    The planes are those of the voxel grid nearest to the anatomical ones, in the radiological
    convention, to scale in mm.

    Args:
        path: Target PNG.
        volume: The scan.
        labels: (I, J, K) label map on its grid.
        table: Labels that were looked for, with their colours.
    """
    picture = Image.new("RGB", (3 * _PANEL + 4 * _GAP + _LEGEND, _PANEL + 2 * _GAP + _FOOT))
    draw = ImageDraw.Draw(picture)
    orientation = nibabel.io_orientation(volume.affine)
    data = nibabel.apply_orientation(volume.data, orientation)
    mask = nibabel.apply_orientation(labels, orientation)
    steps = np.linalg.norm(volume.affine[:3, :3], axis=0)
    mm = steps[np.argsort(orientation[:, 0])]
    window = grey_window(data, volume.source.modality)
    profiles = label_profiles(mask, int(mask.max(initial=0)) + 1)
    centre = _centre(profiles)
    extent = max(float(n * s) for n, s in zip(data.shape, mm, strict=True))
    scale = _PANEL / extent
    colors = {label.index: label.color for label in table}
    for number, (name, across, right, up, flip_x, flip_y, letters) in enumerate(_PLANES):
        plane = _cut(data, mask, window, (across, right, up), centre[across], (flip_x, flip_y))
        plane = _Plane(plane.grey, plane.labels, (float(mm[right]), float(mm[up])))
        left = _GAP + number * (_PANEL + _GAP)
        picture.paste(_panel(plane, scale, colors), (left, _GAP))
        _marks(draw, left, letters)
        position = _position(volume, orientation, centre, across)
        draw.text((left + 6, _GAP + _PANEL + 6), f"{name}  {position}", _GREY, _font(13))
    _scale_bar(draw, scale)
    _legend(draw, set(np.flatnonzero(profiles.counts).tolist()), table)
    with replace_into(path) as temporary:
        picture.save(temporary, format="PNG", optimize=False)


def _font(size: int) -> Any:
    return ImageFont.load_default(size=size)


def grey_window(data: NDArray[Any], modality: str) -> tuple[float, float]:
    """Grey window: soft tissue for CT, robust percentiles otherwise."""
    if modality == "CT":
        return -100.0, 200.0
    sample = data[:: max(1, data.shape[0] // 64), :: max(1, data.shape[1] // 64)]
    values = sample[np.isfinite(sample)].astype(np.float32)
    if not values.size:
        return 0.0, 1.0
    inside = values[values > values.min() + 0.02 * (values.max() - values.min())]
    low, high = np.percentile(values, 0.5), np.percentile(inside if inside.size else values, 99.5)
    return float(low), float(high if high > low else low + 1)


def _centre(profiles: LabelProfiles) -> tuple[int, int, int]:
    """Along each axis, the slice that shows most of what there is.

    Every structure counts by its area as a share of its own largest, so that neither the cortex
    nor a thin horn decides alone; the middle slice if there is nothing.
    """
    out = []
    for counts in profiles.slices:
        score = (counts[:, 1:] / counts[:, 1:].max(0).clip(1)).sum(1)
        out.append(int(score.argmax()) if score.any() else len(counts) // 2)
    return out[0], out[1], out[2]


def _cut(
    data: NDArray[Any],
    mask: NDArray[Any],
    window: tuple[float, float],
    axes: tuple[int, int, int],
    index: int,
    flips: tuple[int, int],
) -> _Plane:
    """A slice with rows downwards on the page."""
    across, right, up = axes
    grey, labels = (np.moveaxis(a, across, 0)[index] for a in (data, mask))
    if right > up:
        grey, labels = grey.T, labels.T
    grey, labels = (np.rot90(a[:: flips[0], :: flips[1]]) for a in (grey, labels))
    low, high = window
    shade = (np.nan_to_num(grey.astype(np.float32), nan=low) - low) / (high - low)
    return _Plane((shade.clip(0, 1) * 255).astype(np.uint8), labels, (1, 1))


def _panel(plane: _Plane, scale: float, colors: dict[int, tuple[int, int, int]]) -> Image.Image:
    """One square with the slice in the middle, contours drawn at the resolution of the page."""
    height, width = plane.grey.shape
    size = (
        max(1, round(width * plane.mm[0] * scale)),
        max(1, round(height * plane.mm[1] * scale)),
    )
    grey = Image.fromarray(plane.grey).resize(size, Image.Resampling.BICUBIC)
    rgb = np.repeat(np.asarray(grey, np.float32)[..., None], 3, -1)
    for index in np.unique(plane.labels):
        if index == 0 or int(index) not in colors:
            continue
        soft = Image.fromarray((plane.labels == index).astype(np.uint8) * 255)
        inside = np.asarray(soft.resize(size, Image.Resampling.BILINEAR)) > 127
        color = np.array(colors[int(index)], np.float32)
        rgb[inside] = 0.72 * rgb[inside] + 0.28 * color
        rgb[_edge(inside)] = color
    out = Image.new("RGB", (_PANEL, _PANEL))
    picture = Image.fromarray(rgb.astype(np.uint8))
    out.paste(picture, ((_PANEL - size[0]) // 2, (_PANEL - size[1]) // 2))
    return out


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a region that touch its outside."""
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside & ~core


def _marks(draw: ImageDraw.ImageDraw, left: int, letters: tuple[str, str, str, str]) -> None:
    middle = _PANEL // 2
    west, east, north, south = letters
    places = (
        (west, (left + 6, _GAP + middle), "lm"),
        (east, (left + _PANEL - 6, _GAP + middle), "rm"),
        (north, (left + middle, _GAP + 4), "ma"),
        (south, (left + middle, _GAP + _PANEL - 4), "md"),
    )
    for letter, place, anchor in places:
        draw.text(
            place, letter, _WHITE, _font(18), anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0)
        )


def _position(
    volume: Volume, orientation: NDArray[Any], centre: tuple[int, int, int], across: int
) -> str:
    """World coordinate of a plane along its axis, e.g. ``S = 12.5 mm``."""
    voxel = np.zeros(3)
    for axis, (to, flip) in enumerate(orientation):
        at = centre[int(to)]
        voxel[axis] = at if flip > 0 else volume.data.shape[axis] - 1 - at
    world = volume.affine[:3, :3] @ voxel + volume.affine[:3, 3]
    return f"{'RAS'[across]} = {world[across]:.1f} mm"


def _scale_bar(draw: ImageDraw.ImageDraw, scale: float) -> None:
    length = 50.0 if 50 * scale < _PANEL / 2 else 10.0
    y = _GAP + _PANEL + 14
    right = 3 * (_PANEL + _GAP) - 8
    left = right - round(length * scale)
    draw.line([(left, y), (right, y)], _WHITE, 2)
    draw.text((left - 6, y), f"{length:.0f} mm", _GREY, _font(13), anchor="rm")


def _legend(draw: ImageDraw.ImageDraw, present: set[int], table: Sequence[Label]) -> None:
    shown = [label for label in table if label.index in present]
    left = 3 * (_PANEL + _GAP) + 2 * _GAP
    if not shown:
        draw.text((left, _GAP + 4), "no structure found", _WHITE, _font(15))
        return
    for row, label in enumerate(shown[:_LISTED]):
        y = _GAP + 2 + row * 16
        draw.rectangle([left, y + 2, left + 10, y + 12], label.color)
        draw.text((left + 18, y), label.name, _WHITE, _font(12))
    if len(shown) > _LISTED:
        y = _GAP + 2 + _LISTED * 16
        draw.text((left, y), f"and {len(shown) - _LISTED} more in labels.tsv", _GREY, _font(12))
