"""Run one task over many items: one model load, outputs whole or not at all, resumable.

- An item is written into a staging folder and published when it is complete, ``run.json`` last.
- An item that fails is a row of ``failures.tsv``; the rest goes on.
- SIGTERM: the item in hand is finished, the rest is left for ``--resume``. SIGINT stops at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from mmtool.errors import (
    EXIT_OK,
    EXIT_PARTIAL,
    EXIT_SIGTERM,
    InputError,
    MMToolError,
    ModelError,
    UsageError,
)
from mmtool.io.atomic import publish_folder
from mmtool.io.writers.tables import write_tsv
from mmtool.pipelines.devices import is_out_of_memory, out_of_memory, peak_memory_mb, set_threads
from mmtool.pipelines.places import Layout, Place
from mmtool.pipelines.runrecord import (
    RunFacts,
    matching_record,
    read_record,
    recorded_error,
    recorded_outputs,
    write_record,
)
from mmtool.pipelines.samplesheet import BatchItem, Shard, existing_path
from mmtool.pipelines.staging import staging_folder
from mmtool.pipelines.stopping import sigterm_noted
from mmtool.pipelines.task import Foreseeing, ItemResult, Task

__all__ = [
    "BatchItem",
    "BatchOptions",
    "BatchReport",
    "Foreseeing",
    "ItemReport",
    "ItemResult",
    "Shard",
    "Task",
    "run_batch",
]

log = logging.getLogger(__name__)
T = TypeVar("T")
_FAILURE_COLUMNS = ("input", "name", "error", "exit_code", "message")


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is run.

    Attributes:
        output: Folder of the only item, or of one folder an item.
        nested: One folder an item (several inputs, or a sample sheet).
        resume: Skip items whose record and outputs match.
        overwrite: Replace outputs that exist.
        shard: The part of the items to do.
        threads: For torch; None to choose.
        seed: Recorded.
        arguments: Options for the record, see `RunFacts.arguments`.
        path_params: Those of them whose value may be the path of a file.
        layout: How the items share ``output``; None for one folder an item.
    """

    output: Path
    nested: bool
    resume: bool = False
    overwrite: bool = False
    shard: Shard | None = None
    threads: int | None = None
    seed: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    path_params: frozenset[str] = frozenset()
    layout: Layout | None = None

    def place(self, item: BatchItem) -> Place:
        """Where an item goes."""
        if self.layout is not None:
            return self.layout.place(item)
        target = (self.output / item.name if self.nested else self.output).absolute()
        return Place(target, target)

    def target(self, item: BatchItem) -> Path:
        """Output folder of an item, absolute."""
        return self.place(item).shown


@dataclass(frozen=True)
class ItemReport:
    """How one item ended.

    Attributes:
        item: What was worked on.
        status: ``ok``, ``skipped`` (by resume) or ``failed``.
        output: Its folder.
        seconds: How long it took.
        summary: What the task said of its result.
        error: Why it counts as failed.
        cause: The error behind it when no one foresaw it.
        kept: Whether the outputs are there.
    """

    item: BatchItem
    status: str
    output: Path
    seconds: float
    summary: Mapping[str, Any] = field(default_factory=dict)
    error: MMToolError | None = None
    cause: Exception | None = None
    kept: bool = False


@dataclass(frozen=True)
class BatchReport:
    """How a batch ended.

    Attributes:
        items: In the order in which they were done.
        left: Items that were not begun since the run was told to stop.
        single: The run was about one input: its own error decides the exit code.
        terminated: SIGTERM came.
        failures: Path of ``failures.tsv``, None when nothing failed.
    """

    items: tuple[ItemReport, ...]
    left: tuple[BatchItem, ...]
    single: bool
    terminated: bool
    failures: Path | None = None

    @property
    def failed(self) -> tuple[ItemReport, ...]:
        """Items that failed, those whose outputs were kept among them."""
        return tuple(r for r in self.items if r.error is not None)

    @property
    def exit_code(self) -> int:
        """143 when told to stop, else 0, 6, or a single item's own code."""
        if self.terminated:
            return EXIT_SIGTERM
        if not self.failed:
            return EXIT_OK
        error = self.failed[0].error
        return error.exit_code if self.single and error else EXIT_PARTIAL


Listener = Callable[[int, int, ItemReport], None]


def plan(items: Sequence[BatchItem], options: BatchOptions) -> list[BatchItem]:
    """The items of this shard, after the check that nothing would be overwritten unasked.

    Raises:
        UsageError: An output exists and neither resume nor overwrite was asked for.
    """
    mine = options.shard.take(items) if options.shard else list(items)
    if not (options.resume or options.overwrite):
        for item in mine:
            if options.place(item).occupied:
                raise UsageError(
                    _occupied(options.place(item)),
                    "use --resume to do only what is missing, --overwrite to do all again",
                )
    return mine


def _occupied(place: Place) -> str:
    if place.marks is None:
        return f"{place.shown} exists and is not empty"
    return f"{place.folder} holds results of {place.staging.name} already"


def run_batch(
    items: Sequence[BatchItem],
    task: Task,
    options: BatchOptions,
    *,
    on_start: Callable[[int, int, BatchItem], None] = lambda done, total, item: None,
    on_done: Listener = lambda done, total, report: None,
) -> BatchReport:
    """Run a task over items.

    Args:
        items: All items; the shard is taken here.
        task: Its ``load`` is called once, before the first item that has to be worked on.
        options: How.
        on_start: Called with number (from 1), total and item before each item.
        on_done: Called with number, total and report after each item.

    Raises:
        UsageError: An output exists; nothing was done.
        ModelError: The model cannot be used: no item could be done.
        DeviceError: Loading failed for want of device or memory.
        KeyboardInterrupt: SIGINT; the staging folder is gone, finished items stay.
    """
    mine = plan(items, options)
    runner = _Runner(task, options)
    reports: list[ItemReport] = []
    with sigterm_noted() as stop:
        try:
            for number, item in enumerate(mine, start=1):
                if stop.is_set():
                    break
                on_start(number, len(mine), item)
                reports.append(runner.run(item))
                on_done(number, len(mine), reports[-1])
        finally:
            failures = _write_failures(reports, options)
    return BatchReport(
        tuple(reports), tuple(mine[len(reports) :]), len(items) == 1, stop.is_set(), failures
    )


class _Runner:
    """Keeps the loaded model from item to item."""

    def __init__(self, task: Task, options: BatchOptions) -> None:
        self.task = task
        self.options = options
        self.model: Mapping[str, Any] | None = None
        self.threads: int | None = None

    def run(self, item: BatchItem) -> ItemReport:
        """One item, with its failure caught."""
        begun = time.monotonic()
        place = self.options.place(item)
        seen = self._caught(item, begun, lambda: self._look(item, place, begun))
        if isinstance(seen, ItemReport):
            return seen
        self._load()  # not caught: without the model no item can be done
        return self._caught(item, begun, lambda: self._work(item, place, seen, begun))

    def _caught(self, item: BatchItem, begun: float, step: Callable[[], T]) -> T | ItemReport:
        """Run a step; an error becomes the item's report."""
        cause: Exception | None = None
        try:
            return step()
        except ModelError:
            raise  # the model is shared: every other item would fail in the same way
        except MMToolError as known:
            error = known
        except Exception as bug:  # a bug that one item meets must not lose the rest
            log.debug("%s failed", item.name, exc_info=True)
            error, cause = _as_error(bug), bug
        seconds = time.monotonic() - begun
        return ItemReport(
            item, "failed", self.options.target(item), seconds, error=error, cause=cause
        )

    def _look(self, item: BatchItem, place: Place, begun: float) -> ItemReport | str:
        """The report of an item that needs no work, else its fingerprint."""
        for path in item.inputs:
            if not path.exists():
                raise InputError(f"{path}: no such file or folder", "check the path")
        fingerprint = self.task.fingerprint(item)
        record = None
        if self.options.resume:
            record = matching_record(place.folder, fingerprint, place.record)
        if record is None:
            return fingerprint
        summary, error = record.get("summary", {}), recorded_error(record)
        seconds = time.monotonic() - begun
        return ItemReport(item, "skipped", place.shown, seconds, summary, error, kept=True)

    def _load(self) -> None:
        if self.model is not None:
            return
        try:
            self.model = self.task.load()
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise out_of_memory() from error
            raise
        self.threads = set_threads(self.options.threads)

    def _work(self, item: BatchItem, place: Place, fingerprint: str, begun: float) -> ItemReport:
        started = datetime.now(UTC)
        with staging_folder(place.staging) as staging:
            result = self.task.run_item(item, staging)
            written = sorted(p for p in staging.rglob("*") if p.is_file())
            outputs = tuple(p.relative_to(staging).as_posix() for p in written)
            seconds = time.monotonic() - begun
            facts = RunFacts(
                command=self.task.command,
                name=item.name,
                arguments=self._arguments(item),
                inputs=item.inputs[:1] if item.channels else item.inputs,
                words=item.words,
                channels=dict(zip(item.channels, item.inputs[1:], strict=False)),
                inputs_sha256=result.inputs_sha256,
                fingerprint=fingerprint,
                model=self.model or {},
                summary=result.summary,
                outputs=outputs,
                started=started,
                seconds=seconds,
                peak_memory_mb=peak_memory_mb(),
                expected_memory=result.expected_memory,
                threads=self.threads,
                seed=self.options.seed,
                error=result.error,
            )
            write_record(staging, place.folder, facts, place.record)
            if self.options.layout is not None:
                self.options.layout.prepare()
            _publish(staging, place, outputs)
        status = "failed" if result.error else "ok"
        return ItemReport(
            item, status, place.shown, seconds, result.summary, result.error, kept=True
        )

    def _arguments(self, item: BatchItem) -> dict[str, Any]:
        """Options of the item, its row's first; those that name a file as a `Path`."""
        arguments: dict[str, Any] = {**self.options.arguments, **item.params}
        for key in set(arguments) & set(self.options.path_params):
            value = arguments[key]
            path = existing_path(value, Path()) if isinstance(value, str) else None
            arguments[key] = Path(path) if path else value
        return arguments


def _as_error(cause: Exception) -> MMToolError:
    """One line for an error that no one foresaw; its text may quote the data, so it is not used."""
    if is_out_of_memory(cause):
        return out_of_memory()
    return MMToolError(
        f"unexpected {type(cause).__name__}", "run this item alone with --debug and report it"
    )


def _publish(staging: Path, place: Place, outputs: Sequence[str]) -> None:
    """Move the item to its place; drop what an earlier run wrote there and this one did not."""
    earlier: set[str] = set()
    record = place.folder / place.record
    if record.is_file():
        try:
            earlier = set(recorded_outputs(read_record(record)) or {})
        except InputError:
            log.warning("%s is not readable; files of that run stay", record)
    publish_folder(staging, place.folder, place.record)
    for name in earlier - set(outputs):
        (place.folder / name).unlink(missing_ok=True)


def _write_failures(reports: Sequence[ItemReport], options: BatchOptions) -> Path | None:
    """Write ``failures.tsv``, or remove that of an earlier run when nothing failed."""
    if not options.nested:
        return None
    shard = options.shard
    part = f".{shard.index}-of-{shard.count}" if shard else ""
    path = options.output / f"failures{part}.tsv"
    rows = [
        (
            report.item.given,
            report.item.name,
            type(report.cause or report.error).__name__,
            report.error.exit_code,
            report.error.message,
        )
        for report in reports
        if report.error is not None
    ]
    if not rows:
        path.unlink(missing_ok=True)
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tsv(path, _FAILURE_COLUMNS, rows)
    return path
