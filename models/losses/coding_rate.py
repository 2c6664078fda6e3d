"""Self-distillation that a coding rate keeps from collapse: the loss of SimDINO.

A student's view of a picture is drawn to a teacher's other view, and the vectors of a batch are
spread out by their coding rate, in place of DINO's centring, sharpening and prototypes. Source: Wu
et al. 2025 (doi 10.48550/arXiv.2502.10385), as M3Ret uses it (doi 10.48550/arXiv.2509.01360).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def coding_rate(vectors: Tensor, eps: float = 0.5) -> Tensor:
    """R = logdet(I + d / eps^2 C) / 2 in nats, C the second moments of the vectors.

    Args:
        vectors: (N, d) of length 1.
        eps: Distortion that is allowed.
    """
    count, dim = vectors.shape
    rows = vectors.float()
    small = rows.T @ rows if dim <= count else rows @ rows.T  # the same determinant
    eye = torch.eye(len(small), device=rows.device)
    return torch.logdet(eye + dim / (count * eps * eps) * small) / 2


def balance(count: int, dim: int, eps: float = 0.5) -> float:
    """Weight of the coding rate at which its gradient is as long as that of the distance may be.

    The distance's gradient is at most 2 / sqrt(N) long for N vectors of length 1, that of the rate
    at most sqrt(d min(N, d) / N) / (2 eps).
    """
    return float(4 * eps / (dim * min(count, dim)) ** 0.5)


def self_distillation(student: Sequence[Tensor], teacher: Tensor, eps: float = 0.5) -> Tensor:
    """Half the squared distance of a student's views to a teacher's, less the coding rate.

    Args:
        student: Views of N pictures, (N, d) of length 1 each.
        teacher: (N, d) of length 1: another view of the same pictures; it gets no gradient.
        eps: See `coding_rate`.
    """
    count, dim = teacher.shape
    target = teacher.detach()
    distances = torch.stack([(view - target).square().sum(1).mean() / 2 for view in student])
    rates = torch.stack([coding_rate(view, eps) for view in student])
    return distances.mean() - balance(count, dim, eps) * rates.mean()
