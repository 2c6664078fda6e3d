"""``mmtool train survive``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared
from mmtool.cli.survive import (
    EventColumn,
    IdColumn,
    Mpp,
    Omics,
    Slides,
    Tiles,
    TimeColumn,
    parse_horizons,
)


def train_survive(
    patients: Annotated[
        Path,
        typer.Argument(
            metavar="PATIENTS",
            help="CSV, TSV or Parquet, one row a patient: names, time, event, clinical columns.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Model and figures of its folds.")
    ],
    omics: Omics = None,
    slides: Slides = None,
    mpp: Mpp = None,
    tiles: Tiles = None,
    splits: Annotated[
        str,
        typer.Option(
            metavar="N|DIR",
            help="Number of folds, made here, or a folder of files with columns train and val.",
        ),
    ] = "5",
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="stack, or a fusion network: concat, late, snn, abmil, mcat, motcat, cmta, "
            "multimodn, lego-merge, lego-fuse, itcfn.",
        ),
    ] = "stack",
    signatures: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Groups of genes, one a column: tokens of the fusion networks."
        ),
    ] = None,
    id_column: IdColumn = None,
    time: TimeColumn = None,
    event: EventColumn = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Patients of one value stay on one side of a fold."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Column that must not be used; repeatable."),
    ] = None,
    horizons: Annotated[
        str | None,
        typer.Option(metavar="T,T,...", help="Times at which the model tells survival."),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the model.")] = "survive",
    terms: Annotated[
        str, typer.Option(metavar="TEXT", help="Terms of the data, for the model's card.")
    ] = "not stated",
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Make a model of 'mmtool survive' from patients whose outcomes are known.

    Example: mmtool train survive patients.csv --omics rna.csv -o runs/lung

    First the folds: each one's model knows none of the patients that it is measured on (folds.tsv,
    predictions.tsv). Then the model, from all patients: runs/lung/model.
    """
    del debug
    from mmtool.io.limits import Limits
    from mmtool.pipelines.devices import set_threads
    from mmtool.pipelines.survive_slides import SlideOptions
    from mmtool.pipelines.survive_tables import TableOptions
    from mmtool.pipelines.training.survive import SurviveTraining
    from mmtool.pipelines.training.survive import train_survive as train

    set_threads(threads)
    options = SurviveTraining(
        patients=patients,
        omics=tuple(omics or ()),
        slides=SlideOptions(slides, mpp, tiles),
        out=output,
        tables=TableOptions(id_column, time, event, group, tuple(ignore or ())),
        splits=splits,
        horizons=parse_horizons(horizons),
        name=name,
        terms=terms,
        recipe=recipe,
        signatures=signatures,
        seed=seed,
    )

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    typer.echo(str(train(options, Limits.from_env(), tell)))
