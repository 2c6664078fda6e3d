"""``mmtool evaluate survive``."""

from __future__ import annotations

import json as json_module
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


def evaluate_survive(
    patients: Annotated[
        Path,
        typer.Argument(metavar="PATIENTS", help="Table of patients with time and event."),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="The model.", envvar="MMTOOL_MODEL")
    ],
    omics: Omics = None,
    slides: Slides = None,
    mpp: Mpp = None,
    tiles: Tiles = None,
    compare: Annotated[
        list[str] | None, typer.Option(metavar="NAME|DIR", help="Another model; repeatable.")
    ] = None,
    id_column: IdColumn = None,
    time: TimeColumn = None,
    event: EventColumn = None,
    horizons: Annotated[
        str | None, typer.Option(metavar="T,T,...", help="Times of interest; default the model's.")
    ] = None,
    output: shared.Output = None,
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace earlier measures in --output.")
    ] = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Ranks, errors and calibration of predicted survival, with bootstrap intervals.

    Example: mmtool evaluate survive new.csv --omics rna.csv --model runs/mine/model -o scores

    Use patients that the model was not trained on; the folds of 'mmtool train survive' are such.
    With --compare: paired differences of Harrell's C, on patients whom all models can judge. -o
    writes metrics.tsv and metrics.json.
    """
    del debug
    times = parse_horizons(horizons)
    shared.check_scores_folder(output, overwrite)
    from mmtool.io.limits import Limits
    from mmtool.io.writers.tables import cell
    from mmtool.pipelines.devices import set_threads
    from mmtool.pipelines.evaluation.survive import COLUMNS
    from mmtool.pipelines.evaluation.survive import evaluate_survive as evaluate
    from mmtool.pipelines.survive_slides import SlideOptions
    from mmtool.pipelines.survive_tables import TableOptions

    set_threads(threads)

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    found = evaluate(
        patients,
        tuple(omics or ()),
        [model, *(compare or [])],
        TableOptions(id_column, time, event),
        slides=SlideOptions(slides, mpp, tiles),
        horizons=times,
        seed=seed,
        limits=Limits.from_env(),
        tell=tell,
    )
    for note in found.notes:
        tell(f"note: {note}")
    if output is not None:
        found.write(output)
    if json:
        typer.echo(json_module.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    typer.echo("\t".join(COLUMNS))
    for row in found.rows():
        typer.echo("\t".join(cell(v) for v in row))
