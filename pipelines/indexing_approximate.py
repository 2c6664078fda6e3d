"""Approximate lists of an index that got large: made, measured, noted, and made anew."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.io.atomic import replace_into
from mmtool.io.index import IndexReader, IndexWriter
from mmtool.io.index.layout import told_plainly
from mmtool.models.retrieval import exact, inverted
from mmtool.models.retrieval.scan import faiss_library, gather
from mmtool.pipelines.neighbours import FOLDER, MEASURED, lists_path, whole_lists

SMALLEST = 200_000  # vectors of a space that are searched exactly in the time of a blink
_NEW, _GONE = 0.1, 0.3  # shares of the lists' vectors: beyond them the lists are made anew
_QUERIES, _K = 200, 10
_ENOUGH = 0.99  # recall up to which more lists are read
_PROBES = (16, 32, 64, 128, 256)


def refresh_lists(writer: IndexWriter, smallest: int = SMALLEST) -> list[str]:
    """Make the lists of each space that needs them, and drop what nobody needs.

    Args:
        writer: With nothing pending.
        smallest: Fewest vectors for which there are lists.

    Returns:
        Names of the spaces whose lists were made.

    Raises:
        DeviceError: The disk is full; the index is as it was.
    """
    made = []
    with IndexReader(writer.folder) as reader:
        for name, space in reader.spaces().items():
            ids, blocks = reader.vectors(name)
            measured = dict(space.measured)
            record = measured.pop(MEASURED, None)
            if np.count_nonzero(ids) < smallest or faiss_library() is None:
                if record is not None and np.count_nonzero(ids) < smallest:
                    writer.note_measured(name, measured)
            elif not _holds(reader.folder, name, record, ids):
                fresh = _make(reader.folder, name, ids, blocks)
                writer.note_measured(name, {**measured, MEASURED: fresh})
                made.append(name)
    with told_plainly(writer.folder):
        _sweep(writer)
    return made


def _holds(folder: Path, space: str, record: Any, ids: NDArray[np.int64]) -> bool:
    """Whether lists are whole and still near to what the space holds."""
    if not isinstance(record, Mapping):
        return False
    try:
        whole_lists(folder, space, record)
        last, count = int(record["up_to"]), int(record["vectors"])
    except (OSError, KeyError, TypeError, ValueError):
        return False
    kept, new = int(((ids != 0) & (ids <= last)).sum()), int((ids > last).sum())
    return new <= _NEW * count and kept >= (1 - _GONE) * count


def _make(
    folder: Path, space: str, ids: NDArray[np.int64], blocks: tuple[NDArray[np.float32], ...]
) -> dict[str, Any]:
    lists = inverted.build(ids, blocks)
    if lists is None:
        raise ValueError("there is no FAISS")
    probes, recall = _measure(lists, ids, blocks)
    with told_plainly(folder):
        (folder / FOLDER).mkdir(exist_ok=True)
        with replace_into(folder / FOLDER / f"{space}.faiss") as path:
            lists.save(path)
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        place = lists_path(folder, space, sha256)
        os.replace(folder / FOLDER / f"{space}.faiss", place)
        size = place.stat().st_size
    return {
        "sha256": sha256,
        "bytes": size,
        "vectors": int(np.count_nonzero(ids)),
        "up_to": int(ids.max()),
        "lists": lists.count,
        "probes": probes,
        "recall_at_10": round(recall, 4),
        "queries": f"{min(_QUERIES, np.count_nonzero(ids))} of its own vectors, without themselves",
        "built": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _measure(
    lists: inverted.Inverted,
    ids: NDArray[np.int64],
    blocks: tuple[NDArray[np.float32], ...],
) -> tuple[int, float]:
    """Lists to be read, and the share of the ten nearest that is found so."""
    alive = np.flatnonzero(ids)
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(alive, min(_QUERIES, len(alive)), replace=False))
    queries = gather(blocks, rows)
    truth, _ = exact.search(exact.Rows(ids, blocks), queries, _K + 1)
    probes, recall = _PROBES[0], 0.0
    for probes in _PROBES:
        recall = float(
            np.mean(
                [
                    _share(own, truth[q], lists.candidates(queries[q : q + 1], _K + 1, probes))
                    for q, own in enumerate(ids[rows])
                ]
            )
        )
        if recall >= _ENOUGH:
            break
    return probes, recall


def _share(own: int, truth: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Candidates are scored exactly afterwards, so what is among them is found."""
    wanted = [i for i in truth.tolist() if i not in (0, own)][:_K]
    return float(np.isin(wanted, found).mean()) if wanted else 1.0


def _sweep(writer: IndexWriter) -> None:
    """Delete lists that no space names."""
    named = set()
    for name, space in writer.spaces().items():
        record = space.measured.get(MEASURED)
        if isinstance(record, Mapping):
            named.add(lists_path(writer.folder, name, str(record.get("sha256"))))
    for path in (writer.folder / FOLDER).glob("*"):
        if path not in named:
            path.unlink(missing_ok=True)
