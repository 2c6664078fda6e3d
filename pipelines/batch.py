"""Run one command over one or many inputs: a single model load, nothing half-written, resumable."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from mmtool.errors import EXIT_UNEXPECTED, DeviceError, MMToolError, UsageError
from mmtool.io.atomic import publish_folder
from mmtool.io.writers.tables import write_tsv
from mmtool.pipelines.devices import peak_memory_mb
from mmtool.pipelines.runrecord import is_complete, now, write_record
from mmtool.pipelines.samplesheet import BatchItem

log = logging.getLogger(__name__)
_STAGING = ".mmtool-staging"


@dataclass(frozen=True)
class ItemResult:
    """What one item gave.

    Attributes:
        summary: Goes into the record and to the terminal.
        inputs_sha256: Path of each input read -> hash.
        error: Set when the outputs are worth keeping and the item still counts as failed.
    """

    summary: dict[str, Any]
    inputs_sha256: dict[str, str]
    error: MMToolError | None = None


class Task(Protocol):
    """One command's work, as the runner sees it."""

    command: str

    def load(self) -> Mapping[str, Any]:
        """Load the model once; return what the record says of it."""

    def fingerprint(self, item: BatchItem) -> str:
        """Hash over input bytes, arguments and weights: equal means equal outputs."""

    def run_item(self, item: BatchItem, out: Path) -> ItemResult:
        """Write whole files into the empty folder ``out``."""


@dataclass(frozen=True)
class BatchOptions:
    """How to run.

    Attributes:
        output: Folder of the results; None for a default beside the current folder.
        resume: Skip items whose outputs are there and match.
        overwrite: Replace outputs that are there.
        shard: This process's part, (i, n) with i from 1.
        many: Whether each item gets a folder of its own below ``output``.
        arguments: Resolved arguments for the record.
        seed: For the record.
        debug: Let unexpected errors through.
    """

    output: Path | None = None
    resume: bool = False
    overwrite: bool = False
    shard: tuple[int, int] = (1, 1)
    many: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    debug: bool = False


@dataclass(frozen=True)
class ItemReport:
    """What became of an item: ``ok``, ``skipped`` or ``failed``."""

    item: BatchItem
    target: Path
    status: str
    seconds: float = 0.0
    summary: Mapping[str, Any] = field(default_factory=dict)
    error: MMToolError | None = None


@dataclass(frozen=True)
class BatchReport:
    """What became of a batch; ``stopped`` when SIGTERM ended it early."""

    items: tuple[ItemReport, ...]
    stopped: bool = False
    failures_file: Path | None = None

    @property
    def failed(self) -> list[ItemReport]:
        """The items that failed."""
        return [r for r in self.items if r.status == "failed"]


def default_output(command: str, items: Sequence[BatchItem], many: bool) -> Path:
    """``<stem>_<command>`` for one input, ``mmtool_<command>`` for several."""
    return Path(f"mmtool_{command}" if many else f"{items[0].name}_{command}")


def plan(
    items: Sequence[BatchItem], command: str, options: BatchOptions
) -> list[tuple[BatchItem, Path]]:
    """This shard's items with their output folders.

    Raises:
        UsageError: A folder holds something already, and neither resume nor overwrite was asked.
    """
    root = options.output or default_output(command, items, options.many)
    part, parts = options.shard
    planned = [(item, root / item.name if options.many else root) for item in items]
    planned = planned[part - 1 :: parts]
    if not (options.resume or options.overwrite):
        for _, target in planned:
            if target.exists() and (not target.is_dir() or any(target.iterdir())):
                raise UsageError(
                    f"{target} is there already and not empty",
                    "--resume goes on where a run stopped, --overwrite replaces, -o names another",
                )
    return planned


def run_batch(
    items: Sequence[BatchItem],
    task: Task,
    options: BatchOptions,
    *,
    report: Callable[[ItemReport, int, int], None] | None = None,
) -> BatchReport:
    """Run a task over items.

    Args:
        items: All items; the shard of the options picks from them.
        task: The work.
        options: See :class:`BatchOptions`.
        report: Called after every item with its report, position and the number of items.

    Returns:
        One report an item that was reached.

    Raises:
        MMToolError: Before any item: bad output folder, model or device. A single input's own
            error is raised too.
    """
    planned = plan(items, task.command, options)
    failures = _failures_file(items, task.command, options)
    done: list[ItemReport] = []
    runner = _Runner(task, options)
    with _termination() as stop:
        for position, (item, target) in enumerate(planned, start=1):
            if stop.asked:
                break
            result = runner.run(item, target)
            done.append(result)
            if options.many:
                _write_failures(failures, done)
            if report:
                report(result, position, len(planned))
            if not options.many and result.error is not None:
                raise result.error
        stopped = stop.asked
    listed = failures if any(r.status == "failed" for r in done) and options.many else None
    return BatchReport(tuple(done), stopped, listed)


class _Runner:
    """Runs items; loads the model when the first one needs it."""

    def __init__(self, task: Task, options: BatchOptions) -> None:
        self.task = task
        self.options = options
        self.model: Mapping[str, Any] | None = None

    def run(self, item: BatchItem, target: Path) -> ItemReport:
        began = time.monotonic()
        try:
            fingerprint = self.task.fingerprint(item)
            if self.options.resume and is_complete(target, fingerprint):
                return ItemReport(item, target, "skipped")
        except MMToolError as error:
            if error.exit_code == 4:
                raise  # no model, no batch
            return ItemReport(item, target, "failed", 0.0, {}, error)
        if self.model is None:
            self.model = self.task.load()
        try:
            result = self._staged(item, target, fingerprint)
        except MMToolError as error:
            seconds = time.monotonic() - began
            return ItemReport(item, target, "failed", seconds, {}, error)
        seconds = time.monotonic() - began
        status = "failed" if result.error else "ok"
        return ItemReport(item, target, status, seconds, result.summary, result.error)

    def _staged(self, item: BatchItem, target: Path, fingerprint: str) -> ItemResult:
        """Run in a folder beside the target and publish it whole."""
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target)
        staging = target.parent / f"{_STAGING}-{target.name}-{_host()}-{os.getpid()}"
        staging.mkdir()
        started, began = now(), time.monotonic()
        try:
            result = self._guarded(item, staging)
            record = {
                "command": self.task.command,
                "name": item.name,
                "status": "failed" if result.error else "ok",
                "arguments": self._arguments(item),
                "inputs": result.inputs_sha256,
                "model": dict(self.model or {}),
                "seed": self.options.seed,
                "fingerprint": fingerprint,
                "started": started,
                "seconds": round(time.monotonic() - began, 3),
                "peak_memory_mb": round(peak_memory_mb(), 1),
                "summary": result.summary,
            }
            write_record(staging, record)
            publish_folder(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return result

    def _arguments(self, item: BatchItem) -> dict[str, Any]:
        own = {"inputs": [str(p.absolute()) for p in item.inputs]}
        return {**self.options.arguments, **own, **item.params}

    def _guarded(self, item: BatchItem, staging: Path) -> ItemResult:
        """Turn what must not end a batch into an error of one item."""
        try:
            return self.task.run_item(item, staging)
        except MMToolError:
            raise
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
                raise DeviceError(
                    f"{item.inputs[0]}: not enough memory", "free memory, or use a smaller scan"
                ) from error
            raise self._unexpected(item, error) from error
        except Exception as error:  # noqa: BLE001 - one item must not take the batch with it
            raise self._unexpected(item, error) from error

    def _unexpected(self, item: BatchItem, error: Exception) -> MMToolError:
        # The text of a foreign error may quote a header; its type can't.
        if self.options.debug:
            log.exception("unexpected error")
        return MMToolError(
            f"{item.inputs[0]}: unexpected error ({type(error).__name__})",
            "run it again with --debug, and report what it prints",
        )


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:40]


def _remove_stale(target: Path) -> None:
    """Remove staging folders of this target whose process is gone."""
    pattern = re.compile(re.escape(f"{_STAGING}-{target.name}-{_host()}-") + r"(\d+)$")
    for folder in target.parent.iterdir():
        match = pattern.match(folder.name)
        if match and not _alive(int(match.group(1))):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # a folder of this very process was left by an earlier item
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _failures_file(items: Sequence[BatchItem], command: str, options: BatchOptions) -> Path:
    root = options.output or default_output(command, items, options.many)
    part, parts = options.shard
    return root / ("failures.tsv" if parts == 1 else f"failures.{part}-of-{parts}.tsv")


def _write_failures(path: Path, done: Sequence[ItemReport]) -> None:
    rows = [
        (
            str(r.item.inputs[0]),
            r.item.name,
            type(r.error).__name__,
            r.error.exit_code if r.error else EXIT_UNEXPECTED,
            r.error.message if r.error else "",
            r.error.hint if r.error else "",
        )
        for r in done
        if r.status == "failed"
    ]
    if rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tsv(path, ("input", "name", "error", "exit_code", "message", "hint"), rows)
    else:
        path.unlink(missing_ok=True)


class _Stop:
    """Whether SIGTERM came."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True


@contextmanager
def _termination() -> Iterator[_Stop]:
    """Let SIGTERM end the batch after the item in hand (Slurm sends it before it kills)."""
    stop = _Stop()
    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: the caller owns the signals
        yield stop
        return
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
