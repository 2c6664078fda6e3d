"""From maps on a model's working grid to labels on the grid of the file, slab by slab.

The maps of all classes are never held at the file's resolution: a slab of the file is interpolated,
its class chosen, and only label, probability and doubt are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.pipelines.segmenter import Segmented
from mmtool.pipelines.voxel_scores import relative_entropy

_SLAB_VALUES = 8_000_000  # float32 interpolated at a time; bounds memory, any value is right
_SLAB_COPIES = 7  # of a slab at once: interpolated, probabilities, what entropy is made of
_STRAIGHT = 1e-4  # voxels over the whole volume by which axes may fail to run along each other

NOTHING = "the model found none of its structures; it cannot tell whether the scan is of its kind"


@dataclass(frozen=True)
class Chosen:
    """What was chosen in a block of voxels.

    Attributes:
        labels: (...) uint8, 0 for background.
        probability: (...) float32 of the chosen class.
        doubt: (...) float32, relative entropy of the classes.
    """

    labels: Tensor
    probability: Tensor
    doubt: Tensor

    def stacked(self) -> Tensor:
        """(3, ...) float32."""
        return torch.stack([self.labels.float(), self.probability, self.doubt])


Choose = Callable[[Tensor], Chosen]
Kept = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]


def choose_class(table: tuple[int, ...], *, logits: bool) -> Choose:
    """The class of highest probability; ``table`` gives the label of each class."""

    def choose(values: Tensor) -> Chosen:
        probabilities = values.softmax(0) if logits else values
        # Of the values as they are: softmax can make equal what was not.
        best = values.argmax(0)
        labels = torch.tensor(table, dtype=torch.uint8, device=values.device)[best]
        probability = probabilities.gather(0, best[None])[0].float()
        return Chosen(labels, probability, relative_entropy(probabilities.float().clamp_min(0)))

    return choose


def choose_regions(table: tuple[int, ...], *, logits: bool, threshold: float = 0.5) -> Choose:
    """Regions that may overlap: each is laid over those before it where it is likely enough."""

    def choose(values: Tensor) -> Chosen:
        probabilities = (values.sigmoid() if logits else values).float()
        labels = torch.zeros(values.shape[1:], dtype=torch.uint8, device=values.device)
        probability = 1 - probabilities.amax(0)
        for region, index in zip(probabilities, table, strict=True):
            inside = region > threshold
            labels[inside] = index
            probability = torch.where(inside, region, probability)
        nearest = (probabilities - 0.5).abs().argmin(0, keepdim=True)
        unsure = probabilities.gather(0, nearest)[0].clamp(0, 1)
        return Chosen(labels, probability, relative_entropy(torch.stack([unsure, 1 - unsure])))

    return choose


def choose_given(values: Tensor) -> Chosen:
    """What was chosen already, see `Chosen.stacked`."""
    return Chosen(values[0].round().to(torch.uint8), values[1], values[2])


@dataclass(frozen=True)
class AxisMap:
    """Where the voxels of a file lie on a working grid whose axes run along the file's.

    Attributes:
        order: File axis that runs along each working axis.
        positions: For each working axis the working coordinate of each file voxel along it.
    """

    order: tuple[int, int, int]
    positions: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

    @classmethod
    def between(
        cls,
        shape: tuple[int, int, int],
        affine: NDArray[np.float64],
        working: NDArray[np.float64],
    ) -> AxisMap:
        """Map from the voxels of a file to those of a working grid.

        Args:
            shape: (I, J, K) of the file.
            affine: (4, 4) of the file, voxel to mm.
            working: (4, 4) of the working grid, voxel to the same mm.

        Raises:
            ValueError: The axes do not run along each other.
        """
        matrix = np.linalg.inv(working) @ affine
        size = np.abs(matrix[:3, :3]) * np.asarray(shape)
        order = size.argmax(1)
        rest = size.copy()
        rest[np.arange(3), order] = 0
        if len(set(order.tolist())) != 3 or rest.max() > max(_STRAIGHT, 1e-5 * size.max()):
            raise ValueError("axes do not run along each other")
        first, second, third = (
            matrix[axis, along] * np.arange(shape[along]) + matrix[axis, 3]
            for axis, along in enumerate(order)
        )
        return cls((int(order[0]), int(order[1]), int(order[2])), (first, second, third))

    def slabs(
        self, maps: Tensor, nearest: tuple[bool, bool, bool]
    ) -> Iterator[tuple[slice, Tensor]]:
        """Values of (C, X, Y, Z) maps at the file's voxels, in working order of axes.

        Beyond the middle of the outermost voxels the outermost value holds.

        Args:
            maps: On the working grid.
            nearest: For each axis whether to take the nearest value instead of interpolating.

        Yields:
            Rows of the first axis and their (C, rows, J', K') values.
        """
        first, second, third = self.positions
        rows = max(1, _SLAB_VALUES // (maps.shape[0] * len(second) * len(third)))
        for start in range(0, len(first), rows):
            part = slice(start, min(len(first), start + rows))
            values = _along(maps, 1, first[part], nearest[0])
            values = _along(values, 2, second, nearest[1])
            yield part, _along(values, 3, third, nearest[2])

    def inside(self, size: tuple[int, ...]) -> Kept:
        """For each working axis which file voxels lie on the working grid of ``size``."""
        first, second, third = (
            (p > -0.5) & (p < n - 0.5) for p, n in zip(self.positions, size, strict=True)
        )
        return first, second, third

    def to_file(self, values: NDArray[Any]) -> NDArray[Any]:
        """From working order of axes to the file's."""
        return np.ascontiguousarray(values.transpose(np.argsort(self.order)))


def _along(values: Tensor, axis: int, positions: NDArray[np.float64], nearest: bool) -> Tensor:
    """Values at positions along one axis."""
    last = values.shape[axis] - 1
    place = np.clip(positions, 0, last)
    if nearest:
        index = torch.as_tensor(np.floor(place + 0.5).astype(np.int64), device=values.device)
        return values.index_select(axis, index)
    low = np.minimum(np.floor(place).astype(np.int64), max(0, last - 1))
    share = torch.as_tensor((place - low).astype(np.float32), device=values.device)
    lower = torch.as_tensor(low, device=values.device)
    if not bool(share.any()):
        return values.index_select(axis, lower)
    shape = [1] * values.dim()
    shape[axis] = -1
    upper = values.index_select(axis, (lower + 1).clamp_max(last))
    return torch.lerp(values.index_select(axis, lower), upper, share.view(shape))


def decide(
    maps: Tensor,
    grid: AxisMap,
    choose: Choose,
    *,
    nearest: tuple[bool, bool, bool] = (False, False, False),
    kept: Kept | None = None,
) -> Chosen:
    """Choose the label of every voxel of a file.

    Args:
        maps: (C, X, Y, Z) on the working grid.
        grid: Where the file's voxels lie on it.
        choose: From (C, ...) values to what is chosen.
        nearest: For each axis whether to take the nearest value instead of interpolating.
        kept: For each axis which voxels the model has seen; the others are background.

    Returns:
        Tensors on the processor, in working order of axes.
    """
    shape = tuple(len(p) for p in grid.positions)
    labels = torch.zeros(shape, dtype=torch.uint8)
    probability, doubt = torch.ones(shape), torch.zeros(shape)
    seen = None if kept is None else [torch.from_numpy(m) for m in kept]
    for part, values in grid.slabs(maps, nearest):
        chosen = choose(values)
        keep = torch.ones(labels[part].shape, dtype=torch.bool)
        if seen is not None:
            keep = seen[0][part, None, None] & seen[1][:, None] & seen[2]
        labels[part] = chosen.labels.cpu() * keep
        probability[part] = torch.where(keep, chosen.probability.cpu(), 1.0)
        doubt[part] = torch.where(keep, chosen.doubt.cpu(), 0.0)
    return Chosen(labels, probability, doubt)


def decide_bytes(shape: Sequence[int], classes: int) -> int:
    """Peak of what :func:`decide` and :func:`segmented` hold beside the maps, bytes.

    Args:
        shape: (I, J, K) of the file.
        classes: Of the maps.
    """
    voxels = math.prod(shape)
    row = classes * voxels // max(shape)
    slab = 4 * _SLAB_COPIES * max(row, min(_SLAB_VALUES, classes * voxels))
    chosen = 9 * voxels  # a label of 8 bits, probability and doubt of 32
    return chosen + max(slab, chosen)  # they are copied into the file's order of axes


def segmented(
    labels: NDArray[np.uint8],
    probability: NDArray[np.floating[Any]],
    doubt: NDArray[np.floating[Any]] | None,
    *,
    notes: tuple[str, ...] = (),
) -> Segmented:
    """What is handed on, with the mean probability of each label.

    An outside model that labels nothing is believed: that a scan shows no tumour is an answer.

    Args:
        labels: (I, J, K) label indices.
        probability: (I, J, K) probability of the chosen label.
        doubt: (I, J, K) relative entropy if it was asked for.
        notes: For the user.
    """
    count, score = np.zeros(256, np.int64), np.zeros(256)
    for part, weights in zip(labels, probability, strict=True):  # bincount widens what it is given
        count += np.bincount(part.ravel(), minlength=256)
        score += np.bincount(part.ravel(), weights.ravel(), 256)
    confidence = {int(i): float(score[i] / count[i]) for i in np.flatnonzero(count) if i}
    certainty = float(score[1:].sum() / max(1, count[1:].sum()))
    return Segmented(
        labels,
        True,
        confidence,
        certainty,
        uncertainty=None if doubt is None else doubt.astype(np.float16),
        notes=notes if confidence else (*notes, NOTHING),
    )
