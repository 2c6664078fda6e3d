"""Slides as pictures: the whole, small, and regions of it at the magnification of an index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import UsageError
from mmtool.io.readers.slide import Slide
from mmtool.pipelines.slide_tissue import OVERVIEW_MPP
from mmtool.retrieval import Box, Picture

MPP = 0.5  # µm a pixel of a slide that doesn't say it
TILE_PIXELS = 256  # along an edge of a region
_OVERVIEW = 1024  # pixels of its longer side
_FEWEST = 16  # pixels of a region


def overview_picture(overview: NDArray[np.uint8]) -> Picture:
    """The whole slide, of (H, W, 3) sRGB."""
    step = max(1, max(overview.shape) // _OVERVIEW)
    return slide_picture(overview[::step, ::step])


def slide_picture(pixels: NDArray[np.uint8]) -> Picture:
    """(H, W, 3) sRGB as a picture of a slide."""
    grey = np.asarray(pixels[None] / np.float32(255), np.float32)
    return Picture(grey, facts={"modality": "SM"})


def whole_slide(slide: Slide) -> Picture:
    """The whole slide, as an index has it."""
    return overview_picture(slide.overview(OVERVIEW_MPP)[0])


def slide_region(slide: Slide, roi: Box) -> Picture:
    """A part of a slide.

    Args:
        slide: Open.
        roi: x, y, width, height in pixels of the finest level, or as shares.

    Raises:
        UsageError: It is not within the slide.
    """
    wide, high = slide.header.sizes[0]
    x, y, w, h = roi
    if max(roi) <= 1:
        x, w, y, h = x * wide, w * wide, y * high, h * high
    if x + w > wide + 0.5 or y + h > high + 0.5 or min(w, h) < _FEWEST:
        raise UsageError(
            f"--roi: not within the slide of {wide} x {high}, or less than {_FEWEST} pixels of it",
            "x,y,w,h in pixels of the finest level, or as shares",
        )
    edge = max(w, h)
    (square,) = slide.tiles([(x, y)], edge, TILE_PIXELS)
    scale = TILE_PIXELS / edge
    return slide_picture(square[: max(1, round(h * scale)), : max(1, round(w * scale))])
