"""Surface distances, against DeepMind's own package, SimpleITK and sums by hand."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import surface_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mmtool.pipelines.evaluation.surface import surface_measures, surface_per_label

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 5.0), (2.0, 1.0, 3.0)]


def blobs(seed: int, likeness: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Two similar ragged masks that touch the borders of their array."""
    rng = np.random.default_rng(seed)
    one, two = (ndimage.gaussian_filter(rng.normal(size=(22, 20, 14)), 2) for _ in range(2))
    return one > 0.05, one + likeness * two > 0.05


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(6))
def test_as_the_reference_package_has_it(seed: int, spacing: tuple[float, ...]) -> None:
    truth, found = blobs(seed, 0.2 + 0.2 * seed)
    ours = surface_measures(truth, found, spacing, (0.5, 1.0, 2.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it imports scipy's old names
        theirs = surface_distance.compute_surface_distances(truth, found, spacing)
    hd95 = surface_distance.compute_robust_hausdorff(theirs, 95)
    dice = [surface_distance.compute_surface_dice_at_tolerance(theirs, t) for t in (0.5, 1.0, 2.0)]
    assert ours.hd95_mm == pytest.approx(hd95, abs=1e-9)
    assert ours.dice == pytest.approx(dice, abs=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_shift_of_n_voxels_is_that_many_mm(spacing: tuple[float, ...]) -> None:
    mask = np.zeros((20, 20, 20), bool)
    mask[5:11, 5:11, 5:11] = True
    for axis in range(3):
        moved = surface_measures(mask, np.roll(mask, 2, axis), spacing)
        assert moved.hd95_mm == pytest.approx(2 * spacing[axis])


def test_not_above_the_hausdorff_distance_of_simpleitk() -> None:
    for spacing in SPACINGS:
        truth, found = blobs(3, 0.6)
        images = [sitk.GetImageFromArray(m.transpose().astype(np.uint8)) for m in (truth, found)]
        for image in images:
            image.SetSpacing(spacing)
        measure = sitk.HausdorffDistanceImageFilter()
        measure.Execute(*images)
        ours = surface_measures(truth, found, spacing).hd95_mm
        assert 0 < ours <= measure.GetHausdorffDistance() + math.hypot(*spacing)


def test_area_counts_and_not_the_number_of_voxels() -> None:
    """One of two boxes is lost; the edges of a box are bevelled, hence the tolerance."""
    both = np.zeros((70, 44, 14), bool)
    both[2:42, 2:42, 2:12] = True
    kept = both.copy()
    both[52:62, 2:42, 2:12] = True
    near = surface_measures(both, kept, (1.0, 1.0, 5.0)).dice[1]
    area_kept = 2 * 40 * 40 + 4 * 40 * 10 * 5  # mm2
    area_lost = 2 * 10 * 40 + 2 * (10 + 40) * 10 * 5
    assert near == pytest.approx(2 * area_kept / (2 * area_kept + area_lost), abs=0.005)


def test_empty_masks() -> None:
    mask = np.ones((4, 4, 4), bool)
    nothing = np.zeros_like(mask)
    for pair in ((mask, nothing), (nothing, mask)):
        measures = surface_measures(*pair, (1.0, 1.0, 1.0))
        assert (measures.hd95_mm, measures.dice) == (math.inf, (0.0, 0.0))
    both = surface_measures(nothing, nothing, (1.0, 1.0, 1.0))
    assert math.isnan(both.hd95_mm)
    assert all(map(math.isnan, both.dice))


def test_a_single_voxel_and_a_full_array() -> None:
    voxel = np.zeros((3, 3, 3), bool)
    voxel[1, 1, 1] = True
    same = surface_measures(voxel, voxel, (1.0, 2.0, 3.0))
    assert (same.hd95_mm, same.dice) == (0.0, (1.0, 1.0))
    full = np.ones((3, 3, 3), bool)
    assert surface_measures(full, full, (1.0, 2.0, 3.0)).dice == (1.0, 1.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(SPACINGS), st.permutations([0, 1, 2]))
def test_symmetric_and_the_same_for_any_order_of_axes(
    seed: int, spacing: tuple[float, ...], order: list[int]
) -> None:
    truth, found = blobs(seed, 1.0)
    plain = surface_measures(truth, found, spacing)
    turned = surface_measures(
        found.transpose(order)[::-1], truth.transpose(order)[::-1], [spacing[a] for a in order]
    )
    assert turned.hd95_mm == pytest.approx(plain.hd95_mm)
    assert turned.dice == pytest.approx(plain.dice, abs=1e-6)


def test_each_label_is_cut_out_of_its_map() -> None:
    truth, found = (m.astype(np.uint8) * 3 for m in blobs(1))
    truth[0, 0, 0] = 7
    for measures, label in zip(
        surface_per_label(truth, found, [3, 7, 9], (1.0, 1.0, 2.0)).values(), (3, 7, 9), strict=True
    ):
        whole = surface_measures(truth == label, found == label, (1.0, 1.0, 2.0))
        assert measures.dice == pytest.approx(whole.dice, nan_ok=True)
        assert measures.hd95_mm == pytest.approx(whole.hd95_mm, nan_ok=True)
