"""How open_clip prepares a picture, by the ``preprocess_cfg`` of a folder of its own.

Resizing is that of PIL; the middle is rounded to the even side where half a pixel is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mmtool.errors import ModelError
from mmtool.models.encoders.planes import even_planes
from mmtool.retrieval import Picture

_SLICES = 8  # of a volume, at even distances
_MODES = ("shortest", "longest", "squash")
_RESAMPLE = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP, where the folder says nothing
_STD = (0.26862954, 0.26130258, 0.27577711)
_KNOWN = ("size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color")


@dataclass(frozen=True)
class OpenClipPreparation:
    """How a picture becomes what the tower takes.

    Attributes:
        size: Height and width.
        resize_mode: ``shortest`` edge to size and the middle kept, ``longest`` edge to size and
            the rest filled, or ``squash``.
        interpolation: ``bicubic`` or ``bilinear``.
        mean, std: Of the three colours, in 0..1.
        fill_color: Of what is filled, 0..255.
        slices: Most slices of a volume; their vectors are averaged.
    """

    size: tuple[int, int]
    resize_mode: str = "shortest"
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = _MEAN
    std: tuple[float, ...] = _STD
    fill_color: int = 0
    slices: int = _SLICES


def open_clip_preparation(said: Mapping[str, Any], size: Any, where: str) -> OpenClipPreparation:
    """Read ``preprocess_cfg``; what it does not say is as open_clip takes it.

    Args:
        said: It.
        size: Of the tower: one number, or height and width.
        where: Name of the file, for errors.

    Raises:
        ModelError: It asks for what is not known; the message names it.
    """
    strange = [key for key in said if key not in _KNOWN]
    how = {"resize_mode": "shortest", "interpolation": "bicubic", "mode": "RGB"} | dict(said)
    for key, known in (("resize_mode", _MODES), ("interpolation", _RESAMPLE), ("mode", ("RGB",))):
        if how[key] not in known:
            strange.append(f"{key} {how[key]}")
    if strange:
        raise ModelError(
            f"{where}: preprocess_cfg: {str(strange[0])[:60]} is not supported",
            f"known: {', '.join(_KNOWN)}; resize_mode {', '.join(_MODES)}",
        )
    try:
        high, wide = _pair(how.get("size", size))
        mean, std = _three(how.get("mean", _MEAN)), _three(how.get("std", _STD))
        if min(std) <= 0 or (high, wide) != _pair(size):
            raise ValueError("another size than that of the tower, or no spread")
        return OpenClipPreparation(
            (high, wide),
            how["resize_mode"],
            how["interpolation"],
            mean,
            std,
            int(how.get("fill_color", 0)),
        )
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{where}: preprocess_cfg: size, mean, std or fill_color is not one",
            "size as of the tower, and three numbers of each",
        ) from error


def _pair(value: Any) -> tuple[int, int]:
    high, wide = (value, value) if isinstance(value, int) else value
    return int(high), int(wide)


def _three(value: Any) -> tuple[float, ...]:
    red, green, blue = (float(x) for x in value)
    return red, green, blue


def open_clip_prepared(picture: Picture, how: OpenClipPreparation) -> Tensor:
    """(S, 3, H, W) float32: up to eight slices of a picture."""
    return torch.stack([_slice(plane, how) for plane in even_planes(picture, how.slices)])


def _slice(plane: NDArray[np.float32], how: OpenClipPreparation) -> Tensor:
    image = Image.fromarray((plane * 255).round().astype(np.uint8)).convert("RGB")
    image = _middle(image.resize(_resized(image.size, how), _RESAMPLE[how.interpolation]), how)
    pixels = torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)
    mean, std = (torch.tensor(x)[:, None, None] for x in (how.mean, how.std))
    return (pixels - mean) / std


def _resized(size: tuple[int, int], how: OpenClipPreparation) -> tuple[int, int]:
    """Width and height that a picture of this width and height is resized to."""
    wide, high = size
    if how.resize_mode == "squash":
        return how.size[1], how.size[0]
    if how.resize_mode == "shortest" and how.size[0] == how.size[1]:
        edge, short = how.size[0], min(wide, high)
        return int(edge * wide / short), int(edge * high / short)
    ratios = high / how.size[0], wide / how.size[1]
    ratio = max(ratios) if how.resize_mode == "longest" else min(ratios)
    return round(wide / ratio), round(high / ratio)


def _middle(image: Image.Image, how: OpenClipPreparation) -> Image.Image:
    high, wide = how.size
    out = Image.new("RGB", (wide, high), (how.fill_color,) * 3)
    left, top = (_start(own, kept) for own, kept in zip(image.size, (wide, high), strict=True))
    out.paste(image, (left, top))
    return out


def _start(own: int, kept: int) -> int:
    """Where an edge of the picture comes to lie: outside where it is larger than what is kept."""
    return (kept - own) // 2 if kept >= own else -round((own - kept) / 2)
