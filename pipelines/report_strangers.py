"""Made images that are no radiological ones: the gate is trained and tested on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmtool.retrieval import Picture

Grey = NDArray[np.float32]
_SIDE = 192


def _noise(rng: np.random.Generator) -> Grey:
    return np.asarray(rng.random((_SIDE, _SIDE)), np.float32)


def _clouds(rng: np.random.Generator) -> Grey:
    """Smooth noise of a random scale."""
    soft = ndimage.gaussian_filter(rng.standard_normal((_SIDE, _SIDE)), rng.uniform(2, 24))
    return _scaled(soft)


def _gradient(rng: np.random.Generator) -> Grey:
    y, x = np.mgrid[:_SIDE, :_SIDE] / _SIDE
    turn = rng.uniform(0, 2 * np.pi)
    return _scaled(np.cos(turn) * x + np.sin(turn) * y)


def _page(rng: np.random.Generator) -> Grey:
    """Dark words in lines on white, as of a scanned document."""
    page = np.full((_SIDE, _SIDE), rng.uniform(0.85, 1), np.float32)
    step = int(rng.integers(6, 14))
    for top in range(step, _SIDE - step, step):
        left = int(rng.integers(8, 24))
        while left < _SIDE - 16:
            width = int(rng.integers(4, 24))
            word = rng.random((step // 2, width)) < 0.55
            page[top : top + step // 2, left : left + width][word[:, : _SIDE - left]] = 0.1
            left += width + int(rng.integers(3, 6))
    return page


def _drawing(rng: np.random.Generator) -> Grey:
    """A few thin outlines on a plain ground."""
    y, x = np.mgrid[:_SIDE, :_SIDE] / _SIDE
    sheet = np.ones((_SIDE, _SIDE), np.float32)
    for _ in range(int(rng.integers(3, 12))):
        cx, cy, rx, ry = rng.uniform((0.1, 0.1, 0.05, 0.05), (0.9, 0.9, 0.4, 0.4))
        ring = np.abs(np.hypot((x - cx) / rx, (y - cy) / ry) - 1)
        sheet[ring < 0.02 / min(rx, ry)] = 0.1
    return sheet if rng.random() < 0.5 else 1 - sheet


def _scene(rng: np.random.Generator) -> Grey:
    """Discs that cover each other, which have the statistics of photographs."""
    y, x = np.mgrid[:_SIDE, :_SIDE]
    scene = np.full((_SIDE, _SIDE), rng.random(), np.float32)
    for radius in np.sort(rng.pareto(1.5, 150) * 6 + 3)[::-1]:
        cx, cy = rng.uniform(0, _SIDE, 2)
        inside = np.hypot(x - cx, y - cy) < min(radius, _SIDE)
        scene[inside] = rng.random() + rng.normal(0, 0.04, int(inside.sum()))
    return np.asarray(scene.clip(0, 1), np.float32)


def _stripes(rng: np.random.Generator) -> Grey:
    y, x = np.mgrid[:_SIDE, :_SIDE] / _SIDE
    turn, count = rng.uniform(0, np.pi), rng.uniform(2, 30)
    wave = np.sin(2 * np.pi * count * (np.cos(turn) * x + np.sin(turn) * y))
    return _scaled(np.sign(wave) if rng.random() < 0.5 else wave)


STRANGERS: dict[str, Callable[[np.random.Generator], Grey]] = {
    "noise": _noise,
    "clouds": _clouds,
    "gradient": _gradient,
    "page": _page,
    "drawing": _drawing,
    "scene": _scene,
    "stripes": _stripes,
}


def stranger(kind: str, seed: int) -> Picture:
    """A made picture.

    Args:
        kind: A key of `STRANGERS`.
        seed: The same seed gives the same picture.
    """
    rng = np.random.default_rng((sorted(STRANGERS).index(kind), seed))
    return Picture(STRANGERS[kind](rng)[None])


def _scaled(values: NDArray[np.floating]) -> Grey:
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) / max(high - low, 1e-9), np.float32)
