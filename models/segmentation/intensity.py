"""Intensity scaling shared by training and inference."""

from __future__ import annotations

import torch
from torch import Tensor


def scale_intensity(image: Tensor, *, low: float = 0.005, high: float = 0.995) -> Tensor:
    """Map two quantiles of an image to 0 and 1 and clip the tails softly.

    Args:
        image: (I, J, K) float32 in any unit.
        low: Lower quantile.
        high: Upper quantile.

    Returns:
        (I, J, K) float32, mostly in [0, 1], clipped to [-0.2, 1.5]. A constant image gives
        zeros.
    """
    flat = image.flatten()
    # kthvalue over a strided sample: quantile() refuses more than 16 M elements, and a sample
    # of 200,000 voxels fixes these quantiles to well under one grey level.
    sample = flat[:: max(1, flat.numel() // 200_000)].sort().values
    last = sample.numel() - 1
    a, b = sample[round(low * last)], sample[round(high * last)]
    if not bool(b > a):
        a, b = sample[0], sample[-1]
    if not bool(b > a):
        return torch.zeros_like(image)
    return ((image - a) / (b - a)).clamp(-0.2, 1.5)


def standardise(image: Tensor, inside: Tensor) -> Tensor:
    """Centre and scale each channel by what lies inside; all outside is zero.

    Median and half the distance between the 16 % and 84 % quantiles stand for mean and standard
    deviation: a tumour hardly moves them.

    Args:
        image: (C, I, J, K) float32 in any unit.
        inside: (I, J, K) bool, e.g. the brain.

    Returns:
        (C, I, J, K) float32, clipped to [-5, 8]. A channel that is constant inside gives zeros.
    """
    out = torch.zeros_like(image)
    for number, channel in enumerate(image):
        values = channel[inside]
        sample = values[:: max(1, values.numel() // 200_000)].sort().values
        last = sample.numel() - 1
        if last < 1:
            continue
        low, middle, high = (sample[round(q * last)] for q in (0.16, 0.5, 0.84))
        if bool(high > low):
            scaled = (channel - middle) / ((high - low) / 2)
            out[number] = scaled.clamp(-5, 8) * inside
    return out
