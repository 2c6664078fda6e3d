"""Approximate lists: near to exact search, never in the way of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmtool.io.index import IndexReader, IndexWriter, NewItem, Space
from mmtool.models.retrieval import exact, scan
from mmtool.pipelines.indexing_approximate import refresh_lists
from mmtool.pipelines.neighbours import FOLDER, Neighbours
from mmtool.retrieval import Source

pytest.importorskip("faiss")
ROWS, DIM = 3000, 16


def vectors(rows: int, seed: int) -> NDArray[np.float32]:
    """Around 30 centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((30, DIM))
    found = centres[rng.integers(0, 30, rows)] + 0.5 * rng.standard_normal((rows, DIM))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def extend(folder: Path, rows: NDArray[np.float32], name: str) -> None:
    with IndexWriter(folder) as writer:
        writer.use_space(Space("picture", "e", "0" * 64, {}, DIM))
        writer.add(
            NewItem(
                Source(f"{name}{k}", f"{name}{k}", "image", "0" * 64, {"age": str(k % 100)}),
                vectors={"picture": row},
            )
            for k, row in enumerate(rows)
        )
        writer.commit()


def refresh(folder: Path, smallest: int = 1000) -> list[str]:
    with IndexWriter(folder) as writer:
        writer.compact()
        return refresh_lists(writer, smallest)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lists") / "x.mmidx"
    extend(folder, vectors(ROWS, 0), "a")
    assert refresh(folder) == ["picture"]
    return folder


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of an index with lists."""
    import shutil

    shutil.copytree(made, tmp_path / "x.mmidx")
    return tmp_path / "x.mmidx"


def agreement(folder: Path, seed: int, allowed: NDArray[np.int64] | None = None) -> float:
    """Share of the ten nearest that are found, all of them with exact scores."""
    queries = vectors(20, seed)
    with IndexReader(folder) as reader:
        near = Neighbours(reader)
        found, scores = near.nearest("picture", queries, 10, allowed)
        assert not near.notes
        ids, blocks = reader.vectors("picture")
        marks = None if allowed is None else np.isin(ids, allowed)
        truth, best = exact.search(exact.Rows(ids, blocks), queries, 10, marks)
    same = [np.isin(f, t) for f, t in zip(found, truth, strict=True)]
    for row in range(len(queries)):
        kept = np.isin(truth[row], found[row])
        np.testing.assert_array_equal(scores[row][same[row]], best[row][kept])
    if allowed is not None:
        assert np.isin(found[found != 0], allowed).all()
    return float(np.mean(same))


def test_lists_are_measured_and_noted(index: Path) -> None:
    with IndexReader(index) as reader:
        noted = reader.manifest["spaces"]["picture"]["measured"]["approximate"]
    assert noted["vectors"] == ROWS
    assert noted["recall_at_10"] >= 0.99
    assert noted["bytes"] == sum(p.stat().st_size for p in (index / FOLDER).iterdir())
    assert agreement(index, 5) > 0.97


def test_they_stay_while_little_changes(index: Path) -> None:
    before = list((index / FOLDER).iterdir())
    extend(index, vectors(200, 1), "b")
    assert refresh(index) == []
    assert list((index / FOLDER).iterdir()) == before
    assert agreement(index, 6) > 0.97
    own = vectors(200, 1)[:5]
    with IndexReader(index) as reader:  # what came later is found as well
        found, scores = Neighbours(reader).nearest("picture", own, 1)
    assert (found[:, 0] > ROWS).all()
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-6)
    extend(index, vectors(200, 2), "c")
    assert refresh(index) == ["picture"]
    after = list((index / FOLDER).iterdir())
    assert len(after) == 1
    assert after != before


def test_what_is_gone_is_not_found(index: Path) -> None:
    with IndexReader(index) as reader:
        every = reader.select()
    with IndexWriter(index) as writer:
        writer.remove(every[::5].tolist())
        writer.commit()
    assert agreement(index, 7) > 0.97
    assert refresh(index) == []  # tidied up: rows have moved
    assert agreement(index, 7) > 0.97
    with IndexWriter(index) as writer:
        writer.remove(every[1::5].tolist())
        writer.commit()
    assert refresh(index) == ["picture"]
    assert refresh(index, smallest=10 * ROWS) == []
    assert list((index / FOLDER).iterdir()) == []
    assert agreement(index, 7) == 1


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_filter_is_respected(index: Path, share: float) -> None:
    with IndexReader(index) as reader:
        every = reader.select()
    rng = np.random.default_rng(0)
    allowed = every[rng.random(len(every)) < share]
    assert agreement(index, 8, allowed) > 0.97


def test_a_filter_far_from_the_query_still_fills_the_answer(index: Path) -> None:
    """Allowed is one half, that on the other side of the query."""
    query = vectors(1, 3)
    with IndexReader(index) as reader:
        ids, blocks = reader.vectors("picture")
        far = np.sort(ids[np.argsort(np.concatenate(blocks) @ query[0])[: ROWS // 2]])
        found, _ = Neighbours(reader).nearest("picture", query, 10, far)
        everything, _ = Neighbours(reader).nearest("picture", query, ROWS + 5)
    assert np.isin(found, far).all()
    assert np.count_nonzero(everything) == ROWS


@pytest.mark.parametrize("harm", ["bytes", "cut", "absent", "record"])
def test_damaged_lists_are_told_and_made_anew(index: Path, harm: str) -> None:
    path = next((index / FOLDER).iterdir())
    whole = path.read_bytes()
    match harm:
        case "bytes":
            path.write_bytes(whole[:5000] + bytes(100) + whole[5100:])
        case "cut":
            path.write_bytes(whole[:-300])
        case "absent":
            path.unlink()
        case _:
            with IndexWriter(index) as writer:
                writer.note_measured("picture", {"approximate": {"sha256": 5}})
    with IndexReader(index) as reader:
        near = Neighbours(reader)
        found, _ = near.nearest("picture", vectors(3, 9), 10)
        ids, blocks = reader.vectors("picture")
    np.testing.assert_array_equal(
        found, exact.search(exact.Rows(ids, blocks), vectors(3, 9), 10)[0]
    )
    assert "damaged" in near.notes[0]
    assert refresh(index) == ["picture"]
    assert agreement(index, 9) > 0.97


def test_without_faiss(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("inverted", "scan"):
        monkeypatch.setattr(f"mmtool.models.retrieval.{module}.faiss_library", lambda: None)
    monkeypatch.setattr("mmtool.pipelines.indexing_approximate.faiss_library", lambda: None)
    assert scan.faiss_library() is None
    assert refresh(index) == []
    with IndexReader(index) as reader:
        near = Neighbours(reader)
        found, _ = near.nearest("picture", vectors(1, 9), 10)
        assert "mmtool[ann]" in near.notes[0]
        ids, blocks = reader.vectors("picture")
        np.testing.assert_array_equal(
            found, exact.search(exact.Rows(ids, blocks), vectors(1, 9), 10)[0]
        )
