"""A server's answers against exact search, by Qdrant's embedded mode."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmtool.errors import InputError, ModelError, UsageError
from mmtool.io.index import IndexReader, IndexWriter, NewItem, Space
from mmtool.models.retrieval import exact
from mmtool.pipelines.qdrant_neighbours import QdrantNeighbours, connect
from mmtool.retrieval import Source

pytest.importorskip("qdrant_client")
DIM = 8


def vectors(rows: int, seed: int) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def extend(folder: Path, rows: NDArray[np.float32], name: str, sha256: str = "0" * 64) -> None:
    with IndexWriter(folder) as writer:
        writer.use_space(Space("picture", "e", sha256, {"size": 3}, DIM))
        writer.add(
            NewItem(Source(f"{name}{k}", f"{name}{k}", "image", "0"), vectors={"picture": row})
            for k, row in enumerate(rows)
        )
        writer.commit()


@pytest.mark.parametrize(("place", "rows"), [(":memory:", 1500), ("folder", 40)])
def test_a_server_follows_the_index(tmp_path: Path, place: str, rows: int) -> None:
    folder, queries = tmp_path / "x", vectors(5, 9)
    client = connect(place if place == ":memory:" else str(tmp_path / place))
    extend(folder, vectors(rows, 0), "a")
    with IndexReader(folder) as reader:
        near = QdrantNeighbours(reader, client, "study")
        with pytest.raises(InputError, match="no such collection"):
            near.nearest("picture", queries, 3)
        assert near.upload("picture") == (rows, 0)
        assert near.upload("picture") == (0, 0)
        every = reader.select()
    with IndexWriter(folder) as writer:
        writer.remove(every[:7].tolist())
        writer.commit()
    extend(folder, vectors(3, 1), "b")
    with IndexReader(folder) as reader:
        near = QdrantNeighbours(reader, client, "study")
        assert near.upload("picture") == (3, 7)
        ids, blocks = reader.vectors("picture")
        for allowed in (None, ids[ids % 3 == 1], ids[:0]):
            marks = None if allowed is None else np.isin(ids, allowed)
            found, scores = near.nearest("picture", queries, 10, allowed)
            truth, best = exact.search(exact.Rows(ids, blocks), queries, 10, marks)
            np.testing.assert_array_equal(found, truth)
            np.testing.assert_allclose(scores, best, atol=1e-5)
        with pytest.raises(UsageError, match="no vectors of"):
            near.nearest("sound", queries, 3)
        with pytest.raises(ValueError, match="finite"):
            near.nearest("picture", queries * np.nan, 3)
    client.close()


def test_another_encoder_is_refused(tmp_path: Path) -> None:
    client = connect(":memory:")
    for name, sha256 in (("x", "0" * 64), ("y", "1" * 64)):
        extend(tmp_path / name, vectors(5, 0), "a", sha256)
    with IndexReader(tmp_path / "x") as one, IndexReader(tmp_path / "y") as other:
        QdrantNeighbours(one, client, "study").upload("picture")
        near = QdrantNeighbours(other, client, "study")
        with pytest.raises(ModelError, match="not by the encoder"):
            near.upload("picture")
        with pytest.raises(ModelError, match="not by the encoder"):
            near.nearest("picture", vectors(1, 0), 1)
    client.close()


def test_no_server(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    extend(tmp_path / "x", vectors(5, 0), "a")
    client = connect(f"http://127.0.0.1:{port}")
    with IndexReader(tmp_path / "x") as reader:
        near = QdrantNeighbours(reader, client, "study")
        with pytest.raises(InputError, match="Qdrant doesn't"):
            near.nearest("picture", vectors(1, 0), 1)
    client.close()
