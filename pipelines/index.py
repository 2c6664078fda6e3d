"""``mmtool index``: files, folders and tables into an index that can be searched."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmtool import __version__
from mmtool.errors import InputError, MMToolError
from mmtool.io.index import Failure, IndexReader, IndexWriter, is_index
from mmtool.io.index.layout import real_path, stored_path
from mmtool.io.index.writer import Known
from mmtool.io.limits import Limits
from mmtool.io.writers.tables import write_tsv
from mmtool.pipelines.index_spaces import Encoders, encode, load_encoders
from mmtool.pipelines.indexing_approximate import refresh_lists
from mmtool.pipelines.indexing_duplicates import Duplicate, find_duplicates
from mmtool.pipelines.indexing_reading import Desk, Read, desk
from mmtool.pipelines.indexing_sources import Candidate, Search, batches
from mmtool.retrieval import KINDS, Kind

FAILURES, DUPLICATES = "failures.tsv", "duplicates.tsv"
_BATCH = 64  # candidates that are looked up, read and encoded together
_COMMIT_ITEMS = 2048
_COMMIT_SECONDS = 5.0


@dataclass(frozen=True)
class IndexRequest:
    """What a user can ask of ``mmtool index``.

    Attributes:
        sources: Files and folders.
        output: The index.
        model: Encoder of pictures and words; the index's own or the default when None.
        kinds: That are indexed.
        tables: Read whatever their columns are named.
        columns: Roles of columns by name.
        prune: Take out what is gone.
        force_reread: Read again what is unchanged.
        rebuild: Begin a new index in place of one that is there.
        identifiers: Keep what may tell who a patient is.
        device: Of the encoders.
        limits: Bounds of the readers.
    """

    sources: Sequence[Path]
    output: Path
    model: str | None = None
    kinds: frozenset[Kind] = frozenset(KINDS)
    tables: Sequence[Path] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    prune: bool = False
    force_reread: bool = False
    rebuild: bool = False
    identifiers: bool = False
    device: str = "auto"
    limits: Limits = field(default_factory=Limits)


@dataclass
class IndexResult:
    """What was done.

    Attributes:
        added: Items that are new, by kind.
        changed: Items that replaced others.
        unchanged: That were not read again.
        removed: That were gone.
        failures: All that the index could not take, now or before.
        duplicates: Pairs in the whole index.
        passed: Files of no known ending, by ending.
        seconds: Of reading, encoding and all.
        stopped: Whether it was asked to stop before the end.
        manifest: Of the index, afterwards.
        model: Name of the encoder.
    """

    added: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failures: list[Failure] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    passed: Mapping[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "encode": 0.0})
    stopped: bool = False
    manifest: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""

    @property
    def written(self) -> int:
        """Items that were read and written."""
        return sum(self.added.values()) + self.changed

    def summary(self) -> dict[str, Any]:
        """Plain data for people and records."""
        total = self.seconds.get("all", 0.0)
        return {
            "added": dict(self.added),
            "changed": self.changed,
            "unchanged": self.unchanged,
            "removed": self.removed,
            "failed": len(self.failures),
            "duplicates": len(self.duplicates),
            "passed_over": dict(self.passed),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "items_per_second": round(self.written / total, 2) if total else None,
            "items": self.manifest.get("items"),
            "kinds": self.manifest.get("kinds"),
            "stopped": self.stopped,
        }


def run(
    request: IndexRequest,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[IndexResult], None] = lambda result: None,
) -> IndexResult:
    """Build or extend an index.

    Args:
        request: What is asked for.
        stop: Asked between batches; once it is true, what was read is committed and the rest is
            left for the next run.
        progress: Called after each batch.

    Raises:
        InputError: Nothing to index, a source is absent, or the index is damaged or busy.
        ModelError: The index is of another encoder.
        DeviceError: The disk is full; what was committed is kept.
    """
    begun = time.monotonic()
    _check_sources(request)
    encoders = load_encoders(request.model or _model_of(request), request.device)
    if request.rebuild and is_index(request.output):
        with IndexWriter(request.output):
            pass  # nobody else is writing to it
        shutil.rmtree(request.output)
    with IndexWriter(request.output) as writer:
        for space in encoders.spaces():
            writer.use_space(space)
        with desk(request.limits, identifiers=request.identifiers) as readers:
            work = _Work(request, writer, encoders, readers)
            work.run(stop, progress)
        if not work.result.stopped and request.prune:
            work.prune()
        writer.compact()
        refresh_lists(writer)
        result = work.result
        result.model = encoders.joint.name
        result.failures = writer.failures()
    with IndexReader(request.output) as reader:
        result.duplicates = find_duplicates(reader)
        _write_tables(request.output, result, reader)
        result.manifest = reader.manifest
    result.seconds["all"] = time.monotonic() - begun
    return result


def _check_sources(request: IndexRequest) -> None:
    for source in (*request.tables, *request.sources):
        if not source.exists():
            raise InputError(f"{source}: no such file or folder", "check the path")


def _model_of(request: IndexRequest) -> str | None:
    """Encoder of the index that is extended."""
    if request.rebuild or not is_index(request.output):
        return None
    with IndexReader(request.output) as reader:
        space = reader.spaces().get("picture")
    return None if space is None else space.encoder


@dataclass
class _Work:
    request: IndexRequest
    writer: IndexWriter
    encoders: Encoders
    desk: Desk
    result: IndexResult = field(default_factory=IndexResult)
    seen: set[str] = field(default_factory=set)
    _committed: float = field(default_factory=time.monotonic)

    def run(self, stop: Callable[[], bool], progress: Callable[[IndexResult], None]) -> None:
        self.search = Search(
            self.request.sources,
            self.request.output,
            self.request.limits,
            self.request.tables,
            self.request.columns,
            self.request.identifiers,
        )
        for batch in batches(self.search.candidates(), _BATCH):
            self._batch([c for c in batch if c.several or c.kind in self.request.kinds])
            progress(self.result)
            if stop():
                self.result.stopped = True
                break
        self._broken_tables()
        self.result.passed = dict(self.search.passed)
        self.writer.commit()
        if not self.seen and not self.search.broken:
            names = ", ".join(f"{n} {e or 'without ending'}" for e, n in self.search.passed.items())
            raise InputError(
                f"{self.request.sources[0] if self.request.sources else 'tables'}: "
                f"nothing to index{f' among {names}' if names else ', no files'}",
                "images, volumes, slides, texts, SMILES, FASTA, or tables with such columns",
            )

    def _batch(self, batch: Sequence[Candidate]) -> None:
        started = time.monotonic()
        reads: list[Read] = []
        known = self.writer.known([c.key for c in batch])
        for candidate in batch:
            if candidate.several:
                reads += self._several(candidate)
            else:
                reads += self._single(candidate, known.get(candidate.key))
        reads = [r for r in reads if r.kind in self.request.kinds]
        read = time.monotonic()
        vectors = encode(self.encoders, reads)
        self.writer.add(r.item(*found) for r, found in zip(reads, vectors, strict=True))
        now = time.monotonic()
        self.result.seconds["read"] += read - started
        self.result.seconds["encode"] += now - read
        late = now - self._committed > _COMMIT_SECONDS
        if self.writer.pending >= _COMMIT_ITEMS or late:
            self.writer.commit()
            self._committed = now

    def _single(self, candidate: Candidate, known: Known | None) -> list[Read]:
        self.seen.add(candidate.key)
        stamp = candidate.stamp
        force = self.request.force_reread
        same = None  # what is known, if the table says nothing new
        if known and not force and stamp.row_sha256 in ("", known.stamp.row_sha256):
            same = known
        if same and same.stamp.file == stamp.file and self._settled(same):
            self.result.unchanged += 1
            return []
        try:
            sha256 = self.desk.sha256(candidate)
        except MMToolError:
            sha256 = ""  # reading it tells why
        if same and same.id and sha256 == same.sha256:
            self.writer.touch(candidate.key, stamp.file)
            self.result.unchanged += 1
            return []
        reads, failed = self.desk.read(candidate, sha256)
        self.writer.fail(failed)
        self._count(reads, bool(known is not None and known.id))
        return reads

    def _settled(self, known: Known) -> bool:
        """An item; or a failure that the same version can only repeat."""
        return bool(known.id) or known.version == __version__

    def _several(self, candidate: Candidate) -> list[Read]:
        """A folder or slide that becomes items of their own keys.

        Of one that a table names, the table's other rows are not its business.
        """
        stamp = candidate.stamp
        row = bool(stamp.row_sha256)
        before = self.writer.of_key(candidate.key) if row else self.writer.of_origin(stamp.origin)
        fresh = [
            (k.stamp.file, k.stamp.row_sha256 or stamp.row_sha256) == (stamp.file, stamp.row_sha256)
            for k in before.values()
        ]
        if before and all(fresh) and not self.request.force_reread:
            self.result.unchanged += sum(1 for k in before.values() if k.id)
            self.seen |= set(before)
            return []
        reads, failed = self.desk.read(candidate, "")
        keys = {r.source.key for r in reads}
        self.seen |= keys | {f.key for f in failed}
        self.writer.remove(k.id for key, k in before.items() if k.id and key not in keys)
        self.writer.fail(failed)
        if not row:
            self.search.origins.add(stored_path(stamp.origin, self.request.output))
        self._count(reads, bool(before))
        return reads

    def _count(self, reads: Sequence[Read], changed: bool) -> None:
        reads = [r for r in reads if r.kind in self.request.kinds]
        if changed:
            self.result.changed += len(reads)
        else:
            self.result.added.update(r.kind for r in reads)

    def _broken_tables(self) -> None:
        for path, error in self.search.broken:
            key = self.search.key(path)
            reason = error.message.removeprefix(f"{path}: ")
            self.writer.fail([Failure(key, str(path), "", reason, error.hint)])

    def prune(self) -> None:
        """Take out what is gone: files that are absent, and rows that their table lost."""
        gone: list[int] = []
        forgotten: list[str] = []
        for key, number, path, origin in self.writer.entries():
            if key in self.seen:
                continue
            lost = origin in self.search.origins
            if lost or not os.path.exists(real_path(path, self.request.output)):
                gone += [number] if number else []
                forgotten += [] if number else [key]
        self.writer.remove(gone)
        self.writer.forget_failures(forgotten)
        self.writer.commit()
        self.result.removed = len(gone)


def _write_tables(folder: Path, result: IndexResult, reader: IndexReader) -> None:
    if result.failures:
        rows = [(f.path, f.kind, f.reason, f.hint) for f in result.failures]
        write_tsv(folder / FAILURES, ("path", "kind", "reason", "hint"), rows)
    else:
        (folder / FAILURES).unlink(missing_ok=True)
    ids = sorted({i for d in result.duplicates for i in (d.first, d.second)})
    items = {i.id: i.source for i in reader.items(ids)}
    pairs = [
        (d.kind, d.bits, d.first, d.second, items[d.first].key, items[d.second].key)
        for d in result.duplicates
        if d.first in items and d.second in items
    ]
    columns = ("kind", "bits", "first_id", "second_id", "first", "second")
    write_tsv(folder / DUPLICATES, columns, pairs)


def dry_run(request: IndexRequest) -> dict[str, int]:
    """How many candidates of each kind there are; nothing is read but tables and folders."""
    _check_sources(request)
    search = Search(
        request.sources,
        request.output,
        request.limits,
        request.tables,
        request.columns,
        request.identifiers,
    )
    counts = Counter("dicom" if c.how == "dicom" else c.kind for c in search.candidates())
    return dict(counts)
