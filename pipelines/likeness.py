"""Is a scan like those that a model was trained on? Grid, field of view, shape of the histogram.

Only what doesn't depend on the unit of the intensities is compared, so that the gain of a scanner
raises no alarm. A scan inside all ranges may still be unlike the training data in other ways.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import ModelError

KEY = "training_ranges"  # in card.json or config.json of a model
_MOST_VOXELS = 2_000_000  # looked at; more tell no more
_LENGTHS = {
    "finest_mm": ("a voxel edge of {v:.3g} mm, the shortest,", "finer", "coarser"),
    "coarsest_mm": ("a voxel edge of {v:.3g} mm, the longest,", "finer", "coarser"),
    "shortest_extent_mm": ("a field of view of {v:.0f} mm at its narrowest", "smaller", "larger"),
    "longest_extent_mm": ("a field of view of {v:.0f} mm at its widest", "smaller", "larger"),
}
_SHAPES = {
    "lower_quartile": "lower quartile",
    "median": "median",
    "upper_quartile": "upper quartile",
    "bright_tail": "bright tail",
    "roughness": "roughness",
}
_BACKGROUND = 0.1  # share of voxels of one value from which on it is no tissue
_SLACK = 0.25  # share of the span by which ranges are widened beyond what was seen
_LEAST_SLACK = 0.05  # of the range of intensities
_LENGTH_SLACK = 1.1


def scan_features(data: NDArray[Any], affine: NDArray[np.float64]) -> dict[str, float]:
    """What is compared.

    Args:
        data: (I, J, K) intensities; what is not finite is left out.
        affine: (4, 4) voxel to RAS+ mm.

    Returns:
        ``finest_mm`` and ``coarsest_mm`` voxel edge; ``shortest_extent_mm`` and
        ``longest_extent_mm`` of the array; and, without a constant background, as shares of the
        range from the 1st to the 99th percentile: ``lower_quartile``, ``median``,
        ``upper_quartile``, ``bright_tail`` (how far the 99.9th percentile lies above the 99th) and
        ``roughness`` (median step between neighbours along the finest axis).
    """
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    extents = steps * data.shape
    axis = int(steps.argmin())
    sample = np.moveaxis(data, axis, -1)
    stride = max(1, math.ceil(math.sqrt(data.size / _MOST_VOXELS)))
    sample = np.asarray(sample[::stride, ::stride], np.float64)
    values = _without_background(sample[np.isfinite(sample)])
    low, lower, median, upper, high, top = np.percentile(values, (1, 25, 50, 75, 99, 99.9))
    span = float(high - low) or 1.0
    jumps = np.abs(np.diff(sample, axis=-1))
    jumps = jumps[np.isfinite(jumps)]
    return {
        "finest_mm": float(steps.min()),
        "coarsest_mm": float(steps.max()),
        "shortest_extent_mm": float(extents.min()),
        "longest_extent_mm": float(extents.max()),
        "lower_quartile": float(lower - low) / span,
        "median": float(median - low) / span,
        "upper_quartile": float(upper - low) / span,
        "bright_tail": float(top - high) / span,
        "roughness": (float(np.median(jumps)) if jumps.size else 0.0) / span,
    }


def _without_background(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values other than the one that fills much of the scan, as air does around a stripped head."""
    if not values.size:
        return np.zeros(1)
    found, counts = np.unique(values, return_counts=True)
    most = int(counts.argmax())
    if len(found) < 3 or counts[most] < _BACKGROUND * values.size:
        return values
    kept: NDArray[np.float64] = values[values != found[most]]
    return kept


def training_ranges(
    volumes: Iterable[tuple[NDArray[Any], NDArray[np.float64]]],
) -> dict[str, Any]:
    """Ranges of :func:`scan_features` over training scans, for a model's card.

    Args:
        volumes: (I, J, K) data, or (C, I, J, K), with (4, 4) affine. Channels are pooled.

    Returns:
        ``scans`` (their number), and each feature with ``[low, high]``: what was seen, widened by
        a quarter of the span (lengths: by a tenth).

    Raises:
        ValueError: There is no volume.
    """
    seen = [[scan_features(c, affine) for c in _channels(data)] for data, affine in volumes]
    if not seen:
        raise ValueError("no volume to take ranges from")
    return widened([features for scan in seen for features in scan]) | {"scans": len(seen)}


def widened(every: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Ranges of the features of scans; see :func:`training_ranges`."""
    ranges: dict[str, Any] = {"scans": len(every)}
    for name in (*_LENGTHS, *_SHAPES):
        low, high = (f(x[name] for x in every) for f in (min, max))
        if name in _LENGTHS:
            low, high = low / _LENGTH_SLACK, high * _LENGTH_SLACK
        else:
            slack = max(_SLACK * (high - low), _LEAST_SLACK)
            low, high = low - slack, high + slack
        ranges[name] = [round(low, 4), round(high, 4)]
    return ranges


def ranges_of(card: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """The ranges of a model; empty if it has none. Features not known here are passed over.

    Raises:
        ModelError: They are not pairs of numbers.
    """
    raw = card.get(KEY) or config.get(KEY) or {}
    ranges = {}
    for name in (*_LENGTHS, *_SHAPES):
        if not isinstance(raw, Mapping):
            raise _malformed()
        if name in raw:
            ranges[name] = _pair(raw[name])
    return ranges


def unlike_training(
    data: NDArray[Any],
    affine: NDArray[np.float64],
    ranges: Mapping[str, tuple[float, float]],
) -> list[str]:
    """Plain sentences on what lies outside the ranges; none if all is like the training data.

    Args:
        data: (I, J, K) intensities, or (C, I, J, K).
        affine: (4, 4) voxel to RAS+ mm.
        ranges: Of :func:`ranges_of`.
    """
    sentences: dict[str, None] = {}
    channels = _channels(data)
    for number, channel in enumerate(channels, start=1):
        features = scan_features(channel, affine)
        lengths = [_length_sentence(n, features[n], ranges[n]) for n in _LENGTHS if n in ranges]
        sentences |= dict.fromkeys(s for s in lengths if s)
        outside = [
            f"{words} at {features[n]:.2f}, in training {ranges[n][0]:.2f} to {ranges[n][1]:.2f}"
            for n, words in _SHAPES.items()
            if n in ranges and _side(features[n], ranges[n])
        ]
        if outside:
            which = f" of image {number}" if len(channels) > 1 else ""
            sentences[
                f"the intensities{which} are spread unlike those of the training scans "
                f"({'; '.join(outside)}; as shares of their range)"
            ] = None
    return list(sentences)


def _length_sentence(name: str, value: float, bounds: tuple[float, float]) -> str:
    words, less, more = _LENGTHS[name]
    side = _side(value, bounds)
    if not side:
        return ""
    start = f"{words.format(v=value)} is {less if side < 0 else more} than"
    return f"{start} in training ({bounds[0]:.3g} to {bounds[1]:.3g} mm)"


def _side(value: float, bounds: tuple[float, float]) -> int:
    """-1 below, 1 above, 0 within."""
    return int(value > bounds[1]) - int(value < bounds[0])


def _channels(data: NDArray[Any]) -> list[NDArray[Any]]:
    return list(data) if data.ndim == 4 else [data]


def _pair(value: Any) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        raise _malformed() from None
    if not low <= high:
        raise _malformed()
    return low, high


def _malformed() -> ModelError:
    return ModelError(
        f"the model's '{KEY}' are not pairs of low and high", "see docs/models.md for their form"
    )
