"""Where on a slide there is tissue, and the tiles that cover it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

OVERVIEW_MPP = 8.0  # µm a pixel of the overview that tissue is looked for on
_BINS = 256
_SATURATION = (0.05, 0.15)  # the threshold lies between these, whatever Otsu finds
_DARK = 0.12  # brightest channel of ink and of what lies outside the glass
_GREEN = 0.02  # as much greener than red and blue: ink, as no stain is
_SMOOTH_UM = 12.0
_SMALLEST_UM2 = 20_000.0  # pieces and holes that are smaller are dust and vessels
_SMALLEST_SHARE = 0.05  # of what is seen: less is not needed to be a piece of a small picture

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def otsu(values: NDArray[np.floating]) -> float:
    """Threshold that parts values in [0, 1] best (https://doi.org/10.1109/TSMC.1979.4310076)."""
    counts, edges = np.histogram(values, _BINS, (0.0, 1.0))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    mass = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = mass[:-1] / below - (mass[-1] - mass[:-1]) / above
    between = np.where((below > 0) & (above > 0), below * above * np.square(gap), -1.0)
    return float(edges[1:-1][between == between.max()].mean())  # the middle of an empty gap


def tissue_mask(overview: NDArray[np.uint8], mpp: float) -> Bools:
    """Find stained tissue.

    Tissue is coloured and glass is grey: Otsu's threshold on the smoothed saturation, kept between
    0.05 and 0.15 since a slide may hold nothing but glass, or nothing but tissue. Ink that is
    black or green is left out; small pieces and small holes are dropped.

    Args:
        overview: (H, W, 3) sRGB.
        mpp: µm a pixel of it.

    Returns:
        (H, W); False everywhere if there is none.
    """
    colour = overview.astype(np.float32) / 255
    soft = np.stack(
        [ndimage.gaussian_filter(colour[..., k], _SMOOTH_UM / mpp / 2) for k in range(3)], -1
    )
    top = soft.max(-1)
    saturation = 1 - soft.min(-1) / np.maximum(top, 1e-3)
    ink = (top < _DARK) | (soft[..., 1] > np.maximum(soft[..., 0], soft[..., 2]) + _GREEN)
    least, most = _SATURATION
    mask = (saturation > min(max(otsu(saturation[~ink]), least), most)) & ~ink
    smallest = min(_SMALLEST_UM2 / mpp**2, _SMALLEST_SHARE * mask.size)
    pieces, small = _small(mask, smallest)
    mask &= ~small[pieces]
    holes, small = _small(~mask, smallest)
    border = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    small[border] = False  # these may go on beyond what is seen
    return np.asarray(mask | small[holes], bool)


def _small(mask: Bools, smallest: float) -> tuple[NDArray[np.int32], Bools]:
    """Number of the piece of each pixel, 0 outside, and for each number whether it is small."""
    pieces, count = ndimage.label(mask)
    small = np.bincount(pieces.ravel(), minlength=count + 1) < smallest
    small[0] = False
    return pieces, small


def tile_places(
    mask: Bools, scale: float, size: tuple[int, int], edge: float, least: float
) -> Floats:
    """Tiles of a grid that hold enough tissue.

    Args:
        mask: (H, W) of the overview.
        scale: Pixels of the finest level in one of the overview.
        size: Width and height of the slide in pixels of the finest level.
        edge: Of a tile in these pixels.
        least: Share of tissue that a tile must hold.

    Returns:
        (N, 2) left and top of each in pixels of the finest level, row by row; tiles that would
        reach beyond the slide are left out.
    """
    columns, rows = (int(length // edge) for length in size)
    if not columns or not rows:
        return np.empty((0, 2))
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    total[1:, 1:] = mask.cumsum(0).cumsum(1)
    x, y = (np.arange(n + 1, dtype=np.float64) * (edge / scale) for n in (columns, rows))
    corner = _between(total, y, x)
    inside = np.diff(np.diff(corner, axis=0), axis=1) / (edge / scale) ** 2
    row, column = np.nonzero(inside >= least)
    return np.asarray(np.stack([column, row], 1) * edge, np.float64)


def _between(total: Floats, y: Floats, x: Floats) -> Floats:
    """A cumulated sum at places between its grid points, (len(y), len(x))."""
    rows, columns = (np.arange(n) for n in total.shape)
    tall = np.stack([np.interp(y, rows, total[:, k]) for k in columns], 1)
    return np.asarray([np.interp(x, columns, row) for row in tall], np.float64)
