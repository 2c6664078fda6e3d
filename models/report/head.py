"""Linear evidential heads over frozen features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.report.evidential import Floats, Opinion, evidential_loss, opinion

_STEPS = 600  # of L-BFGS
_STILL = 1e-7  # change of the loss or of a weight's step below which it has settled
_PULL = 0.05  # on wrong evidence; small, since the classes are uneven


@dataclass(frozen=True)
class Head:
    """What a vector says of one question.

    Attributes:
        name: Of the question, e.g. ``modality``.
        classes: K names.
        weight: (K, dim) float32.
        bias: (K,) float32.
        temperature: Of the probabilities; above 1 they become less sure.
    """

    name: str
    classes: tuple[str, ...]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: float = 1.0

    def opinion(self, vectors: NDArray[np.float32]) -> Opinion:
        """Opinion on (N, dim) vectors."""
        return opinion(self.evidence(vectors))

    def evidence(self, vectors: NDArray[np.float32]) -> Floats:
        """(N, K) evidence, at least 0."""
        logits = vectors.astype(np.float64) @ self.weight.T.astype(np.float64) + self.bias
        return np.asarray(np.logaddexp(0, logits))

    def calibrated(self, probability: Floats) -> Floats:
        """(N, K) probabilities by the head's temperature."""
        return tempered(probability, self.temperature)


def tempered(probability: Floats, temperature: float) -> Floats:
    """(N, K) probabilities to the power of 1 / temperature, adding up to 1 again."""
    logs = np.log(probability.clip(1e-12)) / temperature
    logs -= logs.max(1, keepdims=True)
    power = np.exp(logs)
    return np.asarray(power / power.sum(1, keepdims=True))


def fit_temperature(probability: Floats, target: NDArray[np.int64]) -> float:
    """The temperature under which the true classes are likeliest.

    Args:
        probability: (N, K) of items that the head was not fitted to.
        target: (N,) class numbers.
    """
    grid = np.exp(np.linspace(np.log(0.1), np.log(4), 75))
    rows = np.arange(len(target))
    loss = [-np.log(tempered(probability, t)[rows, target].clip(1e-12)).mean() for t in grid]
    return float(grid[int(np.argmin(loss))])


def fit_head(
    name: str,
    classes: tuple[str, ...],
    vectors: NDArray[np.float32],
    target: NDArray[np.int64],
    *,
    decay: float,
    start: Head | None = None,
) -> Head:
    """Fit by L-BFGS; there is nothing random in it.

    Args:
        name: Of the question.
        classes: K names.
        vectors: (N, dim) float32.
        target: (N,) class numbers.
        decay: Weight of the squared weights.
        start: A head of another decay to begin with, which saves steps; zeros if None.
    """
    x = torch.from_numpy(vectors.astype(np.float64))
    y = torch.from_numpy(target)
    weight = torch.zeros(len(classes), x.shape[1], dtype=torch.float64)
    bias = torch.zeros(len(classes), dtype=torch.float64)
    if start is not None:
        weight = torch.from_numpy(start.weight.astype(np.float64))
        bias = torch.from_numpy(start.bias.astype(np.float64))
    weight.requires_grad_()
    bias.requires_grad_()
    solver = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_STEPS,
        tolerance_change=_STILL,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        solver.zero_grad()
        evidence = torch.nn.functional.softplus(x @ weight.T + bias)
        loss = evidential_loss(evidence, y, _PULL) + decay * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
    return Head(
        name,
        classes,
        weight.detach().numpy().astype(np.float32),
        bias.detach().numpy().astype(np.float32),
    )
