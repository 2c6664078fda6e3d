"""From a world grid back to the grid of a file, whole or row by row."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mmtool.pipelines import file_grid
from mmtool.pipelines.file_grid import from_grid, from_rows
from mmtool.pipelines.world_grid import WorldGrid, ras_view, world_box

Affine = NDArray[np.float64]


def turned(spacing: tuple[float, float, float], degrees: float) -> Affine:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag(spacing)
    affine[:3, 3] = (-20.0, 7.5, 3.25)
    return affine


def in_rows(maps: torch.Tensor, axis: int, cuts: list[int]) -> Iterator[tuple[int, torch.Tensor]]:
    edges = [0, *cuts, maps.shape[axis + 1]]
    for start, stop in pairwise(edges):
        yield start, maps.narrow(axis + 1, start, stop - start)


def collected(pieces: Iterator[file_grid.Piece], channels: int, shape, affine) -> NDArray:
    """All values as an array on the grid of the file; every voxel is given once at most."""
    out = np.full((channels, *shape), np.nan, np.float32)
    times = np.zeros(shape, int)
    for piece in pieces:
        view = ras_view(times, affine)[0][piece.region]
        view += 1 if piece.mine is None else piece.mine.numpy()
        for channel in range(channels):
            piece.put(out[channel], affine, piece.values[channel])
    assert times.max() <= 1
    return out


@pytest.mark.parametrize("degrees", [0.0, -12.0, 90.0, 38.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_world_position_of_every_voxel(degrees: float, axis: int) -> None:
    """A world-linear map comes back with the position of each voxel of the file.

    Beyond the outermost centres of the grid its edge is repeated.
    """
    affine, shape = turned((1.0, 1.2, 3.0), degrees), (30, 28, 12)
    grid = WorldGrid.covering(shape, affine, (2.0, 1.5, 2.5), 4)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.size), indexing="ij"), -1)
    maps = torch.tensor(np.moveaxis(grid.centre_of(index), -1, 0), dtype=torch.float32)
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    want = voxels @ affine[:3, :3].T + affine[:3, 3]
    want = want.clip(grid.centre_of(np.zeros(3)), grid.centre_of(np.array(grid.size) - 1.0))
    for cuts in ([], [1], [3, 4, 5], [grid.size[axis] - 1]):
        pieces = from_rows(in_rows(maps, axis, cuts), grid, shape, affine, axis=axis)
        got = collected(pieces, 3, shape, affine)
        np.testing.assert_allclose(np.moveaxis(got, 0, -1), want, atol=1e-2)


@pytest.mark.parametrize("spacing", [(1.0, 1.2, 3.0), (2.0, 2.0, 2.0), (3.7, 5.0, 0.6)])
def test_rows_or_whole_same_bits(
    spacing: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    affine, shape = turned(spacing, 90.0), (20, 18, 12)
    grid = WorldGrid.covering(shape, affine, 2.0, 2)
    maps = torch.rand((4, *grid.size), generator=torch.Generator().manual_seed(0))
    want = collected(from_grid(maps, grid, shape, affine), 4, shape, affine)
    assert np.isfinite(want).all()
    monkeypatch.setattr(file_grid, "_SLAB_VALUES", 500)
    for cuts in (list(range(1, grid.size[2])), [grid.size[2] // 2]):
        got = collected(from_rows(in_rows(maps, 2, cuts), grid, shape, affine), 4, shape, affine)
        np.testing.assert_array_equal(got, want)


def test_both_ways_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    affine, shape = turned((1.0, 1.2, 3.0), 0.0), (30, 28, 12)
    grid = WorldGrid.covering(shape, affine, 2.0, 4)
    maps = torch.rand((4, *grid.size), generator=torch.Generator().manual_seed(0))
    want = collected(from_grid(maps, grid, shape, affine), 4, shape, affine)
    monkeypatch.setattr(file_grid, "straight", lambda shape, matrix: False)
    got = collected(from_rows(in_rows(maps, 2, [2, 5]), grid, shape, affine), 4, shape, affine)
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_storage_order_changes_no_bit(order: tuple[int, int, int]) -> None:
    affine, shape = turned((1.1, 0.9, 2.5), 0.0), (12, 14, 9)
    grid = WorldGrid.covering(shape, affine, 2.0, 2)
    maps = torch.rand((2, *grid.size), generator=torch.Generator().manual_seed(0))
    want = collected(from_grid(maps, grid, shape, affine), 2, shape, affine)
    other = affine[:, [*order, 3]].copy()
    lengths = [shape[a] for a in order]
    other[:3, 3] += other[:3, 0] * (lengths[0] - 1)
    other[:3, 0] *= -1
    got = collected(from_grid(maps, grid, tuple(lengths), other), 2, tuple(lengths), other)
    back = np.flip(got, 1).transpose(0, *(np.argsort(order) + 1))
    np.testing.assert_array_equal(back, want)


def test_only_the_box_that_matters() -> None:
    affine, shape = np.eye(4), (20, 20, 20)
    grid = WorldGrid.covering(shape, affine, 2.0, 1)
    box = (np.array([4.0, 5.0, 6.0]), np.array([9.0, 9.0, 9.0]))
    maps = torch.ones(1, *grid.size)
    got = collected(from_grid(maps, grid, shape, affine, box), 1, shape, affine)[0]
    spots = np.argwhere(np.isfinite(got))
    assert spots.min(0).tolist() == [4, 5, 6]
    assert spots.max(0).tolist() == [9, 9, 9]


def test_a_box_beside_the_file_gives_nothing() -> None:
    grid = WorldGrid((0.0, 0.0, 0.0), 2.0, (8, 8, 8))
    box = (np.full(3, 500.0), np.full(3, 600.0))
    assert list(from_grid(torch.zeros(1, 8, 8, 8), grid, (5, 5, 5), np.eye(4), box)) == []


def test_a_gap_between_rows_is_an_error() -> None:
    grid = WorldGrid.covering((8, 8, 8), np.eye(4), 1.0, 1)
    rows = [(0, torch.zeros(1, 8, 8, 2)), (3, torch.zeros(1, 8, 8, 5))]
    with pytest.raises(ValueError, match="follow row 2"):
        list(from_rows(rows, grid, (8, 8, 8), np.eye(4)))


def test_outside_the_grid_is_zero() -> None:
    grid = WorldGrid((0.0, 0.0, 0.0), 1.0, (3, 3, 3))
    maps = torch.ones(1, 3, 3, 3)
    low, high = world_box((9, 9, 9), np.eye(4))
    got = collected(
        from_grid(maps, grid, (9, 9, 9), np.eye(4), (low, high)), 1, (9, 9, 9), np.eye(4)
    )
    assert np.nan_to_num(got).sum() == 27
