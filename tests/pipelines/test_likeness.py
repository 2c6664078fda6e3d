"""Scans like and unlike those of training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage

from mmtool.errors import ModelError
from mmtool.models.store import resolve_model
from mmtool.pipelines.likeness import (
    KEY,
    ranges_of,
    scan_features,
    training_ranges,
    unlike_training,
)

AFFINE = np.diag([1.0, 1.0, 1.2, 1.0])


def scan(seed: int, gain: float = 1.0, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(40, 36, 32)), 2)
    return gain * (smooth + 0.02 * rng.normal(size=smooth.shape)) + shift


@pytest.fixture(scope="module")
def ranges() -> dict[str, tuple[float, float]]:
    found = training_ranges((scan(i), AFFINE) for i in range(100, 140))
    assert found["scans"] == 40
    return ranges_of({KEY: json.loads(json.dumps(found))}, {})


def test_scans_of_the_same_kind_are_like_them(ranges: dict) -> None:
    for seed in range(20, 30):
        assert unlike_training(scan(seed), AFFINE, ranges) == []


def test_gain_and_offset_of_the_scanner_raise_no_alarm(ranges: dict) -> None:
    assert unlike_training(scan(20, 1e6, -3e5), AFFINE, ranges) == []
    assert unlike_training((scan(20, 500, 3000)).astype(np.int16), AFFINE, ranges) == []


def test_other_voxels_and_other_views_are_told_with_both_numbers(ranges: dict) -> None:
    (thick,) = unlike_training(scan(20)[:, :, ::4], np.diag([1, 1, 4.8, 1.0]), ranges)
    assert thick == (
        "a voxel edge of 4.8 mm, the longest, is coarser than in training (1.09 to 1.32 mm)"
    )
    (narrow,) = unlike_training(scan(20)[:20], AFFINE, ranges)
    assert narrow.startswith("a field of view of 20 mm at its narrowest is smaller than")


def test_another_contrast_is_told(ranges: dict) -> None:
    (sentence,) = unlike_training(np.exp(40 * scan(20)), AFFINE, ranges)
    assert "spread unlike" in sentence
    assert "median at 0." in sentence


def test_noise_is_told(ranges: dict) -> None:
    noise = np.random.default_rng(1).normal(size=(40, 36, 32))
    (sentence,) = unlike_training(noise, AFFINE, ranges)
    assert "roughness" in sentence


def test_each_channel_is_looked_at(ranges: dict) -> None:
    both = np.stack([scan(20), np.exp(40 * scan(21))])
    (sentence,) = unlike_training(both, AFFINE, ranges)
    assert "of image 2" in sentence


def test_a_constant_background_is_no_tissue() -> None:
    plain, around = scan(3), np.full((60, 60, 60), -99.0)
    around[10:50, 12:48, 14:46] = plain
    one, two = scan_features(plain, AFFINE), scan_features(around, AFFINE)
    for name in ("lower_quartile", "median", "upper_quartile"):
        assert one[name] == pytest.approx(two[name], abs=1e-6)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_scan_without_any_contrast_is_no_crash(ranges: dict, value: float) -> None:
    assert unlike_training(np.full((40, 36, 32), value), AFFINE, ranges)


def test_models_without_ranges_and_with_broken_ones() -> None:
    assert ranges_of({}, {}) == {}
    assert ranges_of({}, {KEY: {"median": [0, 1], "later": "?"}}) == {"median": (0.0, 1.0)}
    for broken in ("wide", {"median": 3}, {"median": [1, 0]}, {"median": ["a", "b"]}):
        with pytest.raises(ModelError, match="training_ranges"):
            ranges_of({KEY: broken}, {})


def test_brain_knows_its_fields_of_view() -> None:
    files = resolve_model("segment", "brain")
    ranges = ranges_of(files.card, files.config)
    head, crop = np.zeros((180, 220, 180), np.uint8), np.zeros((40, 50, 40), np.uint8)
    assert unlike_training(head, np.eye(4), ranges) == []
    assert len(unlike_training(crop, np.eye(4), ranges)) == 2
    with pytest.raises(ValueError, match="no volume"):
        training_ranges([])
