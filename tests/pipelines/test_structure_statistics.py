"""Measures of structures against solids of known size, SimpleITK and plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from dicom_series import grid

from mmtool.pipelines import structure_statistics
from mmtool.pipelines.structure_statistics import COLUMNS, measure, surface_areas, voxel_counts


def ball(radius: float, affine: np.ndarray, index: int = 1) -> np.ndarray:
    """A ball in world mm, a little off the grid, with nothing but air around it."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    half = np.ceil(radius / np.abs(np.linalg.svd(affine[:3, :3])[1]).min()).astype(int) + 2
    shape = (2 * np.minimum(half, np.ceil(1.6 * radius / steps).astype(int) + 3)) + 1
    spots = np.moveaxis(np.indices(shape), 0, -1) - (shape - 1) / 2 + (0.13, 0.27, 0.41)
    return ((np.linalg.norm(spots @ affine[:3, :3].T, axis=-1) < radius) * index).astype(np.uint8)


@pytest.mark.parametrize(
    "affine",
    [np.eye(4), grid("LPS", (0.8, 1.2, 2.5), 33.0), grid("ASR", (2.0, 1.0, 0.7), -20.0)],
    ids=["cube", "oblique", "thin"],
)
def test_the_surface_of_a_ball(affine: np.ndarray) -> None:
    area = surface_areas(ball(20.0, affine, 7), affine)
    assert area[7] == pytest.approx(4 * np.pi * 20**2, rel=0.01)
    assert area.sum() == area[7]


def test_the_surface_of_a_ball_on_a_sheared_grid() -> None:
    affine = np.eye(4)
    affine[0, 2] = 0.4
    assert surface_areas(ball(15, affine), affine)[1] == pytest.approx(4 * np.pi * 225, rel=0.015)


def test_the_surface_is_that_of_simpleitk() -> None:
    labels = (np.random.default_rng(0).random((20, 18, 16)) > 0.7).astype(np.uint8)
    labels[[0, -1]] = labels[:, [0, -1]] = labels[:, :, [0, -1]] = 0
    peer = SimpleITK.LabelShapeStatisticsImageFilter()
    peer.ComputePerimeterOn()
    peer.Execute(SimpleITK.GetImageFromArray(np.ascontiguousarray(labels.T)))
    assert surface_areas(labels, np.eye(4))[1] == pytest.approx(peer.GetPerimeter(1), rel=1e-9)


def test_small_slabs_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(1).integers(0, 4, (9, 8, 7)).astype(np.uint8)
    whole, counts = surface_areas(labels, np.eye(4)), voxel_counts(labels)
    monkeypatch.setattr(structure_statistics, "_SLAB", 1)
    np.testing.assert_allclose(surface_areas(labels, np.eye(4)), whole, rtol=1e-12)
    np.testing.assert_array_equal(voxel_counts(labels), counts)
    np.testing.assert_array_equal(counts, np.bincount(labels.ravel(), minlength=256))


@pytest.mark.parametrize("turn", [0.0, 28.0])
def test_all_columns_against_plain_arithmetic(turn: float) -> None:
    rng = np.random.default_rng(2)
    affine = grid("PIR", (1.5, 0.9, 3.0), turn)
    labels = np.zeros((12, 15, 11), np.uint8)
    labels[2:5, 3:9, 4:10], labels[8:10, 12, 1], labels[10, 13, 2] = 17, 17, 17
    labels[6, 6, 6] = 53
    data = rng.normal(40, 9, labels.shape).astype(np.float32)
    data[2, 3, 4] = np.nan
    rows = measure(labels, data, affine)
    assert set(rows) == {17, 53}
    for index, row in rows.items():
        assert tuple(row) == COLUMNS
        spots = np.argwhere(labels == index)
        world = spots @ affine[:3, :3].T + affine[:3, 3]
        values = data[labels == index]
        values = values[np.isfinite(values)].astype(float)
        half = np.abs(affine[:3, :3]).sum(1) / 2
        for axis, name in enumerate("ras"):
            low, high = row[f"bbox_{name}_min_mm"], row[f"bbox_{name}_max_mm"]
            assert row[f"centroid_{name}_mm"] == pytest.approx(world[:, axis].mean(), abs=0.006)
            assert low == pytest.approx(world[:, axis].min() - half[axis], abs=0.006)
            assert high == pytest.approx(world[:, axis].max() + half[axis], abs=0.006)
        for axis, name in enumerate("ijk"):
            ends = (row[f"bbox_{name}_min"], row[f"bbox_{name}_max"])
            assert ends == (spots[:, axis].min(), spots[:, axis].max())
        told = [row[f"intensity_{name}"] for name in ("mean", "sd", "p5", "median", "p95")]
        plain = (values.mean(), values.std(), *np.percentile(values, (5, 50, 95)))
        assert told == pytest.approx(plain, rel=1e-4, abs=1e-5)
    # The last two voxels of 17 touch by a corner only: one piece.
    assert (rows[17]["components"], rows[53]["components"]) == (2, 1)
    assert rows[53]["intensity_sd"] == 0


def test_nothing_and_everything() -> None:
    empty = np.zeros((4, 4, 4), np.uint8)
    assert measure(empty, empty, np.eye(4)) == {}
    full = np.full((4, 4, 4), 255, np.uint8)
    (row,) = measure(full, np.full(full.shape, np.nan), np.eye(4)).values()
    assert row["intensity_mean"] == ""
    assert row["components"] == 1
    assert row["surface_mm2"] > 0  # the edge of the scan is a surface
