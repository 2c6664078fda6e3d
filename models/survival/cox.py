"""Ridge-penalised Cox regression for few columns: Newton's method, and the penalty by folds.

The model: Cox 1972, 10.1111/j.2517-6161.1972.tb00899.x; ties after Breslow; the penalty after
Verweij and van Houwelingen 1994, 10.1002/sim.4780132307, chosen by their cross-validated partial
likelihood (1993, 10.1002/sim.4780122407).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtool.survival import Floats, Outcome

_STEPS = 50
_TOLERANCE = 1e-7
_MOST = 30.0  # of a log hazard ratio between two patients: beyond it, exp says nothing more


@dataclass(frozen=True)
class Ordered:
    """Outcomes in an order that makes risk sets to sums.

    Attributes:
        order: (N,) patients by falling time.
        event: (N,) float64, 1 or 0 in that order.
        last: (N,) in that order, the last place of those of the same time: the risk set of a
            patient is all places up to it.
    """

    order: NDArray[np.int64]
    event: Floats
    last: NDArray[np.int64]

    @classmethod
    def of(cls, outcome: Outcome) -> Ordered:
        """Sort outcomes."""
        order = np.argsort(-outcome.time, kind="stable")
        time = outcome.time[order]
        last = np.searchsorted(-time, -time, side="right") - 1
        return cls(order, outcome.event[order].astype(np.float64), last)


def log_likelihood(outcome: Outcome, log_risk: Floats) -> float:
    """Partial log likelihood of log risks, (N,)."""
    ordered = Ordered.of(outcome)
    value, _, _ = _parts(ordered, log_risk[ordered.order])
    return value


def _parts(ordered: Ordered, risk: Floats) -> tuple[float, Floats, Floats]:
    """Partial log likelihood, relative hazards and their sums over risk sets, all in order."""
    top = float(risk.max())
    hazard = np.exp(np.maximum(risk - top, -_MOST * 10))
    at_risk = np.cumsum(hazard)[ordered.last]
    value = float(ordered.event @ (risk - top - np.log(at_risk)))
    return value, hazard, at_risk


def ridge_cox(
    values: Floats, outcome: Outcome, penalty: Floats | float, start: Floats | None = None
) -> Floats:
    """Coefficients that maximise the partial log likelihood less penalty / 2 * |coefficient|^2.

    Args:
        values: (N, F) finite, of like scale.
        outcome: N outcomes, with at least one event.
        penalty: > 0, one for all columns or (F,).
        start: (F,) to begin from.

    Returns:
        (F,) float64.
    """
    ordered = Ordered.of(outcome)
    x = values[ordered.order]
    weight = np.broadcast_to(np.asarray(penalty, np.float64), (x.shape[1],))
    beta = np.zeros(x.shape[1]) if start is None else start.copy()
    value = _objective(ordered, x, beta, weight)
    for _ in range(_STEPS):
        gradient, hessian = _slopes(ordered, x, beta)
        step = np.linalg.solve(hessian + np.diag(weight), gradient - weight * beta)
        size, moved = 1.0, beta + step
        new = _objective(ordered, x, moved, weight)
        while new < value - 1e-9 * abs(value) and size > 1e-4:
            size /= 2
            moved = beta + size * step
            new = _objective(ordered, x, moved, weight)
        beta = moved
        if abs(new - value) < _TOLERANCE * (1 + abs(value)):
            break
        value = new
    return beta


def _objective(ordered: Ordered, x: Floats, beta: Floats, weight: Floats) -> float:
    return _parts(ordered, x @ beta)[0] - float(weight @ beta**2) / 2


def _slopes(ordered: Ordered, x: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Gradient (F,) and negative second derivatives (F, F) of the partial log likelihood."""
    _, hazard, at_risk = _parts(ordered, x @ beta)
    share = ordered.event / at_risk
    # Each patient's weight: the shares of all events at or before the patient's own time.
    onward = np.cumsum(share[::-1])[::-1]
    first = np.searchsorted(ordered.last, ordered.last)  # of those of the same time
    weight = hazard * onward[first]
    mean = np.cumsum(hazard[:, None] * x, axis=0)[ordered.last] / at_risk[:, None]
    gradient = x.T @ (ordered.event - weight)
    seen = mean[ordered.event > 0]
    return gradient, (x * weight[:, None]).T @ x - seen.T @ seen


@dataclass(frozen=True)
class Path:
    """Ridge fits over falling penalties.

    Attributes:
        penalties: (K,) falling.
        coefficients: (K, F).
    """

    penalties: Floats
    coefficients: Floats


def ridge_path(values: Floats, outcome: Outcome, penalties: Floats) -> Path:
    """Fits from the strongest penalty on, each begun where the last one ended."""
    beta: Floats | None = None
    rows = []
    for penalty in penalties:
        beta = ridge_cox(values, outcome, float(penalty), beta)
        rows.append(beta)
    return Path(penalties, np.array(rows))


def held_out_likelihood(
    path: Path, values: Floats, outcome: Outcome, kept: NDArray[np.int64]
) -> Floats:
    """What left-out patients add to the partial log likelihood at each penalty.

    Args:
        path: Fitted to the kept patients.
        values: (N, F) of all.
        outcome: Of all.
        kept: Those that were kept.

    Returns:
        (K,) log likelihood of all less that of the kept ones.
    """
    inner = outcome.subset(kept)
    out = []
    for beta in path.coefficients:
        risk = values @ beta
        out.append(log_likelihood(outcome, risk) - log_likelihood(inner, risk[kept]))
    return np.array(out)


def positive_cox(values: Floats, outcome: Outcome, penalty: float, around: Floats) -> Floats:
    """Non-negative coefficients that maximise the penalised partial log likelihood.

    The penalty is penalty / 2 * |coefficient - around|^2.

    Args:
        values: (N, F) finite, of like scale; F is small.
        outcome: N outcomes, with at least one event.
        penalty: > 0.
        around: (F,) >= 0, what the coefficients are drawn to.

    Returns:
        (F,) float64, >= 0.
    """
    ordered = Ordered.of(outcome)
    x = values[ordered.order]
    weights = around.copy()

    def objective(w: Floats) -> float:
        return _parts(ordered, x @ w)[0] - penalty / 2 * float(((w - around) ** 2).sum())

    value = objective(weights)
    for _ in range(_STEPS):
        gradient, hessian = _slopes(ordered, x, weights)
        gradient = gradient - penalty * (weights - around)
        target = _positive_step(weights, gradient, hessian + penalty * np.eye(len(weights)))
        size, moved = 1.0, target
        new = objective(moved)
        while new < value - 1e-9 * abs(value) and size > 1e-4:
            size /= 2
            moved = weights + size * (target - weights)
            new = objective(moved)
        weights = moved
        if abs(new - value) < _TOLERANCE * (1 + abs(value)):
            break
        value = new
    return weights


def _positive_step(weights: Floats, gradient: Floats, hessian: Floats) -> Floats:
    """Where the quadratic model is largest over weights >= 0, coordinate by coordinate."""
    new = weights.copy()
    for _ in range(200):
        before = new.copy()
        for i in range(len(new)):
            slope = gradient[i] - hessian[i] @ (new - weights)
            new[i] = max(0.0, new[i] + slope / hessian[i, i])
        if np.abs(new - before).max() < 1e-9:
            break
    return new


def standing(values: Floats, outcome: Outcome) -> float:
    """How many standard errors the coefficient of one column, (N,), is above zero."""
    x = values[:, None]
    beta = ridge_cox(x, outcome, 1e-6)
    ordered = Ordered.of(outcome)
    _, hessian = _slopes(ordered, x[ordered.order], beta)
    return float(beta[0] * np.sqrt(max(hessian[0, 0], 0.0)))
