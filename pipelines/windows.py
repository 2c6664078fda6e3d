"""A network applied window by window, its answers blended and handed on row by row.

Only a slab as thick as one window is ever held for all classes: the rows that no later window
touches leave it. Windows have the size that the model was made with and come in a fixed order, so
that no result depends on memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import torch
from torch import Tensor, nn

Size = tuple[int, int, int]
Rows = Iterator[tuple[int, Tensor]]
_ROWS = 8  # handed on at a time: bounds the memory of what is computed of them, any value is right


def gaussian_weights(window: Size, sigma: float = 0.125) -> Tensor:
    """(R, A, S) float32 weights of the voxels of a window, as MONAI's and nnU-Net's blending has.

    Args:
        window: Voxels along each axis.
        sigma: Width of the bell as a share of the window. No weight is below 0.001.
    """
    weights = torch.ones(1)
    for length in window:
        x = torch.arange(-(length - 1) / 2, (length - 1) / 2 + 1, dtype=torch.float32)
        bell = torch.exp(x**2 / (-2 * (sigma * length) ** 2))
        weights = weights[..., None] * bell
    return weights[0].clamp_min_(max(float(weights.min()), 1e-3))


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """First voxels of windows that cover ``length`` and overlap by a share of their size."""
    step = max(1, int(window * (1 - overlap)))
    starts = range(0, max(0, length - window) + step, step)
    return sorted({min(start, max(0, length - window)) for start in starts})


def rolling_axis(size: Sequence[int], window: Sequence[int]) -> int:
    """The axis across which a slab of one window is smallest; the first of several."""
    return min((0, 1, 2), key=lambda axis: math.prod(size) // size[axis] * window[axis])


def blended_rows(
    net: Callable[[Tensor], Tensor],
    image: Tensor,
    window: Size,
    *,
    overlap: float = 0.5,
    weights: Tensor | None = None,
    axis: int | None = None,
    device: torch.device | None = None,
    batch: int = 4,
) -> Rows:
    """Weighted mean of the answers of overlapping windows.

    A window whose channels are constant (air) is computed once for each value; what is kept of it
    is the very answer that it would give again.

    Args:
        net: (B, channels, R, A, S) to (B, C, R, A, S), in inference mode.
        image: (channels, R, A, S) float32 on the processor, no axis shorter than the window's.
        window: Voxels along each axis: that of the model, whatever the memory.
        overlap: Share of a window that the next one covers again, 0 to below 1.
        weights: (R, A, S) positive weights of a window's voxels; a bell by default.
        axis: Spatial axis along which rows are given, by default the one that needs least memory.
        device: Where the network lies; the processor by default.
        batch: Windows that a CUDA device is given at a time. A processor is given one, which is as
            fast and keeps rounding from depending on it.

    Yields:
        First row and (C, R, A, S) float32, complete but along ``axis``, in order, without gaps.

    Raises:
        ValueError: The image is smaller than a window, or the overlap is no share.
    """
    size = tuple(image.shape[1:])
    if any(n < w for n, w in zip(size, window, strict=True)):
        raise ValueError(f"an image of {size} voxels is smaller than a window of {window}")
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap is {overlap}, not in [0, 1)")
    axis = rolling_axis(size, window) if axis is None else axis
    runner = _Runner(net, device or torch.device("cpu"), batch)
    bell = gaussian_weights(window) if weights is None else weights.float()
    starts = [window_starts(n, w, overlap) for n, w in zip(size, window, strict=True)]
    slab = _Slab(size, window, axis)
    ends = [*starts[axis][1:], size[axis]]
    for start, stop in zip(starts[axis], ends, strict=True):
        here = [([start] if a == axis else starts[a]) for a in range(3)]
        for corner, answer in runner.answers(image, list(product(*here)), window):
            slab.add(corner, answer, bell)
        yield from slab.finished(start, stop)


class _Slab:
    """Sums of all classes over the rows that windows still touch."""

    def __init__(self, size: Sequence[int], window: Size, axis: int) -> None:
        self.shape = [window[a] if a == axis else size[a] for a in range(3)]
        self.window = window
        self.axis = axis
        self.sums: Tensor | None = None
        self.weights = torch.zeros(self.shape)

    def add(self, corner: Sequence[int], answer: Tensor, bell: Tensor) -> None:
        """Add the (C, ...) answer of a window whose first row is the slab's."""
        if self.sums is None:
            self.sums = torch.zeros(len(answer), *self.shape)
        spot = tuple(
            slice(0 if a == self.axis else c, (0 if a == self.axis else c) + w)
            for a, (c, w) in enumerate(zip(corner, self.window, strict=True))
        )
        for channel, values in enumerate(answer):
            self.sums[channel][spot] += values * bell
        self.weights[spot] += bell

    def finished(self, start: int, stop: int) -> Rows:
        """Hand on rows ``start`` to ``stop``; the rest moves to the front."""
        if self.sums is None:
            raise ValueError("nothing was added")
        count = stop - start
        for row in range(0, count, _ROWS):
            many = min(_ROWS, count - row)
            total = self.sums.narrow(self.axis + 1, row, many)
            yield start + row, total / self.weights.narrow(self.axis, row, many)
        kept = max(0, self.window[self.axis] - count)
        for sums in (*self.sums, self.weights):
            rest = sums.narrow(self.axis, count, kept).clone() if kept else None
            sums.zero_()
            if rest is not None:
                sums.narrow(self.axis, 0, kept).copy_(rest)


class _Runner:
    """Gives windows to the network and remembers its answers to empty ones."""

    def __init__(self, net: Callable[[Tensor], Tensor], device: torch.device, batch: int) -> None:
        self.net = net
        self.device = device
        self.batch = max(1, batch) if device.type == "cuda" else 1
        self.layout = _layout(net)
        self.empty: dict[tuple[float, ...], Tensor] = {}

    def answers(
        self, image: Tensor, corners: Sequence[Sequence[int]], window: Size
    ) -> Iterator[tuple[Sequence[int], Tensor]]:
        """(C, ...) float32 answers on the processor, in the order of the corners."""
        for first in range(0, len(corners), self.batch):
            some = corners[first : first + self.batch]
            parts = [image[(slice(None), *_spot(corner, window))] for corner in some]
            keys = [_constant(part) for part in parts]
            new = [n for n, key in enumerate(keys) if key is None or key not in self.empty]
            given: dict[int, Tensor] = {}
            if new:
                given = dict(zip(new, self.run(torch.stack([parts[n] for n in new])), strict=True))
            for number, (corner, key) in enumerate(zip(some, keys, strict=True)):
                answer = given[number] if number in given else self.empty[key or ()]
                if key is not None and key not in self.empty:
                    self.empty = {key: answer.clone()}  # one value of air is all there is
                yield corner, answer

    @torch.inference_mode()
    def run(self, x: Tensor) -> Tensor:
        """(B, channels, ...) to (B, C, ...) float32 on the processor."""
        moved = x.to(self.device).contiguous(memory_format=self.layout)
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            out = self.net(moved)
        return out.float().cpu()


def _spot(corner: Sequence[int], window: Size) -> tuple[slice, ...]:
    return tuple(slice(c, c + w) for c, w in zip(corner, window, strict=True))


def _constant(part: Tensor) -> tuple[float, ...] | None:
    """Value of each channel where none varies."""
    low, high = part.flatten(1).amin(1), part.flatten(1).amax(1)
    return tuple(low.tolist()) if bool((low == high).all()) else None


def _layout(net: Callable[[Tensor], Tensor]) -> torch.memory_format:
    """The memory layout that the network's kernels were put into."""
    for weight in net.parameters() if isinstance(net, nn.Module) else ():
        last = torch.channels_last_3d
        if weight.dim() == 5 and weight.is_contiguous(memory_format=last):
            return torch.contiguous_format if weight.is_contiguous() else last
    return torch.contiguous_format


def tiled_rows(
    net: Callable[[Tensor], Tensor],
    image: Tensor,
    tile: Size,
    *,
    halo: int,
    multiple: int = 1,
    axis: int | None = None,
    device: torch.device | None = None,
) -> Rows:
    """Tiles of a purely convolutional network, each seen with all that its voxels depend on.

    The answer is that of one pass over the whole image, whatever the tile, if the network pads its
    convolutions and normalises by nothing that it measures in the image (no instance, group or
    layer norm): e.g. MeshNet (Fedorov et al. 2017, 10.1109/IJCNN.2017.7966333).

    Args:
        net: (1, channels, R, A, S) to (1, C, R, A, S), in inference mode.
        image: (channels, R, A, S) float32 on the processor.
        tile: Voxels of a tile without its halo; rounded up to ``multiple``.
        halo: Voxels around one that its answer depends on: the sum over layers of
            ``dilation * (kernel - 1) / 2``, times the stride so far.
        multiple: Product of the network's strides.
        axis: Spatial axis along which rows are given, by default the one that needs least memory.
        device: Where the network lies; the processor by default.

    Yields:
        As :func:`blended_rows`.
    """
    size = tuple(image.shape[1:])
    tile = tuple(-(-t // multiple) * multiple for t in tile)  # type: ignore[assignment]
    halo = -(-halo // multiple) * multiple
    axis = rolling_axis(size, tile) if axis is None else axis
    runner = _Runner(net, device or torch.device("cpu"), 1)
    across = [range(0, n, t) for n, t in zip(size, tile, strict=True)]
    for start in across[axis]:
        stop = min(start + tile[axis], size[axis])
        out: Tensor | None = None
        here = [(range(start, stop, tile[a]) if a == axis else across[a]) for a in range(3)]
        for corner in product(*here):
            low = [max(0, c - halo) for c in corner]
            ends = [min(n, c + t) for n, c, t in zip(size, corner, tile, strict=True)]
            seen = [slice(a, min(n, e + halo)) for a, n, e in zip(low, size, ends, strict=True)]
            answer = runner.run(image[(slice(None), *seen)][None])[0]
            if out is None:
                shape = [stop - start if a == axis else size[a] for a in range(3)]
                out = torch.empty(len(answer), *shape)
            core = [slice(c - a, e - a) for c, a, e in zip(corner, low, ends, strict=True)]
            spot = [slice(c, e) for c, e in zip(corner, ends, strict=True)]
            spot[axis] = slice(0, stop - start)
            out[(slice(None), *spot)] = answer[(slice(None), *core)]
        if out is not None:
            for row in range(0, stop - start, _ROWS):
                yield start + row, out.narrow(axis + 1, row, min(_ROWS, stop - start - row))
