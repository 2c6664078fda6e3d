"""Grids in world space: exact positions, no dependence on storage order."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch

from mmtool.pipelines import world_grid
from mmtool.pipelines.world_grid import WorldGrid, ras_view, straight, to_grid, world_box

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


def stored(data: np.ndarray, affine: np.ndarray, order: tuple[int, ...], flips: tuple[bool, ...]):
    """The same volume with its axes permuted and flipped."""
    turned, matrix = data.transpose(order), affine[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            turned = np.flip(turned, axis)
            matrix[:3, 3] += matrix[:3, axis] * (turned.shape[axis] - 1)
            matrix[:3, axis] *= -1
    return turned, matrix


@pytest.mark.parametrize("spacing", [(0.9, 0.7, 1.3), (1.0, 2.0, 4.0), (2.7, 1.1, 5.0)])
def test_straight_files_give_the_same_bits_in_any_storage_order(
    spacing: tuple[float, float, float],
) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(100, 30, (14, 17, 11)).astype(np.int16)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (3.25, -8.5, 11.125)
    grid = WorldGrid.covering(data.shape, affine, (2.0, 1.5, 3.0), (2, 4, 1))
    want = to_grid(data, affine, grid, CPU, outside=7.0)
    for order in permutations(range(3)):
        for flips in product((False, True), repeat=3):
            turned, matrix = stored(data, affine, order, flips)
            again = WorldGrid.covering(turned.shape, matrix, (2.0, 1.5, 3.0), (2, 4, 1))
            assert again.origin == pytest.approx(grid.origin, abs=1e-12)
            for copy in (turned, np.asfortranarray(turned), np.ascontiguousarray(turned)):
                assert torch.equal(to_grid(copy, matrix, again, CPU, outside=7.0), want)


@pytest.mark.parametrize("degrees", [0.0, 13.0])
def test_slabs_change_nothing(monkeypatch: pytest.MonkeyPatch, degrees: float) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(100, 30, (20, 22, 18)).astype(np.float32)
    affine = oblique((0.9, 1.1, 1.7), degrees)
    grid = WorldGrid.covering(data.shape, affine, 1.6, 4)
    want = to_grid(data, affine, grid, CPU)
    monkeypatch.setattr(world_grid, "_SLAB_VOXELS", 700)
    got = to_grid(data, affine, grid, CPU)
    torch.testing.assert_close(got, want, rtol=0, atol=0 if degrees == 0 else 2e-3)


def test_a_turn_of_nothing_is_the_straight_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of resampling agree where both are possible."""
    rng = np.random.default_rng(1)
    data = rng.normal(0, 1, (20, 22, 18)).astype(np.float32)
    affine = oblique((0.9, 1.1, 1.7), 0.0)
    grid = WorldGrid.covering(data.shape, affine, (1.6, 2.0, 3.0), 4)
    want = to_grid(data, affine, grid, CPU)
    monkeypatch.setattr(world_grid, "straight", lambda shape, matrix: False)
    torch.testing.assert_close(to_grid(data, affine, grid, CPU), want, rtol=0, atol=1e-4)


def test_a_view_in_ras_writes_into_the_array() -> None:
    data = np.zeros((4, 5, 6), np.uint8)
    affine = np.array([[0, 0, -2.0, 9], [-1, 0, 0, 3], [0, 3, 0, -4], [0, 0, 0, 1]])
    view, matrix = ras_view(data, affine)
    assert view.shape == (6, 4, 5)
    assert straight(view.shape, matrix)
    assert (np.diag(matrix)[:3] > 0).all()
    view[1, 2, 3] = 7
    ((i, j, k),) = np.argwhere(data == 7)
    np.testing.assert_allclose(affine @ [i, j, k, 1], matrix @ [1, 2, 3, 1])


def test_rounding_is_still_straight_and_a_degree_is_not() -> None:
    shape = (512, 512, 800)
    affine = oblique((0.5, 0.5, 0.5), 0.0)
    affine[0, 1] = 1e-8
    assert straight(shape, affine)
    assert not straight(shape, oblique((0.5, 0.5, 0.5), 1.0))


@pytest.mark.parametrize("degrees", [0.0, 13.0])
def test_the_volume_is_left_alone(degrees: float) -> None:
    data = np.asfortranarray(np.random.default_rng(0).random((12, 10, 8)).astype(np.float32))
    before = data.copy()
    affine = oblique((1.5, 1.0, 2.5), degrees)
    to_grid(data, affine, WorldGrid.covering(data.shape, affine, 2.0), CPU, outside=3.0)
    np.testing.assert_array_equal(data, before)
