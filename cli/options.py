"""Options that all commands share, each defined once. Imports nothing heavier than typer."""

from __future__ import annotations

import json
import logging
import os
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mmtool.errors import UsageError

_RUN = "Running"
_BATCH = "Batch"


def load_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Take defaults from ``run.toml`` or ``run.json``. Flags and variables go before them."""
    if path is None:
        return None
    values = _config_values(path)
    names = {p.name for p in ctx.command.params}
    defaults = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in names or name in ("config", "help"):
            import difflib

            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else "see --help for the options"
            raise UsageError(f"{path}: unknown option '{key}'", hint)
        if isinstance(value, dict):
            raise UsageError(f"{path}: option '{key}' is a table", "give a plain value")
        if value is not None:
            defaults[name] = value
    ctx.default_map = defaults
    return path


def _config_values(path: Path) -> dict[str, Any]:
    """Options in a file; nothing in it is evaluated."""
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: no readable TOML or JSON ({type(error).__name__})", "check the file"
        ) from error
    if isinstance(values, dict) and "arguments" in values:  # a run.json written by mmtool
        values = values["arguments"]
    if not isinstance(values, dict):
        raise UsageError(f"{path}: no options in it", "write 'option = value' lines")
    return values


Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Folder of the results.", rich_help_panel=_RUN
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda or cuda:K. A device that is asked for and absent is an error.",
        envvar="MMTOOL_DEVICE",
        rich_help_panel=_RUN,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="CPU threads; default all.", envvar="MMTOOL_THREADS", rich_help_panel=_RUN
    ),
]
Seed = Annotated[
    int,
    typer.Option(min=0, help="Of everything random.", envvar="MMTOOL_SEED", rich_help_panel=_RUN),
]
Config = Annotated[
    Path | None,
    typer.Option(
        callback=load_config,
        is_eager=True,
        metavar="FILE",
        help="Options from a TOML file, or from the run.json of an earlier run.",
        rich_help_panel=_RUN,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", "-n", help="Say what would be done, and do nothing.", rich_help_panel=_RUN
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=_RUN)
]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Say more.", rich_help_panel=_RUN)
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Only errors on stderr.", rich_help_panel=_RUN)
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Tracebacks for errors.", rich_help_panel=_RUN)
]
SampleSheet = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="CSV or TSV with a column 'input', and one for each per-input option.",
        rich_help_panel=_BATCH,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Do the I-th of N parts. Default in a Slurm array: the task's part.",
        rich_help_panel=_BATCH,
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Skip inputs whose results are there.", rich_help_panel=_BATCH),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace earlier results.", rich_help_panel=_BATCH)
]


@dataclass(frozen=True)
class Common:
    """Values of the shared options."""

    output: Path | None = None
    device: str = "auto"
    threads: int | None = None
    seed: int = 0
    dry_run: bool = False
    json: bool = False
    verbose: int = 0
    quiet: bool = False
    debug: bool = False
    samplesheet: Path | None = None
    shard: str | None = None
    resume: bool = False
    overwrite: bool = False

    @classmethod
    def of(cls, values: dict[str, Any]) -> Common:
        """Pick the shared options out of a command's parameters."""
        return cls(**{k: v for k, v in values.items() if k in cls.__dataclass_fields__})


def start_logging(common: Common) -> None:
    """One handler, on stderr."""
    level = logging.ERROR if common.quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[
        min(2, common.verbose)
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("mmtool: %(message)s"))
    logger = logging.getLogger("mmtool")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


def parse_shard(text: str | None, *, several: bool) -> tuple[int, int]:
    """(i, n), from ``--shard`` or from Slurm's array variables.

    Slurm's variables count only where there is something to share out: a sheet or several inputs.

    Raises:
        UsageError: Not of the form I/N with 1 <= I <= N.
    """
    if text is None:
        names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN")
        number, count, first = (os.environ.get(n, "") for n in names)
        if not several or not (number.isdigit() and count.isdigit()):
            return 1, 1
        step = os.environ.get("SLURM_ARRAY_TASK_STEP", "1")
        base = int(first) if first.isdigit() else 1
        text = f"{(int(number) - base) // int(step or 1) + 1}/{count}"
    part, slash, parts = text.partition("/")
    if not (slash and part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise UsageError(f"--shard {text}: not a part", "write I/N, e.g. 2/8; I runs from 1 to N")
    return int(part), int(parts)
