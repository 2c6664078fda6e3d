"""Linear models on fixed features: logistic regressions and ridge."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_STEPS = 50  # of `weighted_logistic`


def logistic_probe(
    features: NDArray[np.float64], labels: NDArray[np.int64], decay: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (D, K) and offsets (K,) that minimise mean cross entropy + decay/2 |W|²."""
    x, y = torch.from_numpy(features).double(), torch.from_numpy(labels)
    classes = int(labels.max()) + 1
    weights = torch.zeros(x.shape[1], classes, dtype=torch.double, requires_grad=True)
    offsets = torch.zeros(classes, dtype=torch.double, requires_grad=True)
    solver = torch.optim.LBFGS([weights, offsets], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        solver.zero_grad()
        cost = functional.cross_entropy(x @ weights + offsets, y)
        cost = cost + decay / 2 * weights.square().sum()
        cost.backward()  # type: ignore[no-untyped-call]
        return float(cost.detach())

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach().numpy(), offsets.detach().numpy()


def weighted_logistic(
    inputs: Tensor,
    labels: Tensor,
    share: Tensor,
    penalty: float,
    start: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Weights (D, E) and offsets (E,) of E binary regressions, fitted together.

    Minimises the sum of the errors, each times its share, + penalty |W|².

    Args:
        inputs: (N, D).
        labels: (N, E) of 0 and 1.
        share: (N, E), how much each label counts.
        penalty: On squared weights.
        start: Where the descent begins; at zeros when None.
    """
    shape = (inputs.shape[1], labels.shape[1])
    weights, offsets = start or (torch.zeros(shape), torch.zeros(shape[1]))
    weights, offsets = (t.clone().requires_grad_() for t in (weights, offsets))
    solver = torch.optim.LBFGS([weights, offsets], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        odds = inputs @ weights + offsets
        errors = functional.binary_cross_entropy_with_logits(odds, labels, reduction="none")
        cost = (errors * share).sum() + penalty * weights.square().sum()
        cost.backward()  # type: ignore[no-untyped-call]
        return cost

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach(), offsets.detach()


def ridge(
    features: NDArray[np.float64], targets: NDArray[np.float64], penalty: float
) -> NDArray[np.float64]:
    """(D, K) weights of least squares with a penalty on their squares."""
    gram = features.T @ features + penalty * np.eye(features.shape[1])
    return np.asarray(np.linalg.solve(gram, features.T @ targets), np.float64)
