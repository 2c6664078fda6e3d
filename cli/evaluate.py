"""``mmtool evaluate``."""

from __future__ import annotations

import json as json_module
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmtool.cli import options as shared
from mmtool.cli.critic import critic
from mmtool.cli.evaluate_binding import evaluate_binding
from mmtool.cli.evaluate_report import evaluate_report
from mmtool.cli.evaluate_retrieve import evaluate_retrieve
from mmtool.cli.evaluate_survive import evaluate_survive
from mmtool.errors import UsageError

if TYPE_CHECKING:
    from mmtool.pipelines.evaluation.segment import Evaluation

evaluate_app = typer.Typer(
    help="Measure a model, or label maps. Example: mmtool evaluate segment --truth labels "
    "--predicted out",
    no_args_is_help=True,
)
evaluate_app.command("critic", no_args_is_help=True)(critic)
evaluate_app.command("tcr-bind", no_args_is_help=True)(evaluate_binding)
evaluate_app.command("survive", no_args_is_help=True)(evaluate_survive)
evaluate_app.command("retrieve", no_args_is_help=True)(evaluate_retrieve)
evaluate_app.command("report", no_args_is_help=True)(evaluate_report)


def _axes(value: str) -> str:
    if value and not re.fullmatch("[RL][AP][SI]", value):
        raise UsageError(
            f"--axes {value}: not three directions", "write R or L, then A or P, then S or I"
        )
    return value


@evaluate_app.command("segment", no_args_is_help=True)
def evaluate_segment(
    truth: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Reference label maps, or one file.")
    ] = None,
    predicted: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Predicted label maps of the same names (or the output folder of 'mmtool "
            "segment'), or one file.",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Scans on which to run --model.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Reference label maps of the scans.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Label maps as for training: score on drawn scans."),
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="The model.")] = "brain",
    compare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|DIR", help="Another model, or another folder of predictions; repeatable."
        ),
    ] = None,
    holdout: Annotated[
        int | None,
        typer.Option(
            min=2, help="Score every N-th case only, as training holds out. With --data: 4."
        ),
    ] = None,
    scans: Annotated[int, typer.Option(min=1, help="--data: scans a map and contrast.")] = 5,
    axes: Annotated[
        str,
        typer.Option(
            metavar="LPS",
            help="--images: where the axes of the arrays really point, if the affines lie.",
            callback=_axes,
        ),
    ] = "",
    names: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="labels.tsv with names; default: one beside the maps."),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=I,J,...",
            help="Score the union of these labels; repeatable, regions may overlap.",
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="--images: a report for each case (CASE.txt), for models that read."
        ),
    ] = None,
    resample: Annotated[
        bool, typer.Option("--resample", help="Accept other grids (nearest neighbour).")
    ] = False,
    missing_as_empty: Annotated[
        bool, typer.Option("--missing-as-empty", help="Score a missing prediction as empty.")
    ] = False,
    output: shared.Output = None,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    seed: shared.Seed = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace earlier scores in --output.")
    ] = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Dice, surface Dice, HD95 and volume error against reference labels.

    Example: mmtool evaluate segment --truth labels --predicted results -o scores

    Example: mmtool evaluate segment --images images --labels labels --model brain

    Example: mmtool evaluate segment --data synthseg_labels

    One row a structure, with 95 % bootstrap intervals over cases. With --compare: paired
    differences with the first model or folder. -o writes cases.tsv, summary.tsv, summary.json
    (and comparison.tsv). --data scores models of the head on drawn scans of held-out maps.
    """
    del debug
    ways = [truth is not None, images is not None, data is not None]
    if sum(ways) != 1 or (truth is None) != (predicted is None) or (images is None) != (not labels):
        raise UsageError(
            "what to score is not clear",
            "give --truth with --predicted, or --images with --labels, or --data",
        )
    if data is not None and (compare or output or region):
        raise UsageError("--data takes no --compare, --region and --output", "leave them out")
    if texts is not None and images is None:
        raise UsageError("--texts goes with --images", "leave it out")
    regions = _regions(region or [])
    shared.check_scores_folder(output, overwrite)
    from mmtool.io.limits import Limits
    from mmtool.pipelines.devices import choose_device, set_threads
    from mmtool.pipelines.evaluation.segment import FolderEvaluation, ModelEvaluation

    set_threads(threads)
    tell: Callable[[str], None] = _silent if quiet else _tell
    if data is not None:
        _synthetic(data, model, holdout or 4, scans, device, seed, json, tell)
        return
    limits = Limits.from_env()
    others = compare or []
    if truth is not None and predicted is not None:
        folders = [predicted, *map(Path, others)]
        result = FolderEvaluation(
            truth, folders, names, resample, missing_as_empty, seed, limits, regions
        ).run(tell)
    elif images is not None and labels is not None:
        where = choose_device(device)
        every = [model, *others]
        result = ModelEvaluation(
            *(images, labels, every, holdout, where, names, resample, seed, limits, axes),
            regions=regions,
            texts=texts,
        ).run(tell)
    _show(result, output, json, tell)


def _regions(values: list[str]) -> dict[str, frozenset[int]]:
    """``NAME=1,2,4`` to name and labels."""
    out: dict[str, frozenset[int]] = {}
    for value in values:
        name, _, listed = value.partition("=")
        numbers = [n.strip() for n in listed.split(",")]
        if not name.strip() or not all(re.fullmatch("[0-9]{1,5}", n) for n in numbers):
            raise UsageError(
                f"--region {value}: not NAME=I,J,...", "for example --region core=1,3,4"
            )
        out[name.strip()] = frozenset(int(n) for n in numbers)
    return out


def _show(result: Evaluation, output: Path | None, json: bool, tell: Callable[[str], None]) -> None:
    from mmtool.io.writers.tables import cell

    for note in result.notes:
        tell(f"note: {note}")
    if output is not None:
        result.write(output)
    if json:
        typer.echo(json_module.dumps(result.to_json(), indent=2, ensure_ascii=False))
        return
    several = len(result.scores) > 1
    columns, rows = result.comparison_table() if several else result.summary_table()
    typer.echo("\t".join(columns))
    for row in rows:
        typer.echo("\t".join(cell(v) for v in row))


def _synthetic(
    data: Path,
    model: str,
    holdout: int,
    scans: int,
    device: str,
    seed: int,
    json: bool,
    tell: Callable[[str], None],
) -> None:
    """``brain`` on synthetic scans, beside an atlas."""
    from mmtool.models.store import resolve_model
    from mmtool.pipelines.devices import choose_device
    from mmtool.pipelines.evaluation.synthetic import synthetic_table

    files = resolve_model("segment", model)
    table = synthetic_table(
        files, choose_device(device), data, holdout=holdout, scans=scans, seed=seed, report=tell
    )
    if json:
        typer.echo(json_module.dumps(table.records, indent=2))
        return
    typer.echo("\t".join(table.columns))
    for row in table.rows:
        typer.echo("\t".join(row))


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _silent(line: str) -> None:
    del line
