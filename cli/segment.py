"""``mmtool segment``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared
from mmtool.cli.run import Channels, parse_channels, run_task


class Format(StrEnum):
    """How the structures are filed."""

    labels = "labels"
    classes = "classes"
    both = "both"


def segment(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SCAN...",
            help="NIfTI, MGH, NRRD; DICOM file, folder or zip; a folder in nnU-Net's naming.",
            show_default=False,
        ),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="A further image of the same patient, for a model of several channels; SCAN is "
            "the first. Repeatable.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|WORDS",
            help="A prompt ('left hippocampus and both thalami') or a radiology report; a file "
            "or the words themselves. Without it, everything is segmented.",
        ),
    ] = None,
    strict_text: Annotated[
        bool,
        typer.Option("--strict-text", help="Exit 3 when text and image disagree."),
    ] = False,
    model: Annotated[
        str,
        typer.Option(metavar="NAME|DIR", help="See 'mmtool models list'.", envvar="MMTOOL_MODEL"),
    ] = "brain",
    series: Annotated[
        str | None,
        typer.Option(help="DICOM: number or id of the series; named when there are several."),
    ] = None,
    resample_irregular: Annotated[
        bool,
        typer.Option(
            "--resample-irregular",
            help="DICOM: resample gantry tilt, gaps and uneven spacing to a regular box.",
        ),
    ] = False,
    dicom_seg: Annotated[
        bool,
        typer.Option("--dicom-seg", help="Write DICOM SEG even if the scan is not DICOM."),
    ] = False,
    rtstruct: Annotated[
        bool,
        typer.Option("--rtstruct", help="Write a DICOM RT Structure Set; for DICOM scans."),
    ] = False,
    format: Annotated[  # noqa: A002
        Format,
        typer.Option(
            metavar="WHAT",
            help="labels: one label map; classes: a binary file of each structure; or both.",
        ),
    ] = Format.labels,
    html: Annotated[
        bool,
        typer.Option(
            "--html",
            help="Write view.html: scan and structures in any browser, with no network "
            "(needs the extra html).",
        ),
    ] = False,
    bids: Annotated[
        bool,
        typer.Option(
            "--bids",
            help="Name results as in a BIDS derivative dataset, whose root is -o; "
            "for inputs named as in BIDS.",
        ),
    ] = False,
    any_modality: Annotated[
        bool,
        typer.Option("--any-modality", help="Accept a modality that the model is not made for."),
    ] = False,
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="Write how unsure the model is of each voxel."),
    ] = False,
    output: shared.Output = None,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    max_memory: shared.MaxMemory = None,
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
    """Label the structures of a scan that a text asks for.

    Example: mmtool segment scan.nii.gz --text "left hippocampus and both thalami" -o out

    Example: mmtool segment flair.nii.gz --channel t1c=t1c.nii.gz --model DIR -o out

    Writes segmentation.nii.gz, brain_mask.nii.gz, labels.tsv, measurements.tsv, objects.json,
    preview.png, text_audit.json (with --text), uncertainty.nii.gz (with --uncertainty),
    segmentation.dcm (DICOM SEG, when DICOM came in), run.json.
    """
    arguments = dict(locals())
    from mmtool.io.limits import Limits
    from mmtool.pipelines.memory import parse_memory
    from mmtool.pipelines.places import BidsLayout
    from mmtool.pipelines.segment import SegmentOptions, SegmentTask

    limit = None if max_memory is None else parse_memory(max_memory)
    known = SegmentOptions.__dataclass_fields__
    options = SegmentOptions(**{k: v for k, v in arguments.items() if k in known})
    task = SegmentTask(options, Limits.from_env(), limit)
    run_task(
        task,
        inputs or [],
        shared.Common.of(arguments),
        columns=("text", "series"),
        arguments=arguments,
        layout=BidsLayout if bids else None,
        channels=Channels(task.channels, task.with_channels, parse_channels(channel or [])),
    )
