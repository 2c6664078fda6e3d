"""``mmtool train report``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared


class ReportRecipe(StrEnum):
    """What can be trained."""

    heads = "heads"
    uar = "uar"


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
    recipe: Annotated[
        ReportRecipe,
        typer.Option(help="heads: gate and findings; uar: a generator of texts (--text-model)."),
    ] = ReportRecipe.heads,
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="heads: what makes vectors of the images: blocks-filters, blocks, hog, or a model "
            "of retrieve.",
        ),
    ] = "blocks-filters",
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the model.  [default: default, or uar]"),
    ] = None,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Make a model of 'mmtool report': the gate, the findings, and when to be silent.

    Example: mmtool train report --data vision_language -o runs/report

    heads: the encoder stays as it is. Every setting is chosen on folds of the training images; then
    the model is measured on the development images: runs/report/measures.json. uar: learns to
    write captions in two stages; epochs and beams are chosen on training cases left out. A run that
    was stopped goes on from its checkpoint.
    """
    del debug
    from mmtool.io.limits import Limits
    from mmtool.pipelines.devices import choose_device, set_threads
    from mmtool.pipelines.report_encoder import load_encoder
    from mmtool.pipelines.training.report import train_report as train
    from mmtool.pipelines.training.report_card import ReportTraining
    from mmtool.pipelines.training.uar import train_uar_model
    from mmtool.pipelines.training.uar_fit import UarFit

    set_threads(threads)
    named = name or ("default" if recipe is ReportRecipe.heads else recipe.value)

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    options = ReportTraining(data, encoder, output, named, seed)
    limits = Limits.from_env()
    if recipe is ReportRecipe.uar:
        typer.echo(str(train_uar_model(options, UarFit(), limits, tell, choose_device(device))))
        return
    typer.echo(str(train(options, load_encoder(encoder), limits, tell)))
