"""Grids in world space: exact positions, no dependence on storage order."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch

from mmtool.pipelines.world_grid import WorldGrid, from_grid, to_grid, world_box

CPU = torch.device("cpu")


def oblique(spacing: tuple[float, float, float], degrees: float) -> np.ndarray:
    """Affine of a grid turned about the S axis, with an offset."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag(spacing)
    affine[:3, 3] = (-20.0, 7.5, 3.25)
    return affine


def ramp(shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """Intensity that is a linear function of world position."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    return (world @ np.array([0.3, -0.2, 0.5]) + 40).astype(np.float32)


@pytest.mark.parametrize("degrees", [0.0, 17.0, 90.0])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 5.0), (2.0, 3.0, 2.0)])
def test_linear_images_keep_their_values(
    spacing: tuple[float, float, float], degrees: float
) -> None:
    """Averaging and interpolation are exact on a linear image, so position errors show."""
    affine = oblique(spacing, degrees)
    shape = (40, 36, 20)
    grid = WorldGrid.covering(shape, affine, 2.0, 4)
    got = to_grid(ramp(shape, affine), affine, grid, CPU).numpy()
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.size), indexing="ij"), -1)
    world = grid.centre_of(index)
    want = world @ np.array([0.3, -0.2, 0.5]) + 40
    source = (world - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    margin = 1 + 2 / np.array(spacing)
    deep = ((source >= margin) & (source <= np.array(shape) - 1 - margin)).all(-1)
    assert deep.sum() > 100
    np.testing.assert_allclose(got[deep], want[deep], atol=2e-3)


@pytest.mark.parametrize("spacing", [0.5, 1.0, 2.0])
def test_an_aligned_grid_only_averages(spacing: float) -> None:
    """Faces on faces: every voxel of the grid is the mean of whole voxels of the file."""
    rng = np.random.default_rng(0)
    shape = (24, 32, 28)
    data = rng.random(shape).astype(np.float32)
    affine = np.diag([-spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (11.3, -7.1, 40.7)
    face, _ = world_box(shape, affine)
    grid = WorldGrid.around(np.array([5.0, 0.0, 44.0]), (3, 3, 3), 2.0).aligned(face)
    got = to_grid(data, affine, grid, CPU).numpy()
    n = round(2 / spacing)
    low = np.round((np.array(grid.origin) - 1 - face) / spacing).astype(int)
    box = data[::-1][tuple(slice(a, a + 3 * n) for a in low)]
    want = box.reshape(3, n, 3, n, 3, n).mean((1, 3, 5))
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("noise", [-1e-9, 0.0, 1e-9])
def test_ties_are_broken_alike(noise: float) -> None:
    grid = WorldGrid((1.0 + noise, 2.0, 3.0), 2.0, (4, 4, 4)).aligned(np.zeros(3) - 1)
    assert grid.origin == pytest.approx((2.0, 2.0, 4.0), abs=1e-6)


def test_zero_outside_the_volume() -> None:
    affine = np.eye(4)
    grid = WorldGrid((-50.2, -50.2, -50.2), 2.0, (60, 60, 60))
    got = to_grid(np.ones((10, 10, 10), np.float32), affine, grid, CPU)
    total = float(got.sum()) * 8
    assert total == pytest.approx(1000, rel=1e-3)
    assert float(got[0, 0, 0]) == 0


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_storage_order_does_not_matter(order: tuple[int, int, int]) -> None:
    """Any axis permutation and flip of the file gives the same image in world space."""
    rng = np.random.default_rng(0)
    data = rng.random((12, 10, 8)).astype(np.float32)
    affine = oblique((1.5, 1.0, 2.5), 8.0)
    grid = WorldGrid.covering(data.shape, affine, 2.0, 4)
    want = to_grid(data, affine, grid, CPU)
    for flips in product((False, True), repeat=3):
        turned, matrix = data.transpose(order), affine[:, [*order, 3]]
        for axis, flip in enumerate(flips):
            if flip:
                turned = np.flip(turned, axis)
                matrix = matrix.copy()
                matrix[:3, 3] += matrix[:3, axis] * (turned.shape[axis] - 1)
                matrix[:3, axis] *= -1
        got = to_grid(turned, matrix, grid, CPU)
        torch.testing.assert_close(got, want, atol=2e-4, rtol=1e-4)


def test_back_on_the_file_grid() -> None:
    """A world-linear map comes back with the world position of each voxel.

    Beyond the outermost centres of the grid its edge is repeated.
    """
    affine = oblique((1.0, 1.2, 3.0), -12.0)
    shape = (30, 28, 12)
    grid = WorldGrid.covering(shape, affine, 2.0, 4)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.size), indexing="ij"), -1)
    maps = torch.tensor(np.moveaxis(grid.centre_of(index), -1, 0), dtype=torch.float32)
    got = np.full((3, *shape), np.nan, np.float32)
    for region, values in from_grid(maps, grid, shape, affine, world_box(shape, affine)):
        got[(slice(None), *region)] = values
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    want = voxels @ affine[:3, :3].T + affine[:3, 3]
    want = want.clip(grid.centre_of(np.zeros(3)), grid.centre_of(np.array(grid.size) - 1.0))
    np.testing.assert_allclose(np.moveaxis(got, 0, -1), want, atol=1e-2)


def test_a_box_beside_the_file_gives_nothing() -> None:
    grid = WorldGrid((0.0, 0.0, 0.0), 2.0, (8, 8, 8))
    box = (np.full(3, 500.0), np.full(3, 600.0))
    assert list(from_grid(torch.zeros(1, 8, 8, 8), grid, (5, 5, 5), np.eye(4), box)) == []
