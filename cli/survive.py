"""``mmtool survive``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared
from mmtool.cli.run import run_task
from mmtool.errors import UsageError

_TABLES = "Tables"
_SAID = "What is told"

Omics = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE|NAME=FILE",
        help="Table of features, one row a patient: RNA, copy numbers, mutations, image features; "
        "repeatable. Columns named GENE_rnaseq, GENE_cnv, GENE_mut are parted by themselves.",
        rich_help_panel=_TABLES,
    ),
]
Slides = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Features of slides (.h5 of CLAM or TRIDENT, .pt, .npy), or slides, which are cut "
        "and encoded; a file is named by its patient's id.",
        rich_help_panel=_TABLES,
    ),
]
Mpp = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        max=100.0,
        help="µm a pixel of slides that don't say it.",
        rich_help_panel=_TABLES,
    ),
]
Tiles = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Keeps the features of slides for other runs; default: tiles in the output.",
        rich_help_panel=_TABLES,
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="COLUMN",
        help="Column with the patients' names; found by itself where its name is clear.",
        rich_help_panel=_TABLES,
    ),
]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="COLUMN",
        help="Column of times, such as OS.time.",
        rich_help_panel=_TABLES,
    ),
]
EventColumn = Annotated[
    str | None,
    typer.Option(
        "--event",
        metavar="COLUMN",
        help="Column of events, 1 or 0; of a column 'censorship' 1 is censored.",
        rich_help_panel=_TABLES,
    ),
]


def parse_horizons(text: str | None) -> tuple[float, ...]:
    """Times of a list such as ``12,36,60``, ascending.

    Raises:
        UsageError: Not numbers above 0.
    """
    if text is None:
        return ()
    try:
        times = sorted({float(part) for part in text.split(",")})
    except ValueError:
        times = []
    if not times or not 0 < times[0] <= times[-1] < 1e9:
        raise UsageError(f"--horizons {text}: not times", "for example --horizons 12,36,60")
    return tuple(times)


def survive(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATIENTS...",
            help="CSV, TSV or Parquet, one row a patient: names, clinical columns of any kind, "
            "and time and event where they are known.",
            show_default=False,
        ),
    ] = None,
    omics: Omics = None,
    slides: Slides = None,
    mpp: Mpp = None,
    tiles: Tiles = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="See 'mmtool models list'.", envvar="MMTOOL_MODEL"),
    ] = None,
    cohort: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Shipped model of a TCGA cohort: LUAD, BRCA, ..."),
    ] = None,
    id_column: IdColumn = None,
    time: TimeColumn = None,
    event: EventColumn = None,
    horizons: Annotated[
        str | None,
        typer.Option(
            metavar="T,T,...",
            help="Times at which survival is told, in the unit of the model's training table.",
            rich_help_panel=_SAID,
        ),
    ] = None,
    signatures: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Groups of genes, one a column, for the attribution.",
            rich_help_panel=_SAID,
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            min=0, help="Features told of each patient and modality.", rich_help_panel=_SAID
        ),
    ] = 10,
    explain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD",
            help="Explain by shap, sensitivity, saliency, masking or attention, with a deletion "
            "test and the stability over fits; repeatable.",
            rich_help_panel=_SAID,
        ),
    ] = None,
    output: shared.Output = None,
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
    """Predict survival from whatever is known of each patient.

    Example: mmtool survive patients.csv --omics rna.csv --cohort LUAD -o out

    Writes risk.tsv (risk, percentile, survival at the horizons with intervals, what was used),
    curves.tsv, attribution.tsv (by modality, group of genes, feature), and where outcomes are
    known metrics.json, km.png, calibration.png; unmatched.tsv if names differ; run.json.
    """
    arguments = dict(locals())
    from mmtool.io.limits import Limits
    from mmtool.models.explainers.effects import METHODS
    from mmtool.pipelines.survive import COLUMNS, SurviveOptions, SurviveTask, model_name
    from mmtool.pipelines.survive_slides import SlideOptions
    from mmtool.pipelines.survive_tables import TableOptions

    for method in explain or ():
        if method not in METHODS:
            raise UsageError(f"--explain {method}: not known", f"one of {', '.join(METHODS)}")
    name = model_name(model, cohort)
    arguments |= {"model": name, "cohort": None}  # what a plan and a replay need to know
    options = SurviveOptions(
        model=name,
        tables=TableOptions(id_column=id_column, time=time, event=event),
        omics=tuple(omics or ()),
        slides=SlideOptions(slides, mpp, tiles),
        horizons=parse_horizons(horizons),
        signatures=signatures,
        top=top,
        explain=tuple(explain or ()),
        seed=seed,
    )
    run_task(
        SurviveTask(options, Limits.from_env()),
        inputs or [],
        shared.Common.of(arguments),
        columns=COLUMNS,
        arguments=arguments,
    )
