"""Backgrounds that are not dark."""

from __future__ import annotations

import numpy as np
import pytest

from mmtool.pipelines.air import air_value, darken_background


def normalised(dtype: type = np.float32) -> np.ndarray:
    """A stripped head of zero mean times 100: zeros around it, and a few inside."""
    rng = np.random.default_rng(0)
    data = np.zeros((20, 22, 24), np.float32)
    head = rng.normal(0, 100, (12, 14, 16)).astype(dtype)
    head[head == 0] = 1
    data[4:16, 4:18, 4:20] = head
    data[8, 8, 8] = 0
    return data.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_zeros_around_a_normalised_head_become_air(dtype: type) -> None:
    data = normalised(dtype)
    before = data.copy()
    out = darken_background(data)
    head = (slice(4, 16), slice(4, 18), slice(4, 20))
    np.testing.assert_array_equal(data, before)
    assert out.dtype == data.dtype
    assert out[8, 8, 8] == 0, "tissue of that value stays"
    np.testing.assert_array_equal(out[head], data[head])
    outside = np.ones(data.shape, bool)
    outside[head] = False
    assert len(np.unique(out[outside])) == 1
    assert np.quantile(data[head], 0.02) > out[0, 0, 0] >= data.min()


def test_dark_and_varying_backgrounds_are_left_alone() -> None:
    dark = normalised() - normalised().min()
    dark[normalised() == 0] = 0
    noise = np.random.default_rng(1).normal(10, 5, (12, 12, 12)).astype(np.float32)
    ringing = dark.copy()  # what spline interpolation leaves around a head
    ringing[2:4, 4:18, 4:20] = np.random.default_rng(2).normal(0, 5, (2, 14, 16))
    for data in (dark, noise, ringing, np.full((5, 5, 5), 3.0)):
        assert darken_background(data) is data


def test_air_is_a_low_quantile() -> None:
    assert air_value(np.arange(1000, dtype=np.int16).reshape(10, 10, 10)) == pytest.approx(5, abs=1)
