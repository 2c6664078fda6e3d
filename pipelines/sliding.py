"""Labels of a volume of any size from a network that was made for crops.

Nothing is held for all classes at full resolution: see `mmtool.pipelines.windows` for the rows and
`mmtool.pipelines.file_grid` for the way back. Labels are chosen from interpolated probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mmtool.pipelines.air import air_value
from mmtool.pipelines.file_grid import from_rows
from mmtool.pipelines.voxel_scores import Confidence, best_class, relative_entropy
from mmtool.pipelines.windows import Rows, Size, blended_rows, rolling_axis, tiled_rows
from mmtool.pipelines.world_grid import Steps, WorldGrid, to_grid

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Slid:
    """What :func:`sliding_labels` gives.

    Attributes:
        labels: (I, J, K) uint8 on the grid of the file.
        confidence: Sums of the probability of the chosen label.
        uncertainty: (I, J, K) float16, `relative_entropy` of the classes, if it was asked for.
    """

    labels: NDArray[np.uint8]
    confidence: Confidence
    uncertainty: NDArray[np.float16] | None


def softmax(logits: Tensor) -> Tensor:
    """(C, ...) logits to probabilities."""
    return logits.softmax(0)


def sliding_labels(
    net: Map,
    data: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    spacing: Steps,
    window: Size,
    classes: Sequence[int],
    device: torch.device,
    normalise: Map,
    overlap: float = 0.5,
    weights: Tensor | None = None,
    activate: Map = softmax,
    pad: float = 0.0,
    halo: int | None = None,
    multiple: int = 1,
    batch: int = 4,
    uncertainty: bool = False,
) -> Slid:
    """Label a volume window by window.

    Args:
        net: (B, channels, R, A, S) to (B, C, R, A, S) logits, in inference mode, on ``device``.
        data: (I, J, K) or (channels, I, J, K) intensities, finite.
        affine: (4, 4) voxel to RAS+ mm.
        spacing: Voxel edges of the network's grid, mm; one number, or R, A, S.
        window: Voxels of a window along R, A, S. An image that is smaller is padded evenly on both
            sides, as in MONAI and nnU-Net: it is then one whole pass.
        classes: Label index of each of the C channels, 0 for the background.
        device: Where the network lies.
        normalise: (channels, R, A, S) intensities to what the network was trained on; sees the
            whole image.
        overlap: Share of a window that the next one covers again.
        weights: (R, A, S) weights of a window's voxels; a bell by default.
        activate: (C, ...) blended logits to probabilities.
        pad: Value, after ``normalise``, around an image that is smaller than a window.
        halo: For networks without normalisation by the image: voxels that a voxel depends on.
            Windows then are tiles that are not blended, see `tiled_rows`.
        multiple: With ``halo``: product of the network's strides.
        batch: Windows that a CUDA device is given at a time.
        uncertainty: Give the entropy of the classes too.

    Raises:
        ValueError: The network has another number of classes than ``classes``.
    """
    channels = data if data.ndim == 4 else data[None]
    shape = channels.shape[1:]
    grid = WorldGrid.covering(shape, affine, spacing, multiple)
    image = torch.empty(len(channels), *grid.size)
    for number, channel in enumerate(channels):
        air = air_value(channel)
        image[number] = to_grid(channel, affine, grid, torch.device("cpu"), outside=air)
    image = normalise(image)
    if halo is None:
        image, grid = _padded(image, grid, window, pad)
    axis = rolling_axis(grid.size, window)
    rows: Rows
    if halo is None:
        rows = blended_rows(
            net,
            image,
            window,
            overlap=overlap,
            weights=weights,
            axis=axis,
            device=device,
            batch=batch,
        )
    else:
        rows = tiled_rows(
            net, image, window, halo=halo, multiple=multiple, axis=axis, device=device
        )
    labels = np.zeros(shape, np.uint8, "F")
    doubt = np.zeros(shape, np.float16, "F") if uncertainty else None
    table = torch.tensor(classes, dtype=torch.uint8)
    scores = Confidence()
    active = ((start, activate(_checked(maps, classes))) for start, maps in rows)
    for piece in from_rows(active, grid, shape, affine, axis=axis):
        chosen, best = best_class(piece.values)
        chosen = table[chosen.int()]
        piece.put(labels, affine, chosen)
        if doubt is not None:
            piece.put(doubt, affine, relative_entropy(piece.values))
        scores.add(*piece.own(chosen, best))
    return Slid(labels, scores, doubt)


def _checked(maps: Tensor, classes: Sequence[int]) -> Tensor:
    if len(maps) != len(classes):
        raise ValueError(f"the network gives {len(maps)} classes, {len(classes)} were named")
    return maps


def _padded(image: Tensor, grid: WorldGrid, window: Size, value: float) -> tuple[Tensor, WorldGrid]:
    """At least a window, and its grid."""
    missing = [max(0, w - n) for n, w in zip(grid.size, window, strict=True)]
    if not any(missing):
        return image, grid
    before = [m // 2 for m in missing]
    sides = [n for b, m in zip(before[::-1], missing[::-1], strict=True) for n in (b, m - b)]
    r, a, s = (float(v) for v in grid.centre_of(-np.asarray(before, float)))
    larger = F.pad(image, sides, value=value)
    i, j, k = larger.shape[1:]
    return larger, WorldGrid((r, a, s), grid.spacing, (i, j, k))


def sliding_bytes(
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    *,
    spacing: Steps,
    window: Size,
    classes: int,
    channels: int = 1,
    net_bytes: int = 0,
    uncertainty: bool = False,
) -> int:
    """Peak of the processor's memory that :func:`sliding_labels` needs beside the data.

    Args:
        shape: (I, J, K) of the file.
        affine: (4, 4) of the file.
        spacing: As there.
        window: As there.
        classes: Number of classes.
        channels: Number of input channels.
        net_bytes: Peak of one pass of the network over one window, its answer included.
        uncertainty: As there.
    """
    size = WorldGrid.covering(shape, affine, spacing).size
    size = tuple(max(n, w) for n, w in zip(size, window, strict=True))  # type: ignore[assignment]
    axis = rolling_axis(size, window)
    plane = math.prod(size) // size[axis]
    image = 4 * channels * math.prod(size) * 2  # before and after it is normalised
    slab = 4 * plane * window[axis] * (classes + 1)
    answers = 2 * 4 * classes * math.prod(window)  # of a window of air, and of the one at work
    rows = 4 * classes * plane * 8 * 3
    # Planes of the file: three refined, two mixed, and what is chosen from.
    spread = max(math.prod(shape) // n for n in shape)
    file = 4 * classes * spread * 6
    return (
        image
        + slab
        + answers
        + rows
        + file
        + net_bytes
        + math.prod(shape) * (3 if uncertainty else 1)
    )
