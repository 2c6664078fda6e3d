"""``mmtool report``."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmtool.cli import options as shared
from mmtool.cli.report_proteins import of_proteins, report_proteins
from mmtool.cli.run import Channels, run_task
from mmtool.errors import UsageError
from mmtool.pipelines.samplesheet import BatchItem

if TYPE_CHECKING:
    from mmtool.pipelines.report import ReportTask
    from mmtool.pipelines.report_generator import TextGenerator
    from mmtool.pipelines.report_index import IndexCases
    from mmtool.pipelines.report_reader import FolderReader

_ASKED = "What is asked"


class TokenReduction(StrEnum):
    """Which visual tokens an outside model keeps."""

    evit = "evit"
    vtc_cls = "vtc-cls"
    mmtok = "mmtok"


def as_one_study(items: list[BatchItem]) -> list[BatchItem]:
    """All inputs as the images of one study, named after the first."""
    paths = tuple(path for item in items for path in item.inputs)
    return [replace(items[0], inputs=paths)]


def report(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE...|FASTA...",
            help="DICOM, NIfTI, NRRD, PNG, JPEG or TIFF; a DICOM folder is one study. Or proteins "
            "as FASTA, with --retrieve.",
            show_default=False,
        ),
    ] = None,
    study: Annotated[
        bool, typer.Option("--study", help="All inputs are images of one study of one patient.")
    ] = False,
    model: Annotated[
        str,
        typer.Option(metavar="NAME|DIR", help="See 'mmtool models list'.", envvar="MMTOOL_MODEL"),
    ] = "default",
    series: Annotated[
        str | None, typer.Option(metavar="N|ID", help="Only this series of a DICOM folder.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME,...",
            help="all, or some of json, txt, html, sr, fhir, geojson. Default: json, txt, html, "
            "fhir, and sr where DICOM came in.",
        ),
    ] = None,
    indication: Annotated[
        str, typer.Option(metavar="TEXT", help="Why the study was made.", rich_help_panel=_ASKED)
    ] = "",
    prior: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="An earlier report.json, or an earlier image.",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|TEXT",
            help="A given report: each sentence is compared with what was found.",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    question: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="A question; repeatable.", rich_help_panel=_ASKED),
    ] = None,
    reader: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A Hugging Face folder of a vision-language model that writes of the images too; "
            "what it says is told as uncertain. Needs mmtool\\[hf].",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    keep_tokens: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Give the model of --reader only this share of its visual tokens (above 0, below "
            "1); --self-test tells what that costs.",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    token_reduction: Annotated[
        TokenReduction,
        typer.Option(
            help="Which ones: evit, those that matter most to its encoder, and the others as one; "
            "vtc-cls, those that matter most in the second half of its layers; mmtok, those that "
            "cover the question and the picture best.",
            rich_help_panel=_ASKED,
        ),
    ] = TokenReduction.evit,
    text_model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="A text generator ('mmtool train report --recipe uar'); its words are shown under "
            "a heading of their own and are no finding.",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    retrieve: Annotated[
        Path | None,
        typer.Option(
            metavar="INDEX",
            help="A folder of 'mmtool index': similar cases are shown, and vote beside the model; "
            "of proteins, the words of the nearest ones are quoted.",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    explain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD",
            help="Maps of what each answer of the models hangs on, by occlusion or masking, with "
            "a deletion test; repeatable.",
            rich_help_panel=_ASKED,
        ),
    ] = None,
    self_test: Annotated[
        bool,
        typer.Option(
            "--self-test",
            help="No report, but a table: is the model silent on noise, does it hang on the image? "
            "Images given are used too.",
        ),
    ] = False,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --self-test: a CSV or TSV table of what the images are (columns image, "
            "modality, plane, region, case), for pairs that look alike and are not.",
        ),
    ] = None,
    volumes: Annotated[
        bool, typer.Option(help="Measure the brain of MR volumes of the head.")
    ] = True,
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
    """Write a preliminary report that shows its evidence and knows when to be silent.

    Example: mmtool report film.dcm --question "Is this a frontal view?" -o out

    Writes report.json (the truth) and its views: report.txt, report.html, report.fhir.json, and
    report_sr.dcm where DICOM came in; heat maps in evidence. A clinician must read the images.
    """
    arguments = dict(locals())
    if of_proteins(inputs or [], samplesheet):
        report_proteins(arguments)
        return
    from mmtool.io.limits import Limits
    from mmtool.pipelines.report import COLUMNS, ReportOptions, ReportTask
    from mmtool.pipelines.report_explain import check_methods
    from mmtool.pipelines.report_views import parse_formats

    check_methods(explain or ())
    options = ReportOptions(
        model=model,
        device=device,
        series=series,
        indication=indication,
        prior=prior,
        text=text,
        question=tuple(question or ()),
        formats=parse_formats(format_),
        volumes=volumes,
        explain=tuple(explain or ()),
    )
    task = ReportTask(
        options,
        Limits.from_env(),
        _cases(retrieve),
        _reader(reader, keep_tokens, token_reduction),
        _generator(text_model),
    )
    if self_test:
        _self_test(task, inputs or [], truth, as_json=json)
        return
    if truth is not None:
        raise UsageError("--truth is for --self-test", "add --self-test, or leave it out")
    run_task(
        task,
        inputs or [],
        shared.Common.of(arguments),
        columns=COLUMNS,
        arguments=arguments,
        channels=Channels(lambda: (), as_one_study, {}) if study else None,
    )


def _cases(index: Path | None) -> IndexCases | None:
    """The index opened; what opening takes is imported only where there is one."""
    if index is None:
        return None
    from mmtool.pipelines.report_index import IndexCases

    return IndexCases(index)


def _reader(
    folder: Path | None, keep: float | None, reduction: TokenReduction
) -> FolderReader | None:
    """The outside model; what it takes is imported only where there is one."""
    if keep is not None and (folder is None or not 0 < keep < 1):
        raise UsageError(
            "--keep-tokens is a share above 0 and below 1, for the model of --reader",
            "for example --reader DIR --keep-tokens 0.5",
        )
    if keep is None and reduction is not TokenReduction.evit:
        raise UsageError(
            "--token-reduction says which visual tokens --keep-tokens keeps, and all are kept",
            "give --keep-tokens too, for example 0.5",
        )
    if folder is None:
        return None
    from mmtool.pipelines.report_reader import load_reader

    return load_reader(folder, keep, reduction.value)


def _generator(name: str | None) -> TextGenerator | None:
    """The text generator; what it takes is imported only where there is one."""
    if name is None:
        return None
    from mmtool.pipelines.report_generator import load_generator

    return load_generator(name)


def _self_test(task: ReportTask, paths: list[Path], truth: Path | None, *, as_json: bool) -> None:
    import json

    from mmtool.io.readers.image_truths import read_image_truths
    from mmtool.pipelines.report_selftest import COLUMNS, self_test

    truths = {} if truth is None else read_image_truths(truth, task.limits)
    rows = [row.cells() for row in self_test(task, paths, truths)]
    if as_json:
        typer.echo(json.dumps([dict(zip(COLUMNS, r, strict=True)) for r in rows], indent=2))
        return
    for cells in (COLUMNS, *rows):
        typer.echo("\t".join(cells))
