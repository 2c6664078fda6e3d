"""What every predicting command does after parsing: plan, run, tell, choose the exit code."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mmtool.cli.options import Common, parse_shard, start_logging
from mmtool.errors import EXIT_PARTIAL, EXIT_SIGTERM, UsageError

if TYPE_CHECKING:
    from mmtool.pipelines.batch import BatchReport, ItemReport, Task

log = logging.getLogger("mmtool")


def run_task(
    task: Task,
    inputs: Sequence[Path],
    common: Common,
    *,
    columns: Collection[str],
    arguments: Mapping[str, Any],
) -> None:
    """Run a task over the inputs of a command line.

    Args:
        task: The command's work.
        inputs: From the command line.
        common: Shared options.
        columns: Columns that the command takes from a sample sheet.
        arguments: All parameters of the command, for the record.

    Raises:
        typer.Exit: With code 6 when some of several inputs failed, 143 after SIGTERM.
    """
    from mmtool.io.limits import Limits
    from mmtool.pipelines.batch import BatchOptions, plan, run_batch
    from mmtool.pipelines.devices import set_threads
    from mmtool.pipelines.samplesheet import items_from_paths, items_from_sheet

    start_logging(common)
    if common.samplesheet and inputs:
        raise UsageError("inputs and --samplesheet exclude each other", "give one of them")
    if common.resume and common.overwrite:
        raise UsageError("--resume and --overwrite exclude each other", "give one of them")
    if common.samplesheet:
        items = items_from_sheet(common.samplesheet, columns, Limits.from_env())
    elif inputs:
        items = items_from_paths(inputs)
    else:
        raise UsageError("no input", f"mmtool {task.command} FILE, or --samplesheet FILE")
    many = common.samplesheet is not None or len(items) > 1
    options = BatchOptions(
        output=common.output,
        resume=common.resume,
        overwrite=common.overwrite,
        shard=parse_shard(common.shard, several=many),
        many=many,
        arguments=_replayable(arguments),
        seed=common.seed,
        debug=common.debug,
    )
    if common.dry_run:
        for item, target in plan(items, task.command, options):
            typer.echo(f"{item.inputs[0]}\t{target}")
        return
    set_threads(common.threads)
    report = run_batch(items, task, options, report=_Teller(common))
    _finish(report, common)


def _replayable(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as ``--config`` reads them back; what concerns one run only is left out."""
    once = ("inputs", "samplesheet", "shard", "resume", "overwrite", "dry_run", "config", "output")
    terminal = ("json", "verbose", "quiet", "debug")
    return {
        key: str(value) if isinstance(value, Path) else value
        for key, value in arguments.items()
        if key not in (*once, *terminal, "ctx")
    }


class _Teller:
    """Tells on stderr how far a run is."""

    def __init__(self, common: Common) -> None:
        self.quiet = common.quiet or common.json and not common.verbose

    def __call__(self, result: ItemReport, position: int, count: int) -> None:
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


def _finish(report: BatchReport, common: Common) -> None:
    if common.json:
        typer.echo(json.dumps(_as_json(report), indent=2, ensure_ascii=False))
    else:
        for result in report.items:
            if result.status != "failed":
                typer.echo(str(result.target))
    sys.stdout.flush()
    if report.stopped:
        typer.echo("mmtool: stopped by SIGTERM; --resume goes on", err=True)
        raise typer.Exit(EXIT_SIGTERM)
    if report.failed:
        typer.echo(
            f"mmtool: {len(report.failed)} of {len(report.items)} inputs failed, "
            f"see {report.failures_file}",
            err=True,
        )
        raise typer.Exit(EXIT_PARTIAL)


def _as_json(report: BatchReport) -> dict[str, Any]:
    return {
        "stopped": report.stopped,
        "items": [
            {
                "name": r.item.name,
                "input": str(r.item.inputs[0]),
                "output": str(r.target),
                "status": r.status,
                "seconds": round(r.seconds, 3),
                "error": None if r.error is None else r.error.message,
                **r.summary,
            }
            for r in report.items
        ],
    }
