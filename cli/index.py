"""``mmtool index``."""

from __future__ import annotations

import json as json_module
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmtool.cli import options as shared
from mmtool.errors import EXIT_PARTIAL, EXIT_SIGINT, EXIT_SIGTERM, UsageError
from mmtool.pipelines.devices import check_device_name
from mmtool.retrieval import KINDS

if TYPE_CHECKING:
    from mmtool.pipelines.index import IndexRequest, IndexResult

_TABLES = "Tables"


def parse_kinds(text: str | None) -> frozenset[Any]:
    """Kinds of a list such as ``image,text``; all of them when None.

    Raises:
        UsageError: One is not known.
    """
    if text is None:
        return frozenset(KINDS)
    kinds = {part.strip() for part in text.split(",") if part.strip()}
    strange = sorted(kinds - set(KINDS))
    if strange or not kinds:
        raise UsageError(f"--kinds {text}: not known", f"some of {','.join(KINDS)}")
    return frozenset(kinds)


def index(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Files and folders: DICOM, NIfTI, PNG, JPEG, BMP, TIFF, slides, texts, SMILES, "
            "SDF, FASTA, and tables (CSV, TSV, JSON lines) of paths, words or molecules.",
            show_default=False,
        ),
    ] = None,
    output: shared.Output = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="Encoder of pictures and words; default: that of the index, or the shipped one. "
            "hog needs no weights and reads no words.",
            envvar="MMTOOL_MODEL",
        ),
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option(metavar="KIND,...", help=f"Only these: {','.join(KINDS)}."),
    ] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A table that must be read as one; repeatable. Others are found by themselves.",
            rich_help_panel=_TABLES,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=ROLE",
            help="What a column is: path, text, smiles, sequence, id, group, modality, plane, "
            "anatomy, sex, age, date, source, extra, ignore; repeatable.",
            rich_help_panel=_TABLES,
        ),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Take out items whose files or rows are gone.")
    ] = False,
    force_reread: Annotated[
        bool, typer.Option("--force-reread", help="Read again what is unchanged, too.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Begin anew, with another encoder if need be.")
    ] = False,
    identifiers: Annotated[
        bool,
        typer.Option(
            "--identifiers",
            help="Keep names, numbers and whole dates that may tell who a patient is.",
        ),
    ] = False,
    qdrant: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Then bring this server to what the index holds: vectors and numbers of items, "
            "nothing else. Its key, if any, is in MMTOOL_QDRANT_KEY.",
            envvar="MMTOOL_QDRANT",
            rich_help_panel=shared.SERVER,
        ),
    ] = None,
    qdrant_name: shared.QdrantName = None,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    dry_run: shared.DryRun = False,
    json: shared.Json = False,
    config: shared.Config = None,
    verbose: shared.Verbose = 0,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Build or extend an index of images, volumes, slides, texts, molecules and proteins.

    Example: mmtool index scans/ reports/ cases.csv -o study.mmidx

    Only what is new or changed is read. What can't be read is a row of failures.tsv in the index;
    copies stand in duplicates.tsv. A run that was stopped goes on where it was.
    """
    arguments = dict(locals())
    common = shared.Common.of(arguments)
    shared.start_logging(common)
    check_device_name(device)
    if not sources and not table:
        raise UsageError("nothing to index", "name files or folders")
    if output is None:
        raise UsageError("which index is not clear", "-o DIR.mmidx names it")
    wanted = parse_kinds(kinds)
    from mmtool.io.limits import Limits
    from mmtool.pipelines.index import IndexRequest
    from mmtool.pipelines.index import dry_run as planned
    from mmtool.pipelines.indexing_columns import parse_columns
    from mmtool.pipelines.qdrant_place import QdrantPlace

    request = IndexRequest(
        sources=tuple(sources or ()),
        output=output,
        model=model,
        kinds=wanted,
        tables=tuple(table or ()),
        columns=parse_columns(columns or ()),
        prune=prune,
        force_reread=force_reread,
        rebuild=rebuild,
        identifiers=identifiers,
        device=device,
        limits=Limits.from_env(),
    )
    place = None if qdrant is None else QdrantPlace.of(qdrant, qdrant_name, output)
    if dry_run:
        typer.echo(json_module.dumps({"dry_run": True, "found": planned(request)}, indent=2))
        return
    if place is None:
        _run(request, common, arguments)
        return
    with place.opened(made=True) as client:  # heard from before the long work begins
        _run(request, common, arguments, lambda: place.upload(request.output, client))


def _run(
    request: IndexRequest,
    common: shared.Common,
    arguments: dict[str, Any],
    upload: Callable[[], tuple[int, int]] | None = None,
) -> None:
    from mmtool.pipelines.devices import set_threads
    from mmtool.pipelines.index import run
    from mmtool.pipelines.indexing_record import record_run
    from mmtool.pipelines.stopping import stops_noted

    set_threads(common.threads)
    teller = _Teller(common)
    with stops_noted() as (stop, came):
        result = run(request, stop=stop.is_set, progress=teller.batch)
    teller.clear()
    record_run(request, result, arguments)
    if upload is not None and not result.stopped:
        sent, gone = upload()
        teller.tell(f"server: {sent} vectors sent, {gone} deleted")
    if common.json:
        typer.echo(json_module.dumps({"command": "index", **result.summary()}, indent=2))
    else:
        typer.echo(str(request.output))
    sys.stdout.flush()
    teller.done(result)
    if came:
        raise typer.Exit(EXIT_SIGINT if came[0] == 2 else EXIT_SIGTERM)
    if result.failures:
        raise typer.Exit(EXIT_PARTIAL)


class _Teller:
    """Says on stderr how far it is."""

    def __init__(self, common: shared.Common) -> None:
        self.quiet = common.quiet
        self.live = sys.stderr.isatty() and not common.quiet
        self.begun = time.monotonic()

    def batch(self, result: IndexResult) -> None:
        if self.live:
            rate = result.written / max(1e-3, time.monotonic() - self.begun)
            line = f"{result.written} read, {result.unchanged} unchanged, {rate:.0f} items/s"
            typer.echo(f"\r\x1b[K{line}", nl=False, err=True)

    def clear(self) -> None:
        if self.live:
            typer.echo("\r\x1b[K", nl=False, err=True)

    def tell(self, line: str) -> None:
        if not self.quiet:
            typer.echo(f"mmtool: {line}", err=True)

    def done(self, result: IndexResult) -> None:
        if self.quiet:
            return
        said = result.summary()
        new = ", ".join(f"{n} {kind}" for kind, n in sorted(said["added"].items())) or "nothing"
        parts = [f"new: {new}", f"changed: {said['changed']}", f"unchanged: {said['unchanged']}"]
        parts += [f"removed: {said['removed']}"] if said["removed"] else []
        typer.echo(f"mmtool: {'; '.join(parts)}; {said['items_per_second']} items/s", err=True)
        if said["failed"]:
            typer.echo(f"mmtool: {said['failed']} can't be read, see failures.tsv", err=True)
        if said["duplicates"]:
            typer.echo(f"mmtool: {said['duplicates']} pairs of copies: duplicates.tsv", err=True)
        if said["passed_over"]:
            over = ", ".join(f"{n} {what}" for what, n in list(said["passed_over"].items())[:8])
            typer.echo(f"mmtool: passed over: {over}", err=True)
        if said["stopped"]:
            typer.echo("mmtool: stopped; the same command goes on", err=True)
