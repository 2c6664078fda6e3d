"""Pictures for people: a slice as it was looked at, with what points at a finding drawn on it."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mmtool.types import Label

_SIDE = 640  # pixels of the longer side, at most
_HOT = np.array((255, 120, 0), np.float32)
_STRONGEST = 0.6  # of the colour over the picture


@dataclass(frozen=True)
class Figure:
    """A picture of the report.

    Attributes:
        caption: What is to be seen.
        png: The file.
    """

    caption: str
    png: bytes


def key_image(
    pixels: NDArray[np.float32],
    *,
    heat: NDArray[np.float32] | None = None,
    box: tuple[float, float, float, float] | None = None,
    labels: NDArray[Any] | None = None,
    table: tuple[Label, ...] = (),
    ratio: float = 1.0,
) -> bytes:
    """A PNG of one slice.

    Args:
        pixels: (H, W) or (H, W, 3) in 0..1.
        heat: (h, w) of any size, at least 0; scaled by its largest.
        box: x, y, width, height as shares of the slice.
        labels: (H, W) label indices drawn as colours of ``table``.
        table: Labels with their colours.
        ratio: Height of a pixel by its width.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, _SIDE / max(height * ratio, width))
    if max(height, width) < _SIDE // 2:
        scale = max(1, _SIDE // 2 // max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * ratio * scale)))
    grey = (np.nan_to_num(pixels).clip(0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    if heat is not None:
        image = _heated(image, heat)
    if labels is not None:
        image = _coloured(image, labels, table)
    if box is not None:
        x, y, w, h = (v * s for v, s in zip(box, size * 2, strict=True))
        ImageDraw.Draw(image).rectangle((x, y, x + w, y + h), outline=(255, 120, 0), width=3)
    out = BytesIO()
    image.save(out, "PNG", optimize=False)
    return out.getvalue()


def _heated(image: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Colour over the picture where it is hot."""
    top = float(heat.max(initial=0))
    share = heat.clip(0) / top if top > 0 else np.zeros_like(heat)
    soft = Image.fromarray((share * 255).astype(np.uint8)).resize(
        image.size, Image.Resampling.BILINEAR
    )
    alpha = np.asarray(soft, np.float32)[..., None] / 255 * _STRONGEST
    mixed = np.asarray(image, np.float32) * (1 - alpha) + _HOT * alpha
    return Image.fromarray(mixed.astype(np.uint8))


def _coloured(image: Image.Image, labels: NDArray[Any], table: tuple[Label, ...]) -> Image.Image:
    """Structures in their colours."""
    rgb = np.asarray(image, np.float32).copy()
    nearest = Image.fromarray(labels.astype(np.uint8)).resize(image.size, Image.Resampling.NEAREST)
    index = np.asarray(nearest)
    for label in table:
        inside = index == label.index
        if inside.any():
            rgb[inside] = 0.6 * rgb[inside] + 0.4 * np.array(label.color, np.float32)
    return Image.fromarray(rgb.astype(np.uint8))
