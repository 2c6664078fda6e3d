"""Linear models on fixed features: multinomial logistic regression and ridge."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional


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


def ridge(
    features: NDArray[np.float64], targets: NDArray[np.float64], penalty: float
) -> NDArray[np.float64]:
    """(D, K) weights of least squares with a penalty on their squares."""
    gram = features.T @ features + penalty * np.eye(features.shape[1])
    return np.asarray(np.linalg.solve(gram, features.T @ targets), np.float64)
