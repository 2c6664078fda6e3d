"""Outlines of a mask in one slice, as polygons without holes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray

Ring = NDArray[np.float64]


def outlines(mask: NDArray[np.bool_]) -> list[Ring]:
    """Closed polygons that hold exactly the pixels of a mask.

    They run half way between the centres of pixels inside and outside, so every corner lies on a
    multiple of one half, and a test of pixel centres gives the mask back. A hole is joined to the
    outline around it by a channel of no width (the keyhole of DICOM PS3.3 C.8.8.6.3), which is
    read rightly both by programs that fill each polygon and by those that combine them by XOR.

    Args:
        mask: (I, J).

    Returns:
        For each piece (n, 2) corners in pixels along I and J, the first not repeated.
    """
    padded = np.pad(mask, 1).astype(np.float64)
    generator = contour_generator(z=padded.T, fill_type=FillType.OuterOffset)
    pieces, offsets = cast(tuple[list[Ring], list[Any]], generator.filled(0.5, np.inf))
    rings = []
    for points, starts in zip(pieces, offsets, strict=True):
        outer, *holes = (points[a : b - 1] - 1 for a, b in pairwise(starts))
        rings.append(_without_straight_corners(_joined(outer, holes)))
    return rings


def _joined(ring: Ring, holes: list[Ring]) -> Ring:
    """One ring around all, each hole joined to what lies right of it.

    The rightmost corner of a hole has a whole number along J, and so has the next corner to its
    right, since outlines cross each line of pixel centres at corners only. Holes are taken from
    the right, so that nothing unjoined lies between.
    """
    for hole in sorted(holes, key=lambda h: h[:, 0].max(), reverse=True):
        at = int(hole[:, 0].argmax())
        x, y = hole[at]
        right = np.flatnonzero((ring[:, 1] == y) & (ring[:, 0] > x))
        to = right[ring[right, 0].argmin()]
        turned = np.roll(hole, -at, axis=0)
        ring = np.concatenate([ring[: to + 1], turned, turned[:1], ring[to:]])
    return ring


def _without_straight_corners(ring: Ring) -> Ring:
    """Leave out corners at which the outline goes straight on."""
    before, after = ring - np.roll(ring, 1, 0), np.roll(ring, -1, 0) - ring
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    onwards = (before * after).sum(1) > 0
    kept: Ring = ring[(cross != 0) | ~onwards]
    return kept
