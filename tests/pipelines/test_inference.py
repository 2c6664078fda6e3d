"""The shipped ``brain`` model on a real scan, however the scan is stored."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mmtool.models.store import load_state, resolve_model
from mmtool.pipelines.inference import BrainSegmenter
from mmtool.pipelines.segmenter import Segmented
from mmtool.pipelines.world_grid import WorldGrid, to_grid

Scan = tuple[NDArray[np.float32], NDArray[np.float64]]


@pytest.fixture(scope="module")
def segmenter() -> BrainSegmenter:
    files = resolve_model("segment", "brain")
    return BrainSegmenter(files.config, load_state(files), torch.device("cpu"), ensemble=False)


@pytest.fixture(scope="module")
def ensemble() -> BrainSegmenter:
    """As users get it."""
    files = resolve_model("segment", "brain")
    return BrainSegmenter(files.config, load_state(files), torch.device("cpu"))


@pytest.fixture(scope="module")
def scan(head: Path) -> Scan:
    image = nibabel.as_closest_canonical(nibabel.load(head))
    return np.asarray(image.dataobj, np.float32), image.affine


@pytest.fixture(scope="module")
def plain(segmenter: BrainSegmenter, scan: Scan) -> Segmented:
    found = segmenter(*scan)
    assert found.found
    return found


def as_stored(scan: Scan, codes: str) -> Scan:
    image = nibabel.Nifti1Image(scan[0], scan[1])
    wanted = nibabel.orientations.axcodes2ornt(tuple(codes))
    turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), wanted)
    turned = image.as_reoriented(turn)
    return np.asarray(turned.dataobj), turned.affine


def in_ras(labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> NDArray[np.uint8]:
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(labels, affine))
    return np.asarray(image.dataobj)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def worst_dice(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return min(dice(a == i, b == i) for i in np.unique(a) if i)


def test_all_structures_lie_on_their_side(plain: Segmented, scan: Scan) -> None:
    from mmtool.anatomy import BRAIN_LABELS

    for label in BRAIN_LABELS:
        spots = np.argwhere(plain.labels == label.index)
        assert len(spots) > 20, label.name
        r = (spots @ scan[1][:3, :3].T + scan[1][:3, 3])[:, 0]  # 0 is this template's midline
        if label.name.startswith("left "):
            assert np.mean(r < 2) > 0.99, label.name
        elif label.name.startswith("right "):
            assert np.mean(r > -2) > 0.99, label.name
        else:
            assert abs(r.mean()) < 2, label.name
    assert plain.certainty > 0.7


@pytest.mark.parametrize("codes", ["LPS", "LAS", "ASR", "PIL", "SRA"])
def test_storage_order_changes_nothing(
    segmenter: BrainSegmenter, scan: Scan, plain: Segmented, codes: str
) -> None:
    data, affine = as_stored(scan, codes)
    found = segmenter(data, affine)
    again = in_ras(found.labels, affine)
    assert worst_dice(plain.labels, again) > 0.97
    assert dice(plain.whole, in_ras(found.whole.astype(np.uint8), affine) > 0) > 0.99


def test_intensity_units_change_nothing(
    segmenter: BrainSegmenter, scan: Scan, plain: Segmented
) -> None:
    found = segmenter(scan[0] * 0.013 + 7, scan[1])
    assert worst_dice(plain.labels, found.labels) > 0.97


def test_a_stripped_head_of_zero_mean(
    segmenter: BrainSegmenter, plain: Segmented, scan: Scan
) -> None:
    """Zeros around the head are then a middle grey."""
    inside = scan[0] > 0
    values = scan[0][inside]
    data = np.zeros_like(scan[0])
    data[inside] = (values - values.mean()) / values.std()
    again = segmenter(data, scan[1]).labels
    assert dice(plain.labels > 0, again > 0) > 0.98
    assert worst_dice(plain.labels, again) > 0.8


def test_a_mirrored_head_has_its_sides_swapped(
    segmenter: BrainSegmenter, scan: Scan, plain: Segmented
) -> None:
    """Mirror the anatomy but not the header: what was left is labelled right, and so on."""
    found = segmenter(np.ascontiguousarray(scan[0][::-1]), scan[1])
    for left, right in ((2, 41), (3, 42), (17, 53), (10, 49), (12, 51)):
        back = found.labels[::-1]
        assert dice(plain.labels == left, back == right) > 0.85
        assert dice(plain.labels == left, back == left) < 0.1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_of_5_mm(segmenter: BrainSegmenter, scan: Scan, plain: Segmented, axis: int) -> None:
    data, affine = scan
    size = np.array(data.shape) * 2  # mm
    thick = np.diag([2.0, 2.0, 2.0, 1.0])
    thick[axis, axis] = 5.0
    shape = [int(n // s) for n, s in zip(size, np.diag(thick)[:3], strict=True)]
    thick[:3, 3] = affine[:3, 3] + (np.diag(thick)[:3] - 2) / 2
    where = np.indices(shape).reshape(3, -1)
    rows = (thick[:3, :3] @ where + thick[:3, 3:]) - affine[:3, 3:]
    from scipy import ndimage

    blurred = ndimage.gaussian_filter1d(data, 1.0, axis=axis)
    sampled = ndimage.map_coordinates(blurred, rows / 2, order=1).reshape(shape)
    found = segmenter(sampled.astype(np.float32), thick)
    nearest = np.rint(rows / 2).astype(int).clip(0, np.array(data.shape)[:, None] - 1)
    truth = plain.labels[tuple(nearest)].reshape(shape)
    scores = {i: dice(truth == i, found.labels == i) for i in (2, 41, 8, 10, 49, 16, 12, 51)}
    assert min(scores.values()) > 0.75, scores


def test_a_brain_far_from_the_origin_in_a_large_field_of_view(
    ensemble: BrainSegmenter, scan: Scan
) -> None:
    data = np.pad(scan[0], ((60, 5), (5, 70), (90, 5)))
    affine = scan[1].copy()
    affine[:3, 3] = (400.0, -900.0, 70.0)
    found, plain = ensemble(data, affine), ensemble(*scan)
    cut = found.labels[60:-5, 5:-70, 90:-5]
    assert worst_dice(plain.labels, cut) > 0.8  # the grids differ by parts of a voxel
    assert (cut > 0).sum() > 0.99 * (found.labels > 0).sum()


@pytest.mark.parametrize("what", ["air", "noise", "ball"])
def test_no_brain_no_finding(ensemble: BrainSegmenter, what: str) -> None:
    rng = np.random.default_rng(0)
    data = np.zeros((60, 60, 60), np.float32)
    if what != "air":
        data = rng.normal(100, 20, data.shape).astype(np.float32)
    if what == "ball":
        spots = np.indices(data.shape) - 30
        data[(spots**2).sum(0) > 24**2] = 0
    found = ensemble(data, np.diag([3.0, 3.0, 3.0, 1.0]))
    assert not found.found
    assert not found.labels.any()
    assert not found.whole.any()


def test_a_volume_too_small_for_a_brain(segmenter: BrainSegmenter, scan: Scan) -> None:
    """As of a mouse."""
    small = scan[1] @ np.diag([0.1, 0.1, 0.1, 1.0])
    assert not segmenter(scan[0], small).found


def test_the_ensemble_has_no_favourite_side(ensemble: BrainSegmenter, scan: Scan) -> None:
    """Passes over a mirrored scan give what those over the scan give, mirrored."""
    grid = WorldGrid.around(np.zeros(3), (64, 64, 64), 2.0)
    image = to_grid(scan[0], scan[1], grid, torch.device("cpu"))
    one = ensemble._predict(image)
    other = ensemble._predict(image.flip(0)).flip(1)
    other[-1] = 1 - other[-1]
    torch.testing.assert_close(one[:-1].sum(0), torch.ones(grid.size))
    same = (one[:-1].argmax(0) == other[:-1].argmax(0)).float().mean()
    assert same > 0.97  # the blocks of the moved passes lie differently, all else is equal
