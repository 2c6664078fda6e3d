"""Options that all commands share, each defined once. Imports nothing heavier than typer."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mmtool.cli.config_file import use_config
from mmtool.errors import UsageError
from mmtool.pipelines.samplesheet import Shard as Part

_RUN = "Running"
_BATCH = "Batch"
SERVER = "Server"


Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Folder of the results; with several inputs a folder in it for each.",
        envvar="MMTOOL_OUTPUT",
        rich_help_panel=_RUN,
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
QdrantName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Of the index on the server; default: that of its folder.",
        rich_help_panel=SERVER,
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Refuse what would need more, e.g. 6G; default what the machine has left.",
        envvar="MMTOOL_MAX_MEMORY",
        rich_help_panel=_RUN,
    ),
]
Seed = Annotated[
    int,
    typer.Option(min=0, help="Of everything random.", envvar="MMTOOL_SEED", rich_help_panel=_RUN),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="MMTOOL_CONFIG",
        callback=use_config,
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
        envvar="MMTOOL_SHARD",
        help="Do the I-th of N parts. Default in a Slurm array: the task's part.",
        rich_help_panel=_BATCH,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        envvar="MMTOOL_RESUME",
        help="Skip inputs whose results are there and unaltered.",
        rich_help_panel=_BATCH,
    ),
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


def check_scores_folder(output: Path | None, overwrite: bool) -> None:
    """Refuse a folder for scores that holds something.

    Raises:
        UsageError: It is a file, or not empty and not to be overwritten.
    """
    if output is None or not output.exists():
        return
    if not output.is_dir():
        raise UsageError(f"{output} is a file", "name a folder")
    if any(output.iterdir()) and not overwrite:
        raise UsageError(f"{output} is not empty", "--overwrite replaces the scores in it")


def start_logging(common: Common) -> None:
    """One handler, on stderr."""
    level = (
        logging.ERROR
        if common.quiet
        else (logging.WARNING, logging.INFO, logging.DEBUG)[min(2, common.verbose)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("mmtool: %(message)s"))
    logger = logging.getLogger("mmtool")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


def parse_shard(text: str | None, environ: Mapping[str, str], *, several: bool) -> Part | None:
    """Part of the items to do; None for all.

    Args:
        text: ``i/n`` as given, or None: then a Slurm array's task takes its part.
        environ: Environment with Slurm's variables.
        several: Whether there is something to share out. Slurm's variables count only then: a
            user who starts one array task for each scan means that very scan.

    Raises:
        UsageError: Not I/N with 1 <= I <= N, or a Slurm array that has gaps.
    """
    if text is not None:
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
        index, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= index <= count:
            raise UsageError(
                f"--shard {text}: not a part", "write I/N, e.g. 2/8; I runs from 1 to N"
            )
        return Part(index, count) if count > 1 else None
    names = ("ID", "COUNT", "MIN", "STEP")
    slurm = {n: environ.get(f"SLURM_ARRAY_TASK_{n}", "") for n in names}
    if not (several and slurm["ID"].isdigit() and slurm["COUNT"].isdigit()):
        return None
    first, step = int(slurm["MIN"] or 1), int(slurm["STEP"] or 1)
    place, rest = divmod(int(slurm["ID"]) - first, step)
    count = int(slurm["COUNT"])
    if rest or not 0 <= place < count:
        raise UsageError(
            "the Slurm array has gaps, so this task's part can't be told",
            "give --shard I/N, or submit an array without gaps",
        )
    return Part(place + 1, count) if count > 1 else None
