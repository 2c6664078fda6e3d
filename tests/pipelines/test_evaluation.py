"""Overlap, intervals and the baseline that stands beside the model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmtool.pipelines.evaluation.brain import build_atlas, fit_atlas
from mmtool.pipelines.evaluation.overlap import bootstrap_mean, dice_per_label
from mmtool.pipelines.training.brain_labels import CLASSES


def test_dice_of_a_known_pair() -> None:
    truth = np.array([0, 1, 1, 1, 2, 2], np.uint8)
    found = np.array([1, 1, 1, 0, 2, 0], np.uint8)
    dice = dice_per_label(truth, found, [1, 2, 3])
    assert dice[1] == pytest.approx(2 * 2 / (3 + 3))
    assert dice[2] == pytest.approx(2 * 1 / (2 + 1))
    assert math.isnan(dice[3])


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 4)),
    hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 4)),
)
def test_dice_is_that_of_the_sets(a: np.ndarray, b: np.ndarray) -> None:
    assert dice_per_label(a, b, range(6)) == pytest.approx(
        dice_per_label(b, a, range(6)), nan_ok=True
    )
    for label, value in dice_per_label(a, b, range(6)).items():
        one, two = {*np.flatnonzero(a == label)}, {*np.flatnonzero(b == label)}
        if one or two:
            assert value == pytest.approx(2 * len(one & two) / (len(one) + len(two)))
        else:
            assert math.isnan(value)


def test_the_interval_is_about_groups_not_scans() -> None:
    """Many scans of two maps are no better known than two maps."""
    few = bootstrap_mean([[0.5], [0.7]])
    many = bootstrap_mean([[0.5] * 100, [0.7] * 100])
    assert (few.mean, few.low, few.high) == pytest.approx((many.mean, many.low, many.high))
    assert (few.mean, few.low, few.high) == pytest.approx((0.6, 0.5, 0.7))
    assert (few.n, many.n) == (2, 200)


def test_the_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        interval = bootstrap_mean(rng.normal(0.7, 0.1, (30, 1)).tolist(), seed=seed, draws=400)
        hits += interval.low <= 0.7 <= interval.high
    assert 175 <= hits <= 199


def test_the_atlas_of_one_map_is_that_map() -> None:
    codes = np.zeros((40, 44, 40), np.int16)
    codes[5:20, 6:30, 8:25] = 2  # FreeSurfer: left white matter
    codes[20:35, 6:30, 8:25] = 41  # right
    codes[10:14, 10:14, 10:14] = 17  # left hippocampus
    left, right = CLASSES["cerebral white matter"]
    truth = np.zeros(codes.shape, np.uint8)
    truth[codes == 2], truth[codes == 41] = left[0], right[0]
    truth[codes == 17] = CLASSES["hippocampus"][0][0]
    found = fit_atlas(build_atlas([codes]), truth)
    assert min(dice_per_label(truth, found, [left[0], right[0]]).values()) > 0.95
