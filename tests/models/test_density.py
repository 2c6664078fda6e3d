"""Kernel densities and their ratio against plain loops."""

import math

import pytest
import torch

from mmtool.models.tcr import density

POINTS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])


def test_mean_kernel_is_that_of_a_loop() -> None:
    other = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    found = density.mean_kernel(POINTS, other)
    for at, value in zip(POINTS, found, strict=True):
        wanted = sum(math.exp(-float(((at - o) ** 2).sum())) for o in other) / 2
        assert float(value) == pytest.approx(wanted, rel=1e-5)


def test_a_background_point_is_not_its_own_neighbour() -> None:
    found = density.own_density(POINTS)
    assert float(found[0]) == pytest.approx((math.exp(-1) + math.exp(-9)) / 2, rel=1e-4)


@pytest.mark.parametrize("prior", [0.5, 5.0])
def test_ratio_is_nothing_without_binders_and_bounded_far_from_them(prior: float) -> None:
    none = density.log_ratio(torch.tensor([0.0]), 0, torch.tensor([0.3]), prior)
    far = density.log_ratio(torch.tensor([0.0]), 45, torch.tensor([0.3]), prior)
    assert float(none) == pytest.approx(0)
    assert float(far) == pytest.approx(math.log(prior / (45 + prior)))


def test_ratio_of_many_binders_is_the_log_of_the_densities() -> None:
    binders = POINTS[:2].repeat(5000, 1)
    background = density.background_density(POINTS, POINTS)
    kernel = torch.exp(-density.squared_distances(POINTS, binders))
    ratio = density.log_ratio(kernel.sum(1), len(binders), background, 1.0)
    wanted = torch.log(density.mean_kernel(POINTS, binders) / background)
    assert torch.allclose(ratio[:2], wanted[:2], atol=0.01)
