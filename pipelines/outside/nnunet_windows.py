"""Windows, mirror images and folds of nnU-Net."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

Net = Callable[[Tensor], Tensor]

_STEP = 0.5  # of a window
_SIGMA = 1 / 8  # of a window
_PEAK = 10.0  # of the weights; with the rounding to float16 it decides on the smallest


@torch.inference_mode()
def ensemble_logits(
    nets: Sequence[nn.Module],
    image: Tensor,
    patch: Sequence[int],
    mirrored: Sequence[int],
    device: torch.device,
) -> Tensor:
    """Mean logits of several networks.

    Args:
        nets: On any device; each is moved to ``device`` while it works.
        image: (C, X, Y, Z) float32.
        patch: Voxels of a window.
        mirrored: Axes, 0 to 2, along which mirror images are averaged too.
        device: Where to work.

    Returns:
        (classes, X, Y, Z) float32 on the processor.
    """
    padded, inner = _padded(image, patch)
    weight = _weights(tuple(patch)).to(device)
    total: Tensor | None = None
    for net in nets:
        net.to(device)
        logits = _one(net, padded, patch, mirrored, weight)
        if device.type != "cpu":
            net.cpu()
        total = logits if total is None else total.add_(logits)
    if total is None:
        raise ValueError("no network")
    return total.div_(len(nets))[(slice(None), *inner)].contiguous()


def _one(
    net: Net, image: Tensor, patch: Sequence[int], mirrored: Sequence[int], weight: Tensor
) -> Tensor:
    total: Tensor | None = None
    count = torch.zeros(image.shape[1:])
    for window in windows(image.shape[1:], patch):
        part = (slice(None), *window)
        logits = _mirrored(net, image[part][None].to(weight.device), mirrored)[0] * weight
        if total is None:
            total = torch.zeros(logits.shape[0], *image.shape[1:])
        total[part] += logits.float().cpu()
        count[window] += weight.cpu()
    if total is None:
        raise ValueError("no window")
    return total.div_(count)


def _mirrored(net: Net, image: Tensor, axes: Sequence[int]) -> Tensor:
    """Mean over all mirror images."""
    total = net(image)
    several = [c for n in range(len(axes)) for c in itertools.combinations(axes, n + 1)]
    for some in several:
        turned = [a + 2 for a in some]
        total = total + net(image.flip(turned)).flip(turned)
    return total / (1 + len(several))


def windows(size: Sequence[int], patch: Sequence[int]) -> Iterator[tuple[slice, slice, slice]]:
    """Windows that overlap by half at least, spread evenly from rim to rim."""
    starts = []
    for length, window in zip(size, patch, strict=True):
        number = int(np.ceil((length - window) / (window * _STEP))) + 1
        step = (length - window) / (number - 1) if number > 1 else 0.0
        starts.append([int(np.round(step * n)) for n in range(number)])
    for x, y, z in itertools.product(*starts):
        yield slice(x, x + patch[0]), slice(y, y + patch[1]), slice(z, z + patch[2])


@lru_cache(maxsize=2)
def _weights(patch: tuple[int, ...]) -> Tensor:
    """Gaussian weights of a window's voxels, rounded as nnU-Net rounds them."""
    point = np.zeros(patch)
    point[tuple(n // 2 for n in patch)] = 1
    blurred = ndimage.gaussian_filter(point, [n * _SIGMA for n in patch], mode="constant")
    weight = torch.from_numpy(blurred / blurred.max() * _PEAK).half().float()
    weight[weight == 0] = weight[weight > 0].min()
    return weight


def _padded(image: Tensor, patch: Sequence[int]) -> tuple[Tensor, tuple[slice, ...]]:
    """The image with zeros around it where it is smaller than a window, and where it lies."""
    missing = [max(0, p - n) for p, n in zip(patch, image.shape[1:], strict=True)]
    below = [m // 2 for m in missing]
    pads = [(b, m - b) for b, m in zip(below, missing, strict=True)]
    inner = tuple(slice(b, b + n) for b, n in zip(below, image.shape[1:], strict=True))
    if not any(missing):
        return image, inner
    return F.pad(image, [v for pair in reversed(pads) for v in pair]), inner
