"""What every predicting command does after parsing: plan, run, tell, choose the exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from mmtool.cli.config_file import MAYBE_PATHS
from mmtool.cli.options import Common, parse_shard, start_logging
from mmtool.errors import UsageError
from mmtool.pipelines.batch import BatchOptions, BatchReport, ItemReport, Task, plan, run_batch
from mmtool.pipelines.devices import check_device_name
from mmtool.pipelines.places import Layout
from mmtool.pipelines.samplesheet import (
    BatchItem,
    items_from_paths,
    items_from_queries,
    items_from_sheet,
    stem_of,
)

# About this run or this terminal, not about the result: a replay chooses them anew.
_PLACE = (
    *("inputs", "channel", "samplesheet", "output"),
    *("shard", "resume", "overwrite", "dry_run", "config"),
)
_MACHINE = ("max_memory",)
_TERMINAL = ("json", "verbose", "quiet", "debug")


@dataclass(frozen=True)
class Channels:
    """Cases of several images.

    Attributes:
        names: Gives the names of the model's channels; asked only where they matter.
        order: Gives each item a file for each channel, in the order of the model.
        given: Further channels of the one input on the command line, by name.
    """

    names: Callable[[], tuple[str, ...]]
    order: Callable[[list[BatchItem]], list[BatchItem]]
    given: Mapping[str, Path]


def parse_channels(values: Sequence[str]) -> dict[str, Path]:
    """``NAME=FILE`` to name and file, in their order.

    Raises:
        UsageError: Not of that form, or a name stands twice.
    """
    out: dict[str, Path] = {}
    for value in values:
        name, _, path = value.partition("=")
        if not name.strip() or not path.strip():
            raise UsageError(
                f"--channel {value}: not NAME=FILE", "for example --channel t1c=t1c.nii.gz"
            )
        if name.strip() in out:
            raise UsageError(f"--channel {name.strip()} stands twice", "give each channel once")
        out[name.strip()] = Path(path.strip())
    return out


def run_task(
    task: Task,
    inputs: Sequence[Path] | Sequence[str],
    common: Common,
    *,
    columns: Collection[str],
    arguments: Mapping[str, Any],
    layout: Callable[[Sequence[BatchItem], Path], Layout] | None = None,
    channels: Channels | None = None,
    words: bool = False,
) -> None:
    """Run a task over the inputs of a command line.

    Args:
        task: The command's work.
        inputs: From the command line.
        common: Shared options.
        columns: Options of the command that a row of the sample sheet may set.
        arguments: All parameters of the command, for the record.
        layout: Makes of all items and the output folder how they share it; None for one folder
            an item.
        channels: For a command whose items may be several images.
        words: Whether an input that is no file is taken for words.

    Raises:
        typer.Exit: With code 6 when some of several inputs failed, 143 after SIGTERM.
        MMToolError: Nothing could be done, or the only input failed.
    """
    start_logging(common)
    check_device_name(common.device)
    if common.resume and common.overwrite:
        raise UsageError("--resume and --overwrite exclude each other", "give one of them")
    items = _items(task.command, inputs, common, columns, channels, words=words)
    options = _options(task.command, inputs, common, arguments, items)
    if layout is not None:
        options = replace(options, layout=layout(items, options.output))
    if options.shard and not common.quiet:
        mine = len(options.shard.take(items))
        _say(f"part {options.shard.index} of {options.shard.count}: {mine} of {len(items)} inputs")
    if common.dry_run:
        from mmtool.cli.dry_run import show_plan

        show_plan(task, plan(items, options), options, common, single=len(items) == 1)
        return
    teller = _Teller(common)
    report = run_batch(items, task, options, on_start=teller.started, on_done=teller.done)
    _finish(report, task.command, common)


def _items(
    command: str,
    inputs: Sequence[Path] | Sequence[str],
    common: Common,
    columns: Collection[str],
    channels: Channels | None,
    *,
    words: bool,
) -> list[BatchItem]:
    given = channels.given if channels else {}
    if common.samplesheet and (inputs or given):
        raise UsageError("inputs and --samplesheet exclude each other", "give one of them")
    if common.samplesheet:
        items = items_from_sheet(
            common.samplesheet,
            params=columns,
            path_params=MAYBE_PATHS & set(columns),
            channels=channels.names() if channels else (),
            words=words,
        )
    elif not inputs:
        raise UsageError("no input", f"mmtool {command} FILE, or --samplesheet FILE")
    elif words:
        items = items_from_queries([str(i) for i in inputs])
    else:
        items = items_from_paths([Path(i) for i in inputs], given)
    return channels.order(items) if channels else items


def _options(
    command: str,
    inputs: Sequence[Path] | Sequence[str],
    common: Common,
    arguments: Mapping[str, Any],
    items: Sequence[BatchItem],
) -> BatchOptions:
    several = common.samplesheet is not None or len(items) > 1
    if common.output:
        output = common.output
    elif len(items) == 1 and items[0].words:
        output = Path(f"{items[0].name}_{command}")
    elif common.samplesheet or len(inputs) == 1:
        output = Path(f"{stem_of(common.samplesheet or Path(inputs[0]))}_{command}")
    else:
        output = Path(f"mmtool_{command}")
    return BatchOptions(
        output=output,
        nested=several,
        resume=common.resume,
        overwrite=common.overwrite,
        shard=parse_shard(common.shard, os.environ, several=several),
        threads=common.threads,
        seed=common.seed,
        arguments={
            k.rstrip("_"): v
            for k, v in arguments.items()
            if k not in (*_PLACE, *_MACHINE, *_TERMINAL)
        },
        path_params=MAYBE_PATHS,
    )


class _Teller:
    """Tells on stderr how far a run is; at a terminal also what is being worked on."""

    def __init__(self, common: Common) -> None:
        self.quiet = common.quiet
        self.live = sys.stderr.isatty() and not common.quiet

    def started(self, position: int, count: int, item: BatchItem) -> None:
        if self.live:
            typer.echo(f"\r\x1b[K[{position}/{count}] {item.name} ...", nl=False, err=True)

    def done(self, position: int, count: int, result: ItemReport) -> None:
        if self.live:
            typer.echo("\r\x1b[K", nl=False, err=True)
        if self.quiet:
            return
        word = {"ok": "done", "skipped": "there already", "failed": "FAILED"}[result.status]
        line = f"[{position}/{count}] {result.item.name}: {word}"
        if result.status == "ok":
            line += f" in {result.seconds:.1f} s"
        if result.error is not None and count > 1:
            line += f": {result.error.message}"
        typer.echo(line, err=True)
        for note in result.summary.get("notes", []):
            typer.echo(f"  note: {note}", err=True)


def _finish(report: BatchReport, command: str, common: Common) -> None:
    if common.json:
        items = [_as_json(r) for r in report.items]
        _print_json({"command": command, "left": len(report.left), "items": items})
    else:
        for result in report.items:
            if result.kept:
                typer.echo(str(result.output))
    sys.stdout.flush()
    if report.failures:
        _say(f"{len(report.failed)} of {len(report.items)} inputs failed, see {report.failures}")
    if report.terminated:
        _say(f"stopped by SIGTERM; {len(report.left)} inputs are left, --resume does them")
    elif report.single and report.failed:
        failed = report.failed[0]
        if failed.cause is not None:
            raise failed.cause
        if failed.error is not None:
            raise failed.error
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _as_json(result: ItemReport) -> dict[str, Any]:
    error = result.error
    return {
        "name": result.item.name,
        "input": result.item.given,
        "output": str(result.output) if result.kept else None,
        "status": result.status,
        "seconds": round(result.seconds, 3),
        "error": error and {"exit_code": error.exit_code, "message": error.message},
        "summary": dict(result.summary),
    }


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def _say(message: str) -> None:
    typer.echo(f"mmtool: {message}", err=True)
