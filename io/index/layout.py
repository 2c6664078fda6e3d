"""Names, tables and rows of an index, and what is checked before anything is read."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmtool.errors import DeviceError, InputError
from mmtool.retrieval import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCHEMA_VERSION = 1
ENDING = ".mmidx"
MANIFEST, ITEMS, VECTORS, LOCK = "manifest.json", "items.sqlite", "vectors", "writer.lock"
_OURS = frozenset((MANIFEST, ITEMS, VECTORS, LOCK, f"{ITEMS}-journal"))
_HINT = "build it anew with 'mmtool index SOURCE... -o DIR'"
_WAIT = 60.0  # seconds that a reader waits for a writer's commit
_MAX_MANIFEST = 16 << 20

TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL UNIQUE,
  path TEXT NOT NULL,
  origin TEXT NOT NULL,
  kind TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  stamp TEXT NOT NULL,
  row_sha256 TEXT NOT NULL,
  "group" TEXT NOT NULL COLLATE NOCASE,
  modality TEXT NOT NULL COLLATE NOCASE,
  plane TEXT NOT NULL COLLATE NOCASE,
  anatomy TEXT NOT NULL COLLATE NOCASE,
  sex TEXT NOT NULL COLLATE NOCASE,
  age REAL,
  date TEXT NOT NULL,
  source TEXT NOT NULL COLLATE NOCASE,
  identity TEXT NOT NULL,
  dhash TEXT NOT NULL,
  text TEXT NOT NULL,
  told TEXT NOT NULL,
  content TEXT NOT NULL,
  extra TEXT NOT NULL
);
CREATE INDEX items_kind ON items (kind);
CREATE INDEX items_origin ON items (origin);
CREATE TABLE thumbnails (item INTEGER PRIMARY KEY, jpeg BLOB NOT NULL);
CREATE TABLE columns (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE failures (
  key TEXT PRIMARY KEY, path TEXT NOT NULL, origin TEXT NOT NULL, kind TEXT NOT NULL,
  stamp TEXT NOT NULL, reason TEXT NOT NULL, hint TEXT NOT NULL, version TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE spaces (
  name TEXT PRIMARY KEY, encoder TEXT NOT NULL, sha256 TEXT NOT NULL,
  preprocessing TEXT NOT NULL, dim INTEGER NOT NULL, measured TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE segments (
  id INTEGER PRIMARY KEY AUTOINCREMENT, space TEXT NOT NULL, rows INTEGER NOT NULL,
  parts INTEGER NOT NULL
);
CREATE TABLE dead (space TEXT NOT NULL, item INTEGER NOT NULL, PRIMARY KEY (space, item))
  WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (
  text, told, content='items', content_rowid='id', tokenize='porter unicode61'
);
"""


@dataclass(frozen=True)
class Space:
    """Vectors that may be compared with each other.

    Attributes:
        name: ``picture``, ``text``, ``molecule``, ``protein``, ...
        encoder: Name of the encoder.
        sha256: Hash of its weights or settings.
        preprocessing: Plain data; see `mmtool.retrieval.JointEncoder`.
        dim: Length of a vector.
        measured: What was measured when it was built, e.g. recall against exact search.
    """

    name: str
    encoder: str
    sha256: str
    preprocessing: Mapping[str, object]
    dim: int
    measured: Mapping[str, object] = field(default_factory=dict)

    def same_encoder(self, other: Space) -> bool:
        """Whether vectors of both may be compared."""
        mine, theirs = _encoder_of(self), _encoder_of(other)
        return mine == theirs


def _encoder_of(space: Space) -> tuple[str, int, str]:
    return space.sha256, space.dim, json.dumps(space.preprocessing, sort_keys=True)


@dataclass(frozen=True)
class Stamp:
    """How an item is known to be unchanged.

    Attributes:
        origin: Path of the table that it is a row of, "" otherwise.
        file: Number, sizes and times of its files; equal means unchanged.
        row_sha256: Hash of what a table says of it; "" where there is none.
    """

    origin: str = ""
    file: str = ""
    row_sha256: str = ""


@dataclass(frozen=True)
class NewItem:
    """What a writer takes.

    Attributes:
        source: Its key names it; an item of the same key is replaced.
        stamp: See `Stamp`.
        identity: Equal for two molecules or proteins that are the same; "" for all else.
        told: Further words that it can be found by: facts as they were written.
        dhash: 16 hexadecimal digits, or "".
        thumbnail: JPEG, or b"".
        vectors: Of each space (dim,) float32 of length 1.
        parts: Of each space that has a re-ranker, rows (T, part_dim) and places (T, 4).
    """

    source: Source
    stamp: Stamp = field(default_factory=Stamp)
    identity: str = ""
    told: str = ""
    dhash: str = ""
    thumbnail: bytes = b""
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    parts: Mapping[str, tuple[NDArray[Any], NDArray[Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """Something that could not be indexed.

    Attributes:
        key: As of a `Source`.
        path: The file.
        kind: What it was taken for, or "".
        reason: One line.
        hint: What can be done, or "".
        stamp: See `Stamp`.
        version: Of mmtool that could not read it.
    """

    key: str
    path: str
    kind: str
    reason: str
    hint: str = ""
    stamp: Stamp = field(default_factory=Stamp)
    version: str = ""


def is_index(folder: Path) -> bool:
    """Whether a folder looks like an index; it may be a broken one."""
    return (folder / MANIFEST).is_file() or (folder / ITEMS).is_file()


def check_folder(folder: Path) -> None:
    """Refuse what is no whole index that this version can read.

    Raises:
        InputError: No index, half of one, or one of a newer version.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such index", "'mmtool index SOURCE... -o DIR' builds one")
    if not is_index(folder):
        raise InputError(f"{folder}: not an index", f"an index is a folder with {MANIFEST}")
    try:
        with (folder / MANIFEST).open("rb") as file:
            raw = file.read(_MAX_MANIFEST + 1)
        manifest = json.loads(raw) if len(raw) <= _MAX_MANIFEST else None
    except OSError as error:
        raise InputError(f"{folder}: {MANIFEST} is absent", _HINT) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{folder}: {MANIFEST} is broken", _HINT) from error
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int):
        raise InputError(f"{folder}: {MANIFEST} is not that of an index", _HINT)
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{folder}: an index of schema {version}; this mmtool reads up to {SCHEMA_VERSION}",
            "update mmtool, or build the index anew",
        )
    _check_items(folder / ITEMS)


def _check_items(path: Path) -> None:
    """SQLite notices a cut file only when it comes to the cut, so its size is compared first."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(100)
    except OSError as error:
        raise InputError(f"{path}: absent, the index is not whole", _HINT) from error
    page = int.from_bytes(head[16:18], "big")
    page = 65536 if page == 1 else page
    if len(head) < 100 or head[:16] != b"SQLite format 3\0" or page < 512:
        raise InputError(f"{path}: not the database of an index", _HINT)
    if size < page * int.from_bytes(head[28:32], "big"):
        raise InputError(f"{path}: the file is cut short", _HINT)


def make_room(folder: Path) -> None:
    """Make the folder of an index, or refuse a place that holds something else."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file, not an index", "name a folder")
    if folder.is_dir() and not is_index(folder):
        strangers = sorted(set(os.listdir(folder)) - _OURS)
        if strangers:
            raise InputError(
                f"{folder}: holds other files and is no index", "name a folder that is new or empty"
            )
    folder.mkdir(parents=True, exist_ok=True)


def check_or_clear(folder: Path) -> None:
    """Check an index that is there; clear what a writer left that died while it made one."""
    items = folder / ITEMS
    if (folder / MANIFEST).exists():
        check_folder(folder)
    elif items.exists() and items.stat().st_size == 0:
        items.unlink()


@contextmanager
def told_plainly(folder: Path) -> Iterator[None]:
    """Errors of the database and the disk become ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if "full" in str(error):
            raise disk_full(folder) from error
        if "locked" in str(error) or "busy" in str(error):
            raise InputError(
                f"{folder}: another process keeps the index busy", "try again when it is done"
            ) from error
        if "readonly" in str(error):
            raise InputError(
                f"{folder}: can't be written to", "check the permissions of the folder"
            ) from error
        raise InputError(f"{folder}: the index is damaged ({error})", _HINT) from error
    except OSError as error:
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            raise disk_full(folder) from error
        raise InputError(
            f"{folder}: can't be read or written ({type(error).__name__})", "check the folder"
        ) from error


def disk_full(folder: Path) -> DeviceError:
    """The error of a disk without room."""
    return DeviceError(
        f"{folder}: no space is left on the disk; what was indexed before is kept",
        "make room and run the same command again: it goes on where it stopped",
    )


def connect(folder: Path, *, writing: bool = False) -> sqlite3.Connection:
    """Connection to the database; that of a reader changes nothing that was committed.

    A writer that was killed in a commit leaves a journal, by which the next one who opens the
    database undoes the half of it. So a reader, too, opens it for writing where it may.
    """
    items = folder / ITEMS
    may_write = os.access(folder, os.W_OK) and os.access(items, os.W_OK)
    mode = "rwc" if writing else "rw" if may_write else "ro"
    uri = f"{items.resolve().as_uri()}?mode={mode}"
    link = sqlite3.connect(uri, uri=True, timeout=_WAIT, isolation_level=None)
    link.execute("PRAGMA trusted_schema = OFF")
    if writing:
        link.execute("PRAGMA synchronous = FULL")
        link.execute("PRAGMA cache_spill = OFF")  # readers are shut out by the commit alone
        link.execute("PRAGMA cache_size = -65536")
    else:
        link.execute("PRAGMA query_only = ON")
    return link


def stored_path(path: str, folder: Path) -> str:
    """A path as the index keeps it: from the folder of the index, so that both can move."""
    return Path(os.path.relpath(os.path.abspath(path), os.path.realpath(folder))).as_posix()


def real_path(stored: str, folder: Path) -> str:
    """The path that a stored one stands for."""
    return os.path.normpath(os.path.join(os.path.realpath(folder), stored))
