"""What every command does around its task: plan, run, print, exit code."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from mmtool.cli.config_file import MAYBE_PATHS
from mmtool.cli.options import CommonOptions
from mmtool.errors import UsageError
from mmtool.pipelines.batch import (
    BatchItem,
    BatchOptions,
    BatchReport,
    ItemReport,
    Shard,
    Task,
    plan,
    run_batch,
)
from mmtool.pipelines.devices import check_device_name
from mmtool.pipelines.samplesheet import items_from_paths, items_from_sheet, stem_of


def run_task(
    command: str,
    make_task: Callable[[], Task],
    common: CommonOptions,
    arguments: Mapping[str, Any],
    *,
    columns: Collection[str] = (),
) -> None:
    """Run a command's task over its inputs and leave with the right exit code.

    Args:
        command: E.g. ``segment``.
        make_task: Builds the task; heavy imports belong inside it.
        common: The shared options.
        arguments: The command's own options by their long names, for the record and its replay.
        columns: Options that a row of the sample sheet may set.

    Raises:
        typer.Exit: With the exit code, unless it is 0.
        MMToolError: Nothing could be done.
    """
    set_up_logging(common)
    check_device_name(common.device)
    if common.resume and common.overwrite:
        raise UsageError("--resume and --overwrite exclude each other", "give one of them")
    items = _items(common, columns)
    options = _batch_options(command, common, arguments, items)
    if options.shard and not common.quiet:
        count = len(options.shard.take(items))
        _say(f"part {options.shard.index} of {options.shard.count}: {count} of {len(items)} items")
    if common.dry_run:
        _dry_run(command, items, options, common)
        return
    plan(items, options)  # usage errors come before the slow imports
    listener = _Listener(common)
    report = run_batch(
        items, make_task(), options, on_start=listener.started, on_done=listener.done
    )
    _print_report(report, command, common)
    _raise_single(report)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def set_up_logging(common: CommonOptions) -> None:
    """Send the package's log to stderr: warnings, with -v information, with -vv everything."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(common.verbose, 2)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("mmtool: %(levelname)s: %(message)s"))
    log = logging.getLogger("mmtool")
    log.handlers = [handler]
    log.setLevel(logging.ERROR if common.quiet else level)
    log.propagate = False


def _items(common: CommonOptions, columns: Collection[str]) -> list[BatchItem]:
    if common.samplesheet and common.inputs:
        raise UsageError("inputs and --samplesheet exclude each other", "give one of them")
    if common.samplesheet:
        return items_from_sheet(
            common.samplesheet, params=columns, path_params=MAYBE_PATHS & set(columns)
        )
    if not common.inputs:
        raise UsageError("no input was given", "name files or folders, or give --samplesheet")
    return items_from_paths(common.inputs)


def _batch_options(
    command: str,
    common: CommonOptions,
    arguments: Mapping[str, Any],
    items: Sequence[BatchItem],
) -> BatchOptions:
    nested = common.samplesheet is not None or len(items) > 1
    resolved = {
        **arguments,
        "model": common.model,
        "device": common.device,
        "threads": common.threads,
        "seed": common.seed,
    }
    return BatchOptions(
        output=common.output or _default_output(command, common),
        nested=nested,
        resume=common.resume,
        overwrite=common.overwrite,
        shard=parse_shard(common.shard, os.environ, automatic=len(items) > 1),
        threads=common.threads,
        seed=common.seed,
        arguments=resolved,
        path_params=MAYBE_PATHS,
    )


def _default_output(command: str, common: CommonOptions) -> Path:
    if common.samplesheet:
        return Path(f"{stem_of(common.samplesheet)}_{command}")
    if len(common.inputs) == 1:
        return Path(f"{stem_of(common.inputs[0])}_{command}")
    raise UsageError("several inputs need an output folder", "give -o DIR")


def parse_shard(text: str | None, environ: Mapping[str, str], *, automatic: bool) -> Shard | None:
    """Part of the items to do.

    Args:
        text: ``i/n`` as given, or None: then a Slurm array's task takes its part.
        environ: Environment with Slurm's variables.
        automatic: Look at Slurm's variables. Not for a single input: a user who starts one
            task an input means that very input.

    Raises:
        UsageError: No ``i/n`` with 1 <= i <= n, or a Slurm array that has gaps.
    """
    if text is not None:
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
        index, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= index <= count:
            raise UsageError(f"--shard {text} is no part", "use I/N with I from 1 to N, as 3/64")
        return Shard(index, count) if count > 1 else None
    names = ("ID", "COUNT", "MIN", "STEP")
    slurm = {n: environ.get(f"SLURM_ARRAY_TASK_{n}", "") for n in names}
    if not (automatic and slurm["ID"].isdigit() and slurm["COUNT"].isdigit()):
        return None
    first, step = int(slurm["MIN"] or 1), int(slurm["STEP"] or 1)
    place, rest = divmod(int(slurm["ID"]) - first, step)
    count = int(slurm["COUNT"])
    if rest or not 0 <= place < count:
        raise UsageError(
            "the Slurm array has gaps, so this task's part cannot be told",
            "give --shard I/N, or use an array without gaps",
        )
    return Shard(place + 1, count) if count > 1 else None


def _dry_run(
    command: str, items: Sequence[BatchItem], options: BatchOptions, common: CommonOptions
) -> None:
    from mmtool.models.store import resolve_model

    model = resolve_model(command, common.model)
    rows = []
    for item in plan(items, options):
        missing = [p for p in item.inputs if not p.exists()]
        rows.append(
            {
                "name": item.name,
                "input": [str(p) for p in item.inputs],
                "found": not missing,
                "model": model.name,
                "output": str(options.target(item)),
            }
        )
    if common.json:
        _print_json({"command": command, "dry_run": True, "items": rows})
        return
    typer.echo("name\tinput\tmodel\toutput")
    for row, item in zip(rows, plan(items, options), strict=True):
        given = " ".join(str(p) for p in item.inputs)
        note = "" if row["found"] else " (missing)"
        typer.echo(f"{item.name}\t{given}{note}\t{model.name}\t{row['output']}")


class _Listener:
    """Progress on stderr: a line an item, and at a terminal what is being worked on."""

    def __init__(self, common: CommonOptions) -> None:
        self.quiet = common.quiet
        self.live = sys.stderr.isatty() and not common.quiet

    def started(self, number: int, total: int, item: BatchItem) -> None:
        if self.live:
            typer.echo(f"\r\x1b[K[{number}/{total}] {item.name} ...", nl=False, err=True)

    def done(self, number: int, total: int, report: ItemReport) -> None:
        if self.live:
            typer.echo("\r\x1b[K", nl=False, err=True)
        if self.quiet:
            return
        words = f"{report.status}, {report.seconds:.1f} s"
        if report.error is not None:
            words = f"failed (exit {report.error.exit_code}): {report.error.message}"
        _say(f"[{number}/{total}] {report.item.name}: {words}")


def _print_report(report: BatchReport, command: str, common: CommonOptions) -> None:
    kept = [r for r in report.items if r.error is None or r.summary]
    if common.json:
        _print_json({"command": command, "items": [_as_json(r) for r in report.items]})
    else:
        for item in kept:
            typer.echo(str(item.output))
    if report.failures and not common.quiet:
        _say(f"{len(report.failed)} of {len(report.items)} items failed, see {report.failures}")
    if report.terminated:
        _say(f"stopped by SIGTERM; {len(report.left)} items are left, --resume does them")


def _as_json(report: ItemReport) -> dict[str, Any]:
    error = report.error
    return {
        "name": report.item.name,
        "status": report.status,
        "output": str(report.output),
        "seconds": round(report.seconds, 3),
        "summary": dict(report.summary),
        "error": error
        and {"message": error.message, "hint": error.hint, "exit_code": error.exit_code},
    }


def _raise_single(report: BatchReport) -> None:
    """Show a single input's error as if it had been raised: message, hint, traceback."""
    if report.single and report.failed and not report.terminated:
        failed = report.failed[0]
        if failed.cause is not None:
            raise failed.cause
        if failed.error is not None:
            raise failed.error


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def _say(message: str) -> None:
    typer.echo(f"mmtool: {message}", err=True)
