"""Nearest vectors by a Qdrant server, for collections that outgrow one machine (extra ``qdrant``).

A space of an index becomes a collection ``NAME-SPACE`` whose points have the ids of the items. The
index keeps items, facts and words; the server has vectors only, so nothing about a patient gets
there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError, ModelError, UsageError
from mmtool.io.index import IndexReader, Space
from mmtool.models.retrieval.scan import gather

_TOGETHER = 1_000  # points that are sent or listed at a time
_SECONDS = 30

Found = tuple[NDArray[np.int64], NDArray[np.float32]]


def connect(address: str, key: str | None = None) -> Any:
    """A client of a server, or of a folder or ``:memory:`` that acts as one (for trials).

    Args:
        address: ``http://HOST:PORT``, a path, or ``:memory:``.
        key: Of the server, if it asks for one.

    Raises:
        UsageError: The extra ``qdrant`` isn't installed.
    """
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise UsageError(
            "Qdrant needs a package that is absent", "pip install 'mmtool[qdrant]'"
        ) from error
    with _told(address):
        if address == ":memory:":
            return QdrantClient(":memory:")
        if address.startswith(("http://", "https://")):
            return QdrantClient(
                url=address, api_key=key, timeout=_SECONDS, check_compatibility=False
            )
        return QdrantClient(path=address)


class QdrantNeighbours:
    """Same as `mmtool.pipelines.neighbours.Neighbours`, by a server.

    Args:
        reader: The index.
        client: See `connect`.
        name: First part of the collections' names.
    """

    def __init__(self, reader: IndexReader, client: Any, name: str) -> None:
        self._reader, self._client, self._name = reader, client, name
        self._checked: set[str] = set()
        self.notes: list[str] = []

    def upload(self, space: str) -> tuple[int, int]:
        """Bring a collection to what the index holds; returns points sent and points deleted.

        Raises:
            UsageError: No such space.
            ModelError: The collection is of another encoder.
            InputError: The server can't be reached, or refuses.
        """
        from qdrant_client import models

        ids, blocks = self._reader.vectors(space)
        told = self._reader.spaces()[space]
        collection = self._collection(space)
        with _told(collection):
            if not self._client.collection_exists(collection):
                how = models.VectorParams(size=told.dim, distance=models.Distance.DOT)
                self._client.create_collection(
                    collection, vectors_config=how, metadata=_encoder(told)
                )
            self._check(space)
            there = np.fromiter(self._listed(collection), np.int64)
            gone = np.setdiff1d(there, ids)
            for start in range(0, len(gone), _TOGETHER):
                some = gone[start : start + _TOGETHER].tolist()
                self._client.delete(collection, models.PointIdsList(points=some), wait=True)
            rows = np.flatnonzero((ids != 0) & ~np.isin(ids, there))
            for start in range(0, len(rows), _TOGETHER):
                part = rows[start : start + _TOGETHER]
                vectors = gather(blocks, part).tolist()
                points = models.Batch(ids=ids[part].tolist(), vectors=vectors)
                self._client.upsert(collection, points, wait=True)
        return len(rows), len(gone)

    def nearest(
        self,
        space: str,
        queries: NDArray[np.float32],
        k: int,
        allowed: NDArray[np.int64] | None = None,
    ) -> Found:
        """See `Neighbours.nearest`; scores and recall are the server's.

        Raises:
            UsageError: No such space.
            ModelError: The collection is of another encoder.
            InputError: No such collection, or the server can't be reached.
            ValueError: k < 1, or a query that isn't finite.
        """
        from qdrant_client import models

        if k < 1 or not np.isfinite(queries).all():
            raise ValueError("k must be 1 at least, and queries finite")
        ids, scores = np.zeros((len(queries), k), np.int64), np.full((len(queries), k), -np.inf)
        only = None
        if allowed is not None:
            if not len(allowed):
                return ids, scores.astype(np.float32)
            only = models.Filter(must=[models.HasIdCondition(has_id=allowed.tolist())])
        self._check(space)
        for row, query in enumerate(queries):
            with _told(self._collection(space)):
                points = self._client.query_points(
                    self._collection(space),
                    query=query.tolist(),
                    query_filter=only,
                    limit=k,
                    with_payload=False,
                ).points
            best = sorted(points, key=lambda p: (-p.score, p.id))
            ids[row, : len(best)] = [int(p.id) for p in best]
            scores[row, : len(best)] = [p.score for p in best]
        return ids, scores.astype(np.float32)

    def _collection(self, space: str) -> str:
        return f"{self._name}-{space}"

    def _check(self, space: str) -> None:
        if space in self._checked:
            return
        told = self._reader.spaces().get(space)
        collection = self._collection(space)
        if told is None:
            raise UsageError(f"the index has no vectors of '{space}'", "see its manifest.json")
        with _told(collection):
            if not self._client.collection_exists(collection):
                raise InputError(f"{collection}: no such collection", "upload the index first")
            metadata = self._client.get_collection(collection).config.metadata
        if metadata != _encoder(told):
            raise ModelError(
                f"{collection}: its vectors are not by the encoder of this index",
                "upload the index under another name",
            )
        self._checked.add(space)

    def _listed(self, collection: str) -> Iterator[int]:
        after: Any = None
        while True:
            points, after = self._client.scroll(
                collection, limit=_TOGETHER, offset=after, with_payload=False
            )
            yield from (int(point.id) for point in points)
            if after is None:
                return


def _encoder(space: Space) -> dict[str, str]:
    """What two spaces must share so that their vectors may be compared."""
    how = json.dumps(dict(space.preprocessing), sort_keys=True)
    return {"sha256": space.sha256, "preprocessing": how, "dim": str(space.dim)}


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Errors of the server and of the way to it become ours."""
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        raise InputError(
            f"{what}: Qdrant doesn't answer as it should ({type(error).__name__})",
            "check the address, the key and the server's log",
        ) from error
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{what}: can't be opened ({type(error).__name__})", "is another process using it?"
        ) from error
