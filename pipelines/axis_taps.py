"""Linear resampling along one axis at a time, for images whose axes run along those of the grid.

A value is a weighted sum of a few neighbours ("taps"). Products and sums are separate operations in
a fixed order, each rounded once as IEEE 754 says: no result depends on how much is done at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_DIGITS = 9  # of a position in voxels: the rest is rounding, and differs between storage orders
_EDGE = 1e-6  # voxels; a sample on the outer face belongs to the volume whatever the rounding


@dataclass(frozen=True)
class AxisTaps:
    """How each of ``n`` outputs is made of inputs along an axis.

    Attributes:
        index: (n, taps) int64 positions of the inputs.
        weight: (n, taps) float32; all zero where an output lies beyond the input.
    """

    index: NDArray[np.int64]
    weight: NDArray[np.float32]

    @classmethod
    def linear(cls, positions: NDArray[np.float64], length: int) -> AxisTaps:
        """Mean of linearly interpolated samples.

        Args:
            positions: (n, samples) input index of every sample of every output.
            length: Number of inputs. Up to half a voxel beyond the outermost their value is
                repeated, further out it is zero.
        """
        positions = positions.round(_DIGITS)
        inside = (positions >= -0.5 - _EDGE) & (positions <= length - 0.5 + _EDGE)
        held = positions.clip(0, length - 1)
        low = np.floor(held).astype(np.int64)
        share = inside / positions.shape[1]
        # The first tap is the same for all samples of an output: equal positions are merged.
        first = low.min(1)
        width = int((low.max(1) - first).max()) + 2
        weight = np.zeros((len(positions), width))
        rows = np.arange(len(positions))
        for sample in range(positions.shape[1]):
            at = low[:, sample] - first
            part = held[:, sample] - low[:, sample]
            weight[rows, at] += (1 - part) * share[:, sample]
            weight[rows, at + 1] += part * share[:, sample]
        index = (first[:, None] + np.arange(width)).clip(0, length - 1)
        used = np.abs(weight).max(0, initial=0) > 1e-9
        used[0] = True
        return cls(index[:, used], weight[:, used].astype(np.float32))

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, start: int, stop: int) -> AxisTaps:
        """Those of some outputs."""
        return AxisTaps(self.index[start:stop], self.weight[start:stop])

    def span(self) -> tuple[int, int]:
        """First input that is needed, and one past the last."""
        return int(self.index.min()), int(self.index.max()) + 1

    def moved(self, shift: int) -> AxisTaps:
        """For inputs of which the first ``shift`` were cut off."""
        return AxisTaps(self.index - shift, self.weight)

    def is_identity(self, length: int) -> bool:
        """Whether every input is its own output."""
        plain = self.index.shape == (length, 1) and bool((self.weight == 1).all())
        return plain and bool((self.index[:, 0] == np.arange(length)).all())

    def apply(self, x: Tensor, dim: int) -> Tensor:
        """Resample ``dim`` of a float tensor; the same tensor where nothing is to be done."""
        if self.is_identity(x.shape[dim]):
            return x
        shape = [1] * x.dim()
        shape[dim] = len(self)
        out: Tensor | None = None
        for tap in range(self.index.shape[1]):
            index = torch.as_tensor(self.index[:, tap], device=x.device)
            weight = torch.as_tensor(self.weight[:, tap], device=x.device).view(shape)
            part = x.index_select(dim, index).mul_(weight)
            out = part if out is None else out.add_(part)
        if out is None:
            raise ValueError("no taps")
        return out
