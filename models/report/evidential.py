"""Opinions with uncertainty, and how two of them are fused.

Evidential classification (Sensoy et al. 2018, 10.48550/arXiv.1806.01768): evidence e >= 0 for K
classes gives a Dirichlet distribution with alpha = e + 1, belief b = e / S and uncertainty
u = K / S with S = sum(alpha), so that the beliefs and u add up to 1. Two opinions are fused by
the reduced rule of Dempster (Han et al. 2021, 10.48550/arXiv.2102.02051), as CREST does for two
views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Opinion:
    """What one source says of N items.

    Attributes:
        belief: (N, K) at least 0.
        uncertainty: (N,) what is left to 1.
    """

    belief: Floats
    uncertainty: Floats

    @property
    def probability(self) -> Floats:
        """(N, K): belief, and an equal share of the uncertainty for each class."""
        classes = self.belief.shape[1]
        return np.asarray(self.belief + self.uncertainty[:, None] / classes)


def opinion(evidence: Floats) -> Opinion:
    """The opinion of (N, K) evidence."""
    strength = evidence.sum(1) + evidence.shape[1]
    return Opinion(evidence / strength[:, None], evidence.shape[1] / strength)


def fuse(one: Opinion, two: Opinion) -> Opinion:
    """Both opinions as one; the order does not matter, and an empty one changes nothing."""
    both = one.belief * two.belief
    conflict = one.belief.sum(1) * two.belief.sum(1) - both.sum(1)
    # Two certain sources that contradict each other leave nothing: then nothing is known.
    rest = np.clip(1 - conflict, 1e-9, None)
    belief = both + one.belief * two.uncertainty[:, None] + two.belief * one.uncertainty[:, None]
    return Opinion(belief / rest[:, None], one.uncertainty * two.uncertainty / rest)


def vote(similarity: Floats, classes: NDArray[np.int64], count: int, *, sharpness: float) -> Floats:
    """Evidence from neighbours whose class is known.

    Args:
        similarity: (N, M) cosine of each item to its M neighbours.
        classes: (N, M) class of each neighbour, -1 where it is not known.
        count: K.
        sharpness: How fast a vote fades with the distance to the best neighbour.

    Returns:
        (N, K): a neighbour as close as 1 adds a whole vote, one at 0 or below adds none.
    """
    best = similarity.max(1, keepdims=True, initial=-1)
    weight = similarity.clip(0) * np.exp(sharpness * (similarity - best))
    out = np.zeros((len(similarity), count))
    for k in range(count):
        out[:, k] = np.where(classes == k, weight, 0).sum(1)
    return out


def evidential_loss(evidence: Tensor, target: Tensor, share: float) -> Tensor:
    """Mean expected cross-entropy, with a pull of wrong evidence towards none.

    Args:
        evidence: (N, K) at least 0.
        target: (N,) class numbers.
        share: Weight of the pull, 0 to 1; grows in training.
    """
    hot = torch.nn.functional.one_hot(target, evidence.shape[1]).to(evidence.dtype)
    alpha = evidence + 1
    fit = (hot * (torch.digamma(alpha.sum(1, keepdim=True)) - torch.digamma(alpha))).sum(1)
    return (fit + share * _divergence(hot + (1 - hot) * alpha)).mean()


def _divergence(alpha: Tensor) -> Tensor:
    """(N,) Kullback-Leibler divergence of Dirichlet(alpha) from the flat one."""
    total, classes = alpha.sum(1), alpha.shape[1]
    front = torch.lgamma(total) - torch.lgamma(torch.tensor(float(classes), dtype=alpha.dtype))
    front = front - torch.lgamma(alpha).sum(1)
    spread = torch.digamma(alpha) - torch.digamma(total)[:, None]
    return front + ((alpha - 1) * spread).sum(1)
