"""``mmtool retrieve``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared
from mmtool.cli.run import run_task
from mmtool.errors import UsageError

_WANTED = "What may be found"


def retrieve(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUERY...",
            help="A file (image, volume, slide, report, SMILES, SDF, FASTA), words, or a SMILES.",
            show_default=False,
        ),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Made by 'mmtool index'.", envvar="MMTOOL_INDEX"),
    ] = None,
    k: Annotated[int, typer.Option("-k", metavar="N", help="Hits at most.")] = 10,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="image (with volumes and slides), text (all that has words), volume, slide, "
            "molecule or protein; default: what suits the query.",
            rich_help_panel=_WANTED,
        ),
    ] = None,
    filter_: Annotated[
        str,
        typer.Option(
            "--filter",
            metavar="CONDITION",
            help='For example "modality=MR and plane=axial and age>=40".',
            rich_help_panel=_WANTED,
        ),
    ] = "",
    without_copies: Annotated[
        bool,
        typer.Option(
            "--without-copies",
            help="No copies of the query, and of each case its best hit only.",
            rich_help_panel=_WANTED,
        ),
    ] = False,
    as_: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="KIND",
            help="What the query is: text, molecule, substructure (SMARTS), protein or image.",
        ),
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H", help="Only this part of the picture: shares of it, or pixels."
        ),
    ] = None,
    series: Annotated[
        str | None, typer.Option(metavar="N|ID", help="Only this series of a DICOM folder.")
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Words that are asked together with a picture: its history, a finding.",
        ),
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="filip: part by part; rcar: words with patches, by trained regulators; both "
            "show which region agrees.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="The index's own encoder, where it is not found by its name.",
            envvar="MMTOOL_MODEL",
        ),
    ] = None,
    html: Annotated[
        bool,
        typer.Option(
            "--html",
            help="Also volumes.html: the first six volumes that were found, in three planes; "
            "works offline (extra html).",
        ),
    ] = False,
    qdrant: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Search the vectors on this server, where 'mmtool index --qdrant' put them; its "
            "key, if any, is in MMTOOL_QDRANT_KEY.",
            envvar="MMTOOL_QDRANT",
            rich_help_panel=shared.SERVER,
        ),
    ] = None,
    qdrant_name: shared.QdrantName = None,
    output: shared.Output = None,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    samplesheet: shared.SampleSheet = None,
    shard: shared.Shard = None,
    resume: shared.Resume = False,
    overwrite: shared.Overwrite = False,
    dry_run: shared.DryRun = False,
    json: shared.Json = False,
    config: shared.Config = None,
    verbose: shared.Verbose = 0,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Search an index by example or by words.

    Example: mmtool retrieve "axial T2, ring-enhancing lesion, no hydrocephalus" --index x.mmidx

    Writes hits.tsv, hits.json and hits.html, a gallery that needs no network.
    """
    arguments = dict(locals())
    if index is None:
        raise UsageError("which index is not clear", "--index DIR names it")
    from mmtool.io.index.layout import check_folder
    from mmtool.io.limits import Limits
    from mmtool.pipelines.qdrant_place import QdrantPlace
    from mmtool.pipelines.retrieve import COLUMNS, RetrieveOptions, RetrieveTask

    options = RetrieveOptions(
        index=index,
        to=to,
        condition=filter_,
        k=k,
        taken_as=as_,
        roi=roi,
        series=series,
        words=words,
        rerank=rerank,
        without_copies=without_copies,
        model=model,
        device=device,
        threads=threads or 1,
        view=html,
        qdrant=None if qdrant is None else QdrantPlace.of(qdrant, qdrant_name, index),
    ).checked()
    check_folder(index)
    with closing(RetrieveTask(options, Limits.from_env())) as task:
        run_task(
            task,
            inputs or [],
            shared.Common.of(arguments),
            columns=COLUMNS,
            arguments=arguments,
            words=True,
        )
