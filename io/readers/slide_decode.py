"""Child process that reads slides: ``python -m mmtool.io.readers.slide_decode MEMORY``.

OpenSlide reads what scanners write; a small flat picture (TIFF, PNG, JPEG) is read by Pillow. Both
are native code on untrusted bytes. Nothing larger than a block of a level is held.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import openslide
from numpy.typing import NDArray
from PIL import Image

from mmtool.io.readers.decoding_child import Refusal, serve

_FLAT_PIXELS = 100_000_000  # of a picture without levels, which is held whole
_BLOCK = 2048  # pixels of a level that are read at a time for the overview, along each side
_LEVELS = 32

Pixels = NDArray[np.uint8]


class _Source(Protocol):
    """Levels from fine to coarse."""

    sizes: list[tuple[int, int]]
    downsamples: list[float]
    properties: dict[str, str]

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """(height, width, 3) from a place in pixels of that level; white outside."""
        ...


class _OpenSlide:
    def __init__(self, path: str) -> None:
        self._slide = openslide.OpenSlide(path)
        self.sizes = list(self._slide.level_dimensions)[:_LEVELS]
        self.downsamples = [float(d) for d in self._slide.level_downsamples][:_LEVELS]
        self.properties = dict(self._slide.properties)

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """See :class:`_Source`; what the scanner left out is transparent, and white here."""
        scale = self.downsamples[level]
        place = (round(x * scale), round(y * scale))
        read = self._slide.read_region(place, level, (width, height))
        page = Image.new("RGB", read.size, (255, 255, 255))
        page.paste(read, mask=read.getchannel("A"))
        return np.asarray(page)


class _Flat:
    def __init__(self, path: str) -> None:
        Image.MAX_IMAGE_PIXELS = _FLAT_PIXELS
        with Image.open(path, formats=("TIFF", "PNG", "JPEG")) as image:
            if image.mode not in ("RGB", "RGBA"):
                raise Refusal(
                    f"a picture of kind {image.mode}, not of eight-bit colours",
                    "stained slides in RGB are needed",
                )
            if image.width * image.height > _FLAT_PIXELS:
                raise Refusal(
                    f"{image.width} x {image.height} pixels without tiles",
                    "write it as a tiled pyramid, e.g. vips tiffsave --tile --pyramid",
                )
            self._pixels = np.asarray(image.convert("RGB"))
        self.sizes = [(self._pixels.shape[1], self._pixels.shape[0])]
        self.downsamples = [1.0]
        self.properties: dict[str, str] = {}

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """See :class:`_Source`."""
        out = np.full((height, width, 3), 255, np.uint8)
        part = self._pixels[max(y, 0) : y + height, max(x, 0) : x + width]
        out[: part.shape[0], : part.shape[1]] = part
        return out


def _open(path: str) -> _Source:
    try:
        return _OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError:
        pass
    except openslide.OpenSlideError as error:
        raise Refusal("a damaged slide", "copy it again from its source") from error
    try:
        return _Flat(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Refusal(
            "not a slide that can be read", "formats of OpenSlide, or RGB TIFF, PNG or JPEG"
        ) from error


class _Desk:
    """The slide that is open, and what is asked of it."""

    def __init__(self) -> None:
        self._path = ""
        self._slide: _Source | None = None

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[Pixels]]:
        """One of ``header``, ``overview`` and ``tiles`` of ``path``."""
        if request["path"] != self._path or self._slide is None:
            self._slide, self._path = _open(request["path"]), request["path"]
        try:
            found = getattr(self, f"_{request['want']}")(self._slide, request)
        except openslide.OpenSlideError as error:
            raise Refusal("a damaged slide", "copy it again from its source") from error
        words, arrays = found
        return words, arrays

    @staticmethod
    def _header(slide: _Source, request: dict[str, Any]) -> tuple[dict[str, Any], list[Pixels]]:
        del request
        keys = ("mpp-x", "mpp-y", "objective-power", "vendor")
        words = {key: slide.properties.get(f"openslide.{key}") for key in keys}
        return {"sizes": slide.sizes, "downsamples": slide.downsamples, **words}, []

    @staticmethod
    def _overview(slide: _Source, request: dict[str, Any]) -> tuple[dict[str, Any], list[Pixels]]:
        """The whole slide, each pixel the mean of ``factor`` x ``factor`` of a level."""
        level, factor = int(request["level"]), int(request["factor"])
        width, height = slide.sizes[level]
        out = np.empty((height // factor, width // factor, 3), np.uint8)
        step = max(1, _BLOCK // factor)
        for top in range(0, out.shape[0], step):
            for left in range(0, out.shape[1], step):
                here = out[top : top + step, left : left + step]
                h, w = here.shape[:2]
                block = slide.region(level, left * factor, top * factor, w * factor, h * factor)
                here[:] = block.reshape(h, factor, w, factor, 3).mean((1, 3)).round()
        return {}, [out]

    @staticmethod
    def _tiles(slide: _Source, request: dict[str, Any]) -> tuple[dict[str, Any], list[Pixels]]:
        """(n, size, size, 3): regions of ``side`` pixels of a level, brought to ``size``."""
        level, side, size = (int(request[k]) for k in ("level", "side", "size"))
        out = np.empty((len(request["places"]), size, size, 3), np.uint8)
        for k, (x, y) in enumerate(request["places"]):
            region = slide.region(level, int(x), int(y), side, side)
            if side != size:  # averages where it shrinks, as a coarser scan would
                method = Image.Resampling.BOX if side % size == 0 else Image.Resampling.BICUBIC
                region = np.asarray(Image.fromarray(region).resize((size, size), method))
            out[k] = region
        return {}, [out]


if __name__ == "__main__":
    serve(_Desk().answer)
