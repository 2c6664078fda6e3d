"""Nearest vectors by a Qdrant server, for collections that outgrow one machine (extra ``qdrant``).

A space of an index becomes a collection ``NAME-SPACE`` whose points have the ids of the items and a
checksum of their vectors. The index keeps items, facts and words; nothing about a patient gets to
the server.
"""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError, ModelError, UsageError
from mmtool.io.index import IndexReader, Space
from mmtool.models.retrieval.scan import gather

_TOGETHER = 1_000  # points that are sent or listed at a time
_SECONDS = 30
_SUM = "crc32"  # of a vector's bytes: items of an index that is built anew have the old ids
_NO_ENTRY = (401, 403)
_AGAIN = "'mmtool index ... --qdrant' brings it up to date"

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
            with warnings.catch_warnings():  # of a key without TLS, which the documentation tells
                warnings.simplefilter("ignore", UserWarning)
                return QdrantClient(
                    url=address, api_key=key, timeout=_SECONDS, check_compatibility=False
                )
        return QdrantClient(path=address)


def answers(client: Any, address: str) -> None:
    """Hear from a server once.

    Raises:
        InputError: It can't be reached, or refuses.
    """
    with _told(address):
        client.get_collections()


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

    def upload_all(self) -> tuple[int, int]:
        """Bring all spaces to what the index holds; see `upload`."""
        done = [self.upload(space) for space in self._reader.spaces()]
        return sum(sent for sent, _ in done), sum(gone for _, gone in done)

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
            self._check_encoder(told)
            there = dict(self._listed(collection))
            gone = sorted(there.keys() - set(ids.tolist()))
            for start in range(0, len(gone), _TOGETHER):
                some = models.PointIdsList(points=gone[start : start + _TOGETHER])
                self._client.delete(collection, some, wait=True)
            alive, sent = np.flatnonzero(ids), 0
            for start in range(0, len(alive), _TOGETHER):
                part = alive[start : start + _TOGETHER]
                sent += self._send(collection, ids[part].tolist(), gather(blocks, part), there)
        return sent, len(gone)

    def _send(
        self,
        collection: str,
        ids: Sequence[int],
        vectors: NDArray[np.float32],
        there: dict[int, Any],
    ) -> int:
        """Send those that the collection has not, or has otherwise; returns how many."""
        from qdrant_client import models

        sums = [_checksum(vector) for vector in vectors]
        new = [k for k, i in enumerate(ids) if there.get(i) != sums[k]]
        if new:
            points = models.Batch(
                ids=[ids[k] for k in new],
                vectors=vectors[new].tolist(),
                payloads=[{_SUM: sums[k]} for k in new],
            )
            self._client.upsert(collection, points, wait=True)
        return len(new)

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
        """Once a space: the collection is there, of the same encoder, and as full as the index."""
        if space in self._checked:
            return
        told = self._reader.spaces().get(space)
        collection = self._collection(space)
        if told is None:
            raise UsageError(f"the index has no vectors of '{space}'", "see its manifest.json")
        with _told(collection):
            if not self._client.collection_exists(collection):
                raise InputError(f"{collection}: no such collection", "upload the index first")
            self._check_encoder(told)
            self._check_content(space)
        self._checked.add(space)

    def _check_encoder(self, told: Space) -> None:
        collection = self._collection(told.name)
        if self._client.get_collection(collection).config.metadata != _encoder(told):
            raise ModelError(
                f"{collection}: its vectors are not by the encoder of this index",
                "upload the index under another name",
            )

    def _check_content(self, space: str) -> None:
        """Number of points and the newest one must agree.

        Ids only grow: whatever came since has a larger one, whatever went changes the number. But
        an index that was built anew begins with the old ids.
        """
        collection = self._collection(space)
        ids, blocks = self._reader.vectors(space)
        newest = int(ids.argmax()) if ids.any() else None
        there = None
        if newest is not None:
            points = self._client.retrieve(collection, [int(ids[newest])], with_payload=True)
            there = (points[0].payload or {}).get(_SUM) if points else None
            own = _checksum(gather(blocks, np.array([newest]))[0])
            if points and there != own:
                raise InputError(f"{collection}: is of another index, or of an older one", _AGAIN)
        held = self._client.count(collection, exact=True).count
        if held != np.count_nonzero(ids) or (newest is not None and there is None):
            self.notes.append(f"{collection} is not what the index holds now: {_AGAIN}")

    def _listed(self, collection: str) -> Iterator[tuple[int, Any]]:
        """Ids of the points, with the checksums of their vectors."""
        after: Any = None
        while True:
            points, after = self._client.scroll(
                collection, limit=_TOGETHER, offset=after, with_payload=True
            )
            yield from ((int(point.id), (point.payload or {}).get(_SUM)) for point in points)
            if after is None:
                return


def _checksum(vector: NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(vector, np.dtype("<f4")).tobytes())


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
        if getattr(error, "status_code", None) in _NO_ENTRY:
            raise InputError(f"{what}: Qdrant does not let us in", "check the key") from error
        raise InputError(
            f"{what}: Qdrant doesn't answer as it should ({type(error).__name__})",
            "check the address, the key and the server's log",
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{what}: can't be opened ({type(error).__name__})", "is another process using it?"
        ) from error
