"""Exact search against sorting all float64 products, whatever the blocks and the batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmtool.models.retrieval import exact, scan


def unit(rng: np.random.Generator, rows: int, dim: int) -> NDArray[np.float32]:
    vectors = rng.standard_normal((rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_sorting(
    ids: NDArray[np.int64],
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    k: int,
    alive: NDArray[np.bool_],
) -> list[list[int]]:
    scores = (queries[:, None].astype(np.float64) * vectors).sum(2).astype(np.float32)
    rows = np.flatnonzero(alive)
    return [[int(ids[r]) for r in sorted(rows, key=lambda r: (-s[r], ids[r]))[:k]] for s in scores]


@pytest.fixture(params=["with FAISS", "without"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether FAISS is there."""
    if request.param == "without":
        monkeypatch.setattr(scan, "faiss_library", lambda: None)
    else:
        pytest.importorskip("faiss")


@pytest.mark.usefixtures("library")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 10**6), st.integers(1, 90), st.integers(1, 12), st.sampled_from([1, 5, 999]))
def test_equals_sorting(seed: int, rows: int, k: int, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng, rows, 7)
    vectors[rng.random(rows) < 0.3] = vectors[0]  # ties
    ids = rng.permutation(rows).astype(np.int64)  # one of them is gone
    cuts = np.sort(rng.integers(0, rows + 1, 2))
    blocks = np.split(vectors, cuts)
    queries = unit(rng, 3, 7) * 5
    allowed = rng.random(rows) < rng.choice([0.05, 0.5, 1.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "_FIRST", chunk)
        found, scores = exact.search(exact.Rows(ids, blocks), queries, k, allowed)
        one_by_one = [
            exact.search(exact.Rows(ids, [vectors]), q[None], k, allowed) for q in queries
        ]
    wanted = by_sorting(ids, vectors, queries, k, allowed & (ids != 0))
    assert [[i for i in row if i] for row in found.tolist()] == wanted
    assert (np.isneginf(scores) == (found == 0)).all()
    np.testing.assert_array_equal(found, np.concatenate([a[0] for a in one_by_one]))
    np.testing.assert_array_equal(scores, np.concatenate([a[1] for a in one_by_one]))


@pytest.mark.usefixtures("library")
def test_equal_vectors_tie_by_id_at_any_place() -> None:
    rng = np.random.default_rng(1)
    vectors = unit(rng, 40_000, 33)
    places = rng.choice(40_000, 25, replace=False)
    vectors[places] = vectors[0]
    ids = np.arange(40_000, 0, -1)
    found, scores = exact.search(exact.Rows(ids, [vectors]), vectors[:1], 10)
    same = np.sort(ids[np.union1d(places, 0)])
    np.testing.assert_array_equal(found[0], same[:10])
    assert (scores == scores[0, 0]).all()


def test_memory_mapped(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    vectors = unit(rng, 500, 16)
    np.save(tmp_path / "v.npy", vectors)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    ids = np.arange(1, 501)
    a = exact.search(exact.Rows(ids, [mapped]), vectors[:4], 5)
    b = exact.search(exact.Rows(ids, [vectors[:100], vectors[100:]]), vectors[:4], 5)
    np.testing.assert_array_equal(a[0], b[0])
    assert a[0][:, 0].tolist() == [1, 2, 3, 4]


def test_nan_rows_and_empty_sets_find_nothing() -> None:
    vectors = np.full((4, 2), np.nan, np.float32)
    vectors[2] = [1, 0]
    query = np.array([[1, 0]], np.float32)
    found, _ = exact.search(exact.Rows(np.arange(1, 5), [vectors]), query, 2)
    assert found.tolist() == [[3, 0]]
    none = np.zeros(0, np.int64)
    assert exact.search(exact.Rows(none, []), query, 2)[0].tolist() == [[0, 0]]
    assert exact.search(exact.Rows(np.arange(1, 5), [vectors]), query[:0], 2)[0].shape == (0, 2)


@pytest.mark.parametrize("case", ["k", "dim", "ids", "allowed", "nan"])
def test_refuses(case: str) -> None:
    ids, blocks = np.arange(1, 4), [np.ones((3, 2), np.float32)]
    query, k, allowed = np.ones((1, 2), np.float32), 1, np.ones(3, bool)
    match case:
        case "k":
            k = 0
        case "dim":
            query = np.ones((1, 3), np.float32)
        case "ids":
            ids = ids[:2]
        case "allowed":
            allowed = allowed[:2]
        case _:
            query = query * np.nan
    with pytest.raises(ValueError, match=r"\w"):
        exact.search(exact.Rows(ids, blocks), query, k, allowed)
