"""Marks by which a picture is known again: a hash of its looks, and a small copy for people."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmtool.retrieval import Picture

_EDGE = 160  # pixels of a thumbnail along its longer side
_QUALITY = 80
_FEWEST = 6  # bits of a hash that differ from the rest


def middle(picture: Picture) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3): the picture, or the middle slice or frame."""
    plane = picture.pixels[picture.pixels.shape[0] // 2]
    return np.asarray((plane * 255).round(), np.uint8)


def dhash(picture: Picture) -> str:
    """64 bits as 16 hexadecimal digits: where, of 9 x 8 means, one is darker than its right one.

    Copies in another size, format or quality differ in a few bits (Krawetz, "Kind of like that",
    2013). A picture in which hardly anything changes has none: "", since all such are alike.
    """
    small = Image.fromarray(middle(picture)).convert("L").resize((9, 8), Image.Resampling.BOX)
    grey = np.asarray(small, np.int16)
    darker = grey[:, :-1] < grey[:, 1:]
    if not _FEWEST <= int(darker.sum()) <= darker.size - _FEWEST:
        return ""
    return np.packbits(darker).tobytes().hex()


def thumbnail(picture: Picture, edge: int = _EDGE) -> bytes:
    """Small JPEG; of a volume the middle slice. It holds nothing but pixels."""
    image = Image.fromarray(middle(picture))
    if picture.spacing is not None:  # pixels may be oblong
        down, across = picture.spacing[1:]
        wide, high = image.width * across, image.height * down
        scale = min(edge / max(wide, high), 1 / min(down, across))
        size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    else:
        scale = min(1.0, edge / max(image.size))
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    out = io.BytesIO()
    image.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR).save(
        out, "JPEG", quality=_QUALITY, optimize=True
    )
    return out.getvalue()


def likeness(first: bytes, second: bytes) -> float:
    """Correlation of the greys of two thumbnails at 32 x 32; 0 where one is of a single grey."""
    one, other = (_standardised(jpeg) for jpeg in (first, second))
    return float((one * other).mean())


def _standardised(jpeg: bytes) -> NDArray[np.float64]:
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX), np.float64)
    return np.asarray((grey - grey.mean()) / max(float(grey.std()), 1e-9), np.float64)
