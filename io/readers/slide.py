"""Slides: their levels, an overview, and tiles, read piece by piece in a child process."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers.decoding_child import DecodingChild

# Pictures beside slides are mostly thumbnails of them: .png and .jpg have to be named themselves.
ENDINGS = (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif", ".svslide", ".mrxs")
SLIDES = tuple(e for e in ENDINGS if not e.startswith(".tif"))  # a TIFF may be a plain picture
_CHILD = "mmtool.io.readers.slide_decode"
_PLAUSIBLE = (0.05, 10.0)  # µm a pixel; a TIFF made for print says 353
_SQUARE = 1.05  # ratio of both sides of a pixel
_OVERVIEW = 4096  # pixels of the overview along the longer side at most

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class SlideHeader:
    """What a slide says of itself.

    Attributes:
        path: The file.
        sizes: (width, height) of each level in pixels, from fine to coarse.
        downsamples: Of each level, 1 for the finest.
        mpp: µm a pixel of the finest level.
    """

    path: Path
    sizes: tuple[tuple[int, int], ...]
    downsamples: tuple[float, ...]
    mpp: float


class Slide:
    """An open slide."""

    def __init__(self, child: DecodingChild, header: SlideHeader) -> None:
        self._child, self.header = child, header

    def overview(self, mpp: float) -> tuple[Pixels, float]:
        """The whole slide, small.

        Args:
            mpp: µm a pixel that is wanted; it is coarser where the slide is large.

        Returns:
            (H, W, 3) sRGB and how many pixels of the finest level one of it is.
        """
        head = self.header
        longest = max(head.sizes[0])
        scale = max(1.0, mpp / head.mpp, longest / _OVERVIEW)
        level = max(k for k, d in enumerate(head.downsamples) if d <= scale * 1.01)
        factor = max(1, round(scale / head.downsamples[level]))
        (pixels,) = self._ask("overview", level=level, factor=factor)
        return pixels, factor * head.downsamples[level]

    def tiles(self, places: Sequence[tuple[float, float]], edge: float, size: int) -> Pixels:
        """Square tiles.

        Args:
            places: Left and top of each in pixels of the finest level.
            edge: Their edge in these pixels.
            size: Their edge in pixels of the result.

        Returns:
            (n, size, size, 3) sRGB. They are read from the coarsest level that is fine enough.
        """
        scale = edge / size
        head = self.header
        fine = [k for k, d in enumerate(head.downsamples) if d <= scale * 1.01]
        level = max(fine, default=0)
        down = head.downsamples[level]
        side = max(1, round(edge / down))
        at = [(round(x / down), round(y / down)) for x, y in places]
        (pixels,) = self._ask("tiles", level=level, side=side, size=size, places=at)
        return pixels

    def _ask(self, want: str, **words: Any) -> tuple[Pixels, ...]:
        path = self.header.path
        request = {"path": str(path.resolve()), "want": want, **words}
        return self._child.ask(request, str(path))[1]


@contextmanager
def slide_reader(limits: Limits | None = None) -> Iterator[SlideReader]:
    """A reader for many slides: one child process for all of them."""
    limits = limits or Limits()
    with DecodingChild(_CHILD, limits) as child:
        yield SlideReader(child, limits)


class SlideReader:
    """Opens one slide after the other."""

    def __init__(self, child: DecodingChild, limits: Limits) -> None:
        self._child, self._limits = child, limits

    def open(self, path: Path, mpp: float | None = None) -> Slide:
        """Open a slide.

        Args:
            path: A file that OpenSlide reads, or a small RGB picture (TIFF, PNG, JPEG).
            mpp: µm a pixel of the finest level if the file does not say it.

        Raises:
            InputError: Missing, broken, no slide, or it does not say its µm a pixel.
        """
        if not path.is_file():
            raise InputError(f"{path}: no such file", "check the path")
        size = path.stat().st_size
        if size > self._limits.max_file_bytes:
            raise LimitError(
                f"{path}: {size:,} bytes are more than the limit",
                "raise MMTOOL_MAX_FILE_BYTES if the file is what you expect",
            )
        words = {"path": str(path.resolve()), "want": "header"}
        answer, _ = self._child.ask(words, str(path))
        header = _header(path, answer, mpp)
        width, height = header.sizes[0]
        if width * height > self._limits.max_slide_pixels:
            raise LimitError(
                f"{path}: {width:,} x {height:,} pixels",
                "raise MMTOOL_MAX_SLIDE_PIXELS if the slide is what you expect",
            )
        return Slide(self._child, header)


def _header(path: Path, answer: dict[str, Any], mpp: float | None) -> SlideHeader:
    sizes = tuple((int(w), int(h)) for w, h in answer["sizes"])
    downsamples = tuple(float(d) for d in answer["downsamples"])
    if not sizes or min(min(s) for s in sizes) < 1 or not all(d > 0 for d in downsamples):
        raise InputError(f"{path}: levels without pixels", "the file is damaged")
    return SlideHeader(path, sizes, downsamples, _mpp(path, answer, mpp))


def _mpp(path: Path, answer: dict[str, Any], otherwise: float | None) -> float:
    """µm a pixel as the file says it, if that can be."""
    found = []
    for key in ("mpp-x", "mpp-y"):
        try:
            found.append(float(answer.get(key) or "nan"))
        except ValueError:
            found.append(math.nan)
    low, high = _PLAUSIBLE
    if not all(low <= v <= high for v in found):
        if otherwise is not None:
            return otherwise
        power = str(answer.get("objective-power") or "")
        often = (
            f"; at {power}x it is often {10 / int(power):.2g}" if power.strip("0").isdigit() else ""
        )
        said = "" if math.isnan(found[0]) else f" (it says {found[0]:.4g}, which no scanner has)"
        raise InputError(
            f"{path}: does not say how many µm a pixel is{said}",
            f"give it by --mpp{often}",
        )
    if max(found) > min(found) * _SQUARE:
        raise InputError(f"{path}: pixels are not square", "resample the slide")
    return (found[0] + found[1]) / 2


def find_slides(folder: Path, limits: Limits | None = None) -> list[Path]:
    """Slides in a folder and below, sorted by name.

    Raises:
        InputError: No folder, or two slides of one name.
        LimitError: Too many.
    """
    limits = limits or Limits()
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", "give the folder of the slides")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in ENDINGS or path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in found:
            raise InputError(
                f"{path}: another slide has this name too ({found[path.stem].name})",
                "rename one of them",
            )
        found[path.stem] = path
        if len(found) > limits.max_frames:
            raise LimitError(
                f"{folder}: more than {limits.max_frames:,} slides", "split the folder"
            )
    return [found[name] for name in sorted(found)]


def hash_slide(path: Path) -> str:
    """SHA-256 of a slide's bytes; of a ``.mrxs``, with the files of its folder."""
    folder = path.with_suffix("")
    parts = [path]
    if path.suffix.lower() == ".mrxs" and folder.is_dir():
        parts += sorted(p for p in folder.iterdir() if p.is_file())
    whole = hashlib.sha256()
    for part in parts:
        with part.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
