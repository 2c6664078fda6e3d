"""Writing an index: one writer at a time, everything in transactions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool import __version__
from mmtool.errors import ModelError
from mmtool.io.atomic import replace_into
from mmtool.io.index.compaction import compact
from mmtool.io.index.layout import (
    MANIFEST,
    SCHEMA_VERSION,
    TABLES,
    Failure,
    NewItem,
    Space,
    Stamp,
    check_or_clear,
    connect,
    make_room,
    stored_path,
    told_plainly,
)
from mmtool.io.index.lock import WriterLock
from mmtool.io.index.manifest import manifest_of
from mmtool.io.index.reader import read_failures, read_segments
from mmtool.io.index.segments import Block, sweep, write_segment
from mmtool.retrieval import FACTS

_CHUNK = 500


_KEYED = ("items", "failures")  # tables of what was seen, by its key


@dataclass(frozen=True)
class Known:
    """What the index holds of a key.

    Attributes:
        id: Of the item; 0 where it is a failure.
        sha256: Of its bytes.
        stamp: See `Stamp`.
        reason: Of a failure.
        version: Of mmtool that failed.
    """

    id: int
    sha256: str
    stamp: Stamp
    reason: str = ""
    version: str = ""


class IndexWriter:
    """An index that is made or extended.

    What is added counts from the next `commit` on. Leaving the ``with`` block does not commit;
    what was not committed is dropped.

    Args:
        folder: The index; made if it is absent or empty.

    Raises:
        InputError: Something else is there, it is damaged or newer, or another process writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with told_plainly(folder):
            make_room(folder)
            self._lock = WriterLock(folder)
            try:
                check_or_clear(folder)
                self._link = connect(folder, writing=True)
                self._prepare()
            except BaseException:
                self._lock.release()
                raise
        self._added: dict[str, NewItem] = {}
        self._failed: dict[str, Failure] = {}
        self._removed: set[int] = set()
        self._touched: dict[str, str] = {}

    def _prepare(self) -> None:
        there = self._link.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not there:
            made = datetime.now(UTC).isoformat(timespec="seconds")
            self._link.executescript(
                f"BEGIN; {TABLES} INSERT INTO about VALUES ('schema_version', '{SCHEMA_VERSION}'), "
                f"('created', '{made}'); COMMIT;"
            )
        self._spaces, rows, _ = read_segments(self._link)
        self.swept = sweep(self.folder, {n for found in rows.values() for n, _, _ in found})
        self._write_manifest()

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop what was not committed and let others write."""
        self._link.close()
        self._lock.release()

    def spaces(self) -> dict[str, Space]:
        """Spaces of the index by name."""
        return dict(self._spaces)

    def use_space(self, space: Space) -> None:
        """Make a space, or check that it is of the same encoder as before.

        Raises:
            ModelError: The index was built with another encoder.
        """
        known = self._spaces.get(space.name)
        if known is None:
            with told_plainly(self.folder):
                self._put_space(space)
        elif not known.same_encoder(space):
            same = "of other weights or settings " if known.encoder == space.encoder else ""
            raise ModelError(
                f"{self.folder}: its {space.name} vectors are from the encoder '{known.encoder}', "
                f"not from '{space.encoder}' {same}".rstrip(),
                "use that encoder (--model), or build the index anew with --rebuild",
            )

    def note_measured(self, space: str, measured: Mapping[str, object]) -> None:
        """Write down what was measured of a space, such as recall against exact search."""
        with told_plainly(self.folder):
            self._put_space(replace(self._spaces[space], measured=dict(measured)))
            self._write_manifest()

    def _put_space(self, space: Space) -> None:
        self._link.execute(
            "INSERT OR REPLACE INTO spaces VALUES (?, ?, ?, ?, ?, ?)",
            (
                space.name,
                space.encoder,
                space.sha256,
                json.dumps(dict(space.preprocessing), sort_keys=True),
                space.dim,
                json.dumps(dict(space.measured), sort_keys=True),
            ),
        )
        self._spaces[space.name] = space

    def known(self, keys: Sequence[str]) -> dict[str, Known]:
        """What is known, committed, of some keys; those that are new are absent."""
        found: dict[str, Known] = {}
        with told_plainly(self.folder):
            for start in range(0, len(keys), _CHUNK):
                part = list(keys[start : start + _CHUNK])
                marks = ",".join("?" * len(part))
                for key, reason, origin, stamp, version in self._link.execute(
                    "SELECT key, reason, origin, stamp, version FROM failures "
                    f"WHERE key IN ({marks})",
                    part,
                ):
                    found[key] = Known(0, "", Stamp(origin, stamp), reason, version)
                for key, number, sha256, *stamp in self._link.execute(
                    "SELECT key, id, sha256, origin, stamp, row_sha256 FROM items "
                    f"WHERE key IN ({marks})",
                    part,
                ):
                    found[key] = Known(number, sha256, Stamp(*stamp))
        return found

    def entries(self) -> list[tuple[str, int, str, str]]:
        """Key, id (0 of a failure), path and origin of all that is known, committed."""
        with told_plainly(self.folder):
            return self._link.execute(
                "SELECT key, id, path, origin FROM items "
                "UNION ALL SELECT key, 0, path, origin FROM failures"
            ).fetchall()

    def of_origin(self, origin: str) -> dict[str, Known]:
        """What is known, committed, to come from a table or folder."""
        return self._known_where("origin = ?", stored_path(origin, self.folder))

    def of_key(self, key: str) -> dict[str, Known]:
        """What is known, committed, of a key and of its parts: the key, ``#`` and more."""
        there = "key = ? OR (key >= ? AND key < ?)"
        return self._known_where(there, key, f"{key}#", f"{key}$")  # behind # comes $

    def _known_where(self, condition: str, *bound: str) -> dict[str, Known]:
        tables = " UNION ".join(f"SELECT key FROM {t} WHERE {condition}" for t in _KEYED)
        with told_plainly(self.folder):
            rows = self._link.execute(tables, bound * len(_KEYED)).fetchall()
        return self.known([key for (key,) in rows])

    def add(self, items: Iterable[NewItem]) -> None:
        """Take items; one of a key that is there replaces it."""
        for item in items:
            self._added[item.source.key] = item
            self._failed.pop(item.source.key, None)

    def fail(self, failures: Iterable[Failure]) -> None:
        """Take failures; an item of such a key is gone."""
        for failure in failures:
            self._failed[failure.key] = failure
            self._added.pop(failure.key, None)

    def touch(self, key: str, stamp: str) -> None:
        """Note that the files of a key have new times, but the same bytes."""
        self._touched[key] = stamp

    def remove(self, ids: Iterable[int]) -> None:
        """Take items out."""
        self._removed.update(ids)

    def forget_failures(self, keys: Iterable[str]) -> None:
        """Drop failures whose files are gone."""
        with told_plainly(self.folder):
            self._link.executemany("DELETE FROM failures WHERE key = ?", [(k,) for k in keys])

    @property
    def pending(self) -> int:
        """Items and failures that the next commit will write."""
        return len(self._added) + len(self._failed)

    def commit(self) -> None:
        """Write what was added and removed, all of it or nothing.

        Raises:
            DeviceError: The disk is full; the index is as it was.
        """
        with told_plainly(self.folder):
            self._link.execute("BEGIN IMMEDIATE")
            try:
                self._drop()
                ids = self._insert()
                self._write_vectors(ids)
                self._link.execute("COMMIT")
            except BaseException:
                if self._link.in_transaction:
                    self._link.execute("ROLLBACK")
                raise
            self._added, self._failed, self._touched = {}, {}, {}
            self._removed = set()
            self._write_manifest()

    def _drop(self) -> None:
        gone = set(self._removed)
        keys = [*self._added, *self._failed]
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            rows = self._link.execute(f"SELECT id FROM items WHERE key IN ({marks})", part)
            gone.update(int(number) for (number,) in rows)
            self._link.execute(f"DELETE FROM failures WHERE key IN ({marks})", part)
        dead = [(number,) for number in sorted(gone)]
        for change in (
            "INSERT OR IGNORE INTO dead SELECT name, items.id FROM spaces, items "
            "WHERE items.id = ?",
            "INSERT INTO words (words, rowid, text, told) "
            "SELECT 'delete', id, text, told FROM items WHERE id = ?",
            "DELETE FROM thumbnails WHERE item = ?",
            "DELETE FROM items WHERE id = ?",
        ):
            self._link.executemany(change, dead)

    def _insert(self) -> dict[str, int]:
        """Rows of items and failures; ids of the items by key."""
        ids = {}
        for item in self._added.values():
            row = self._row(item)
            marks = ", ".join("?" * len(row))
            names = ", ".join(f'"{name}"' for name in row)
            inserted = self._link.execute(
                f"INSERT INTO items ({names}) VALUES ({marks})", list(row.values())
            )
            number = int(inserted.lastrowid or 0)
            ids[item.source.key] = number
            self._link.execute(
                "INSERT INTO words (rowid, text, told) VALUES (?, ?, ?)",
                (number, item.source.text, item.told),
            )
            if item.thumbnail:
                self._link.execute("INSERT INTO thumbnails VALUES (?, ?)", (number, item.thumbnail))
        names_used = {name for item in self._added.values() for name in item.source.extra}
        self._link.executemany(
            "INSERT OR IGNORE INTO columns VALUES (?)", [(n,) for n in names_used]
        )
        self._link.executemany(
            "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [self._failure(f) for f in self._failed.values()],
        )
        self._link.executemany(
            "UPDATE items SET stamp = ? WHERE key = ?",
            [(stamp, key) for key, stamp in self._touched.items()],
        )
        return ids

    def _row(self, item: NewItem) -> dict[str, Any]:
        source, stamp = item.source, item.stamp
        facts: dict[str, Any] = {name: source.facts.get(name, "") for name in FACTS}
        facts["age"] = float(facts["age"]) if facts["age"] else None
        return {
            "key": source.key,
            "path": stored_path(source.path, self.folder),
            "origin": stored_path(stamp.origin, self.folder) if stamp.origin else "",
            "kind": source.kind,
            "sha256": source.sha256,
            "stamp": stamp.file,
            "row_sha256": stamp.row_sha256,
            "group": source.group,
            **facts,
            "identity": item.identity,
            "dhash": item.dhash,
            "text": source.text,
            "told": item.told,
            "content": source.content,
            "extra": json.dumps(dict(source.extra), ensure_ascii=False),
        }

    def _failure(self, failure: Failure) -> tuple[str, ...]:
        origin = failure.stamp.origin
        return (
            failure.key,
            stored_path(failure.path, self.folder),
            stored_path(origin, self.folder) if origin else "",
            failure.kind,
            failure.stamp.file,
            failure.reason,
            failure.hint,
            failure.version or __version__,
        )

    def _write_vectors(self, ids: Mapping[str, int]) -> None:
        for space in self._spaces.values():
            having = [item for item in self._added.values() if space.name in item.vectors]
            for with_parts in (False, True):
                group = [i for i in having if (space.name in i.parts) == with_parts]
                if group:
                    block = _block(space, group, ids, with_parts)
                    row = (space.name, len(block.ids), int(with_parts))
                    inserted = self._link.execute(
                        "INSERT INTO segments (space, rows, parts) VALUES (?, ?, ?)", row
                    )
                    write_segment(self.folder, space.name, int(inserted.lastrowid or 0), block)

    def compact(self) -> None:
        """Join small segments, and drop vectors of items that are gone."""
        with told_plainly(self.folder):
            compact(self._link, self.folder)
            self._write_manifest()

    def failures(self) -> list[Failure]:
        """What could not be indexed, by key."""
        with told_plainly(self.folder):
            return read_failures(self._link, self.folder)

    def _write_manifest(self) -> None:
        with replace_into(self.folder / MANIFEST) as path:
            text = json.dumps(manifest_of(self._link, self._spaces), indent=2, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")


def _block(
    space: Space, items: Sequence[NewItem], ids: Mapping[str, int], with_parts: bool
) -> Block:
    numbers = np.array([ids[i.source.key] for i in items], np.int64)
    vectors = np.stack([i.vectors[space.name] for i in items]).astype(np.float32)
    if vectors.shape[1] != space.dim or not np.isfinite(vectors).all():
        raise ModelError(
            f"the encoder '{space.encoder}' gave vectors of {vectors.shape[1]} numbers, or some "
            f"that are none, where {space.dim} numbers were promised",
            "the model is broken",
        )
    if not with_parts:
        return Block(numbers, vectors)
    pairs = [i.parts[space.name] for i in items]
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows, _ in pairs])]).astype(np.int64)
    return Block(
        numbers, vectors, _half([p for p, _ in pairs]), _half([q for _, q in pairs]), starts
    )


def _half(arrays: Sequence[NDArray[Any]]) -> NDArray[np.float16]:
    return np.concatenate(arrays).astype(np.float16)
