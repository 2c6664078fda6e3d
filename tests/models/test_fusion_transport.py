"""Entropic transport against a linear programme, and what its price does."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from mmtool.models.survival.network.transport import transport

_ALL3, _ALL4 = torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool)


def _cost(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, 4, generator=torch.Generator().manual_seed(seed))


def test_balanced_with_little_entropy_is_the_linear_programme() -> None:
    cost = _cost()
    plan = transport(cost, _ALL3, _ALL4, 0.002, math.inf, most=20000)[0].double().numpy()
    rows = np.kron(np.eye(3), np.ones(4))
    columns = np.kron(np.ones(3), np.eye(4))
    best = linprog(
        cost.flatten().numpy(),
        A_eq=np.vstack([rows, columns]),
        b_eq=np.append(np.full(3, 1 / 3), np.full(4, 1 / 4)),
    )
    assert (plan * cost[0].numpy()).sum() == pytest.approx(best.fun, abs=2e-3)
    assert plan == pytest.approx(best.x.reshape(3, 4), abs=0.02)


def test_marginals_are_met_as_the_price_grows() -> None:
    missed = []
    for tau in (0.1, 1.0, 10.0, 1000.0):
        plan = transport(_cost(), _ALL3, _ALL4, 0.1, tau, tolerance=1e-7, most=20000)
        missed.append(float((plan.sum(dim=2) - 1 / 3).abs().sum()))
    assert missed == sorted(missed, reverse=True)
    assert missed[-1] < 1e-3
    balanced = transport(_cost(), _ALL3, _ALL4, 0.1, math.inf)
    assert plan.numpy() == pytest.approx(balanced.numpy(), abs=1e-3)


def test_the_plan_fulfils_the_conditions_of_its_optimum() -> None:
    epsilon, tau = 0.1, 0.5
    cost = _cost().double()
    plan = transport(cost, _ALL3, _ALL4, epsilon, tau, tolerance=1e-12)
    a, b = torch.full((1, 3), 1 / 3), torch.full((1, 4), 1 / 4)
    price = tau * ((plan.sum(2) / a).log()[:, :, None] + (plan.sum(1) / b).log()[:, None, :])
    assert float((cost + epsilon * plan.log() + price).abs().max()) < 1e-4


def test_masked_tokens_get_nothing_and_change_nothing() -> None:
    cost = torch.cat([_cost(), torch.zeros(1, 2, 4)], dim=1)
    rows = torch.tensor([[True, True, True, False, False]])
    plan = transport(cost, rows, _ALL4, 0.1, 0.5)
    assert float(plan[:, 3:].abs().max()) == 0
    alone = transport(_cost(), _ALL3, _ALL4, 0.1, 0.5)
    assert plan[:, :3].numpy() == pytest.approx(alone.numpy(), abs=1e-6)


def test_an_empty_side_gives_a_plan_of_zeros() -> None:
    plan = transport(_cost(), torch.zeros_like(_ALL3), _ALL4, 0.1, 0.5)
    assert float(plan.abs().max()) == 0


def test_little_entropy_does_not_underflow() -> None:
    assert bool(torch.isfinite(transport(100 * _cost(), _ALL3, _ALL4, 1e-3, 0.5)).all())
