"""Kernel densities of binders and of receptors in general, and the ratio of the two."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-12  # no density is 0
_CELLS = 8_000_000  # distances that are held at a time


def squared_distances(points: Tensor, others: Tensor) -> Tensor:
    """(N, M) of points (N, D) to others (M, D)."""
    lengths = (points * points).sum(1)[:, None]
    products = torch.addmm((others * others).sum(1), points, others.T, alpha=-2)
    return (products + lengths).clamp_(min=0)


def mean_kernel(points: Tensor, others: Tensor) -> Tensor:
    """(N,) mean of ``exp(-|x - y|^2)`` over M others, M > 0."""
    step = max(1, _CELLS // len(others))
    parts = [squared_distances(p, others).neg_().exp_().mean(1) for p in torch.split(points, step)]
    return torch.cat(parts)


def background_density(points: Tensor, background: Tensor) -> Tensor:
    """(N,) density of receptors in general, never 0; both (.., D)."""
    return mean_kernel(points, background) + TINY


def own_density(background: Tensor) -> Tensor:
    """(M,) density at each of the background's own points, that point left out."""
    m = len(background)
    return (mean_kernel(background, background) * m - 1).clamp(min=0) / max(1, m - 1) + TINY


def log_ratio(total: Tensor, n: Tensor | int, density: Tensor, prior: float) -> Tensor:
    """Log of the density of binders over that of receptors in general.

    The binders' density is drawn to the background's as if ``prior`` more binders had been seen
    that are like any receptor: without binders the ratio is 0, and far from all of them it does
    not fall without bound.

    Args:
        total: Sum of the kernel over the binders, any shape.
        n: How many binders, of a shape that goes with it.
        density: Of the background, likewise.
        prior: How many binders the background counts for, > 0.
    """
    return torch.log((total / density + prior) / (n + prior))
