"""``--dry-run``: what a command would do, what it would need, and what it would refuse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer

from mmtool.cli.options import Common
from mmtool.errors import EXIT_PARTIAL, InputError, MMToolError, ModelError
from mmtool.models.store import resolve_model
from mmtool.pipelines.batch import BatchItem, BatchOptions, Foreseeing, Task


def show_plan(
    task: Task, items: Sequence[BatchItem], options: BatchOptions, common: Common, *, single: bool
) -> None:
    """Print a row for each item, with the memory that it needs where the task can tell.

    Args:
        task: The command's work; its model is loaded if it can foresee what an item needs.
        items: Those of this shard.
        options: How the batch would be run.
        common: Shared options.
        single: The run is about one input, whose own error then ends the plan.

    Raises:
        ModelError: The model is absent or altered.
        MMToolError: The only input would be refused.
        typer.Exit: With code 6 when some of several would be.
    """
    named = options.arguments.get("model")  # None where the input decides
    model = "" if named is None else resolve_model(task.command, str(named)).name
    there = [all(p.exists() for p in item.inputs) for item in items]
    if any(there) and isinstance(task, Foreseeing):
        task.load()
    needs = [_foreseen(task, item) for item in items]
    rows = [
        {
            "name": item.name,
            "input": item.given,
            "found": "yes" if found else "no",
            "model": model,
            "output": str(options.target(item)),
            "expected_memory_mb": round(need / 1e6, 1) if isinstance(need, int) else None,
            "refused": need.message if isinstance(need, MMToolError) else None,
        }
        for item, found, need in zip(items, there, needs, strict=True)
    ]
    _print(task.command, rows, as_json=common.json)
    errors = [need for need in needs if isinstance(need, MMToolError)]
    if errors:
        raise errors[0] if single else typer.Exit(EXIT_PARTIAL)


def _foreseen(task: Task, item: BatchItem) -> int | MMToolError | None:
    """Bytes that an item needs, why it would be refused, or None where nothing is known."""
    try:
        for path in item.inputs:
            if not path.exists():
                raise InputError(f"{path}: no such file or folder", "check the path")
        return task.foresee(item) if isinstance(task, Foreseeing) else None
    except ModelError:
        raise  # no item could be done
    except MMToolError as error:
        return error


def _print(command: str, rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        plan = {"command": command, "dry_run": True, "items": rows}
        typer.echo(json.dumps(plan, indent=2, ensure_ascii=False, allow_nan=False))
        return
    columns = ("name", "input", "found", "model", "output", "expected_memory_mb", "refused")
    typer.echo("\t".join(columns))
    for row in rows:
        typer.echo("\t".join("" if row[c] is None else str(row[c]) for c in columns))
