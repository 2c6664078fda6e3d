"""``mmtool evaluate report``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared


def evaluate_report(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder with medpix2 and, if there, vqa_rad.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Scores, and vectors for again.")
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="The model.", envvar="MMTOOL_MODEL")
    ] = "default",
    retrieve: Annotated[
        Path | None,
        typer.Option(metavar="INDEX", help="Score texts with the words of similar cases too."),
    ] = None,
    text_model: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="Score the words of a text generator too."),
    ] = None,
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace earlier scores in --output.")
    ] = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Texts beside captions, and answers to questions, with the floors and intervals.

    Example: mmtool evaluate report --data vision_language -o scores

    Writes metrics.tsv and metrics.json, which name labeller, averaging, normalisation, images and
    seed. The gate's figures are in the model's card: mmtool models show default.
    """
    del debug
    shared.check_scores_folder(output, overwrite)
    from mmtool.io.limits import Limits
    from mmtool.io.writers.tables import cell
    from mmtool.pipelines.devices import set_threads
    from mmtool.pipelines.evaluation.report import COLUMNS
    from mmtool.pipelines.evaluation.report import evaluate_report as evaluate
    from mmtool.pipelines.report import ReportOptions, ReportTask
    from mmtool.pipelines.report_generator import load_generator
    from mmtool.pipelines.report_index import IndexCases

    set_threads(threads)

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    cases = None if retrieve is None else IndexCases(retrieve)
    generator = None if text_model is None else load_generator(text_model)
    options = ReportOptions(model=model, volumes=False)
    task = ReportTask(options, Limits.from_env(), cases, generator=generator)
    found = evaluate(task, data, output, seed=seed, tell=tell)
    found.write(output)
    if json:
        typer.echo(json_module.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    typer.echo("\t".join(COLUMNS))
    for row in found.rows:
        typer.echo("\t".join(cell(v) for v in row))
