"""``mmtool train report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared


def train_report(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder with medpix2 and covid_cxr, each with images.csv."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Model, vectors and measures.")
    ],
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What makes vectors of the images: blocks, hog, or a model of retrieve.",
        ),
    ] = "blocks",
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the model.")] = "default",
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Make a model of 'mmtool report': the gate, the findings, and when to be silent.

    Example: mmtool train report --data vision_language -o runs/report

    The encoder stays as it is. Every setting is chosen on folds of the training images; then the
    model is measured on the development images: runs/report/measures.json.
    """
    del debug
    from mmtool.io.limits import Limits
    from mmtool.pipelines.devices import set_threads
    from mmtool.pipelines.report_encoder import load_encoder
    from mmtool.pipelines.training.report import train_report as train
    from mmtool.pipelines.training.report_card import ReportTraining

    set_threads(threads)

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    options = ReportTraining(data, encoder, output, name, seed)
    typer.echo(str(train(options, load_encoder(encoder), Limits.from_env(), tell)))
