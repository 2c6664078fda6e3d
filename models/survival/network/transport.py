"""Optimal transport with an entropic term and marginals that may be missed at a price.

Chizat et al. (10.1090/mcom/3303): minimise <P, C> + eps KL(P | a b') + tau KL(P 1 | a) +
tau KL(P' 1 | b). As tau grows it becomes Sinkhorn's balanced problem (Cuturi, arXiv 1306.0895).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_NEVER = -1e4  # log of no mass, finite so that an empty side gives a plan of zeros


@torch.no_grad()
def transport(
    cost: Tensor,
    rows: Tensor,
    columns: Tensor,
    epsilon: float,
    tau: float,
    tolerance: float = 1e-6,
    most: int = 1000,
) -> Tensor:
    """The plan, by scaling in logarithms: no small epsilon underflows.

    Args:
        cost: (B, N, M) >= 0.
        rows: (B, N) bool, tokens that have mass, all the same.
        columns: (B, M) likewise.
        epsilon: Weight of the entropy, > 0.
        tau: Price of missed marginals; infinite for the balanced problem.
        tolerance: Largest change of a log scaling at which it ends.
        most: Iterations.

    Returns:
        (B, N, M) >= 0; 0 where a side is masked. No gradient goes through it.
    """
    softness = 1.0 if math.isinf(tau) else tau / (tau + epsilon)
    log_a, log_b = _uniform(rows), _uniform(columns)
    kernel = -cost / epsilon
    u, v = torch.zeros_like(log_a), torch.zeros_like(log_b)
    for _ in range(most):
        new = softness * (log_a - (kernel + v[:, None, :]).logsumexp(dim=2))
        v = softness * (log_b - (kernel + new[:, :, None]).logsumexp(dim=1))
        change = ((new - u).abs() * rows).max()
        u = new
        if change < tolerance:
            break
    plan = (u[:, :, None] + kernel + v[:, None, :]).exp()
    return plan * rows[:, :, None] * columns[:, None, :]


def _uniform(mask: Tensor) -> Tensor:
    """(B, N) log of the same mass for all that are there."""
    count = mask.sum(dim=1, keepdim=True).clamp(min=1)
    even = torch.zeros(mask.shape, device=mask.device) - count.log()
    return torch.where(mask, even, torch.full_like(even, _NEVER))
