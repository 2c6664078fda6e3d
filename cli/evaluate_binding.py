"""``mmtool evaluate tcr-bind``."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmtool.cli import options as shared
from mmtool.cli.tcr_bind import DEFAULT_MODEL
from mmtool.errors import UsageError

if TYPE_CHECKING:
    from mmtool.pipelines.evaluation.binding_report import BindingReport

_SWAP = "swap"
_FOLDS = "TITAN's protocol"


class Protocol(StrEnum):
    """Tests that fit the methods themselves."""

    titan = "titan"


def _negatives(value: str | None) -> str | None:
    if value not in (None, _SWAP):
        raise UsageError(f"--negatives {value}: not known", "the one way is swap")
    return value


def evaluate_binding(
    data: Annotated[
        Path,
        typer.Option(
            metavar="TABLE",
            help="Pairs of receptor and epitope with labels, or binders only; any table that "
            "'mmtool tcr-bind' reads.",
        ),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="The model.", envvar="MMTOOL_MODEL")
    ] = DEFAULT_MODEL,
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|DIR", help="Another model; repeatable."),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column that says 1 or 0 (or -1), true or false; found by itself where its name "
            "is clear.",
        ),
    ] = None,
    negatives: Annotated[
        str | None,
        typer.Option(
            metavar="swap",
            help="swap: the receptors of the binders with other epitopes of the table.",
            callback=_negatives,
        ),
    ] = None,
    controls: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE", help="Receptors that bind nothing known: negatives of every epitope."
        ),
    ] = None,
    protocol: Annotated[
        Protocol | None,
        typer.Option(
            help="titan: methods fitted anew in ten folds of TITAN's making; --data holds binders.",
            rich_help_panel=_FOLDS,
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only binders of this collection (column sources); repeatable.",
            rich_help_panel=_FOLDS,
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="prior, knn, kernel-ratio, titan-letters, titan-smiles; "
            "repeatable.  [default: all but titan, which takes minutes a fold]",
            rich_help_panel=_FOLDS,
        ),
    ] = None,
    first: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many of the ten folds.", rich_help_panel=_FOLDS),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(min=1, help="Seeds, each with folds of its own.", rich_help_panel=_FOLDS),
    ] = 1,
    output: shared.Output = None,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace earlier scores in --output.")
    ] = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """AUC, AUC0.1 and average precision of each epitope, and what leaks into them.

    Example: mmtool evaluate tcr-bind --data pairs.tsv -o scores

    Example: mmtool evaluate tcr-bind --data binders.tsv --negatives swap --compare my_model

    Example: mmtool evaluate tcr-bind --data binders.tsv --protocol titan -o folds

    Means over epitopes (seen, few, unseen apart), with 95 % bootstrap intervals, then each epitope.
    With --compare: paired differences. -o writes summary.tsv, epitopes.tsv, leaks.tsv (rows that
    the model has known, or nearly), summary.json.
    """
    del debug
    shared.check_scores_folder(output, overwrite)
    from mmtool.io.limits import Limits
    from mmtool.pipelines.devices import choose_device, set_threads
    from mmtool.pipelines.evaluation.binding import BindingEvaluation

    set_threads(threads)
    own = {"--compare": compare, "--label-column": label_column, "--controls": controls}
    own["--negatives"] = negatives
    folds = {"--source": source, "--method": method, "--repeats": repeats > 1}
    folds["--first"] = first is not None
    for name, value in (own if protocol else folds).items():
        if value:
            raise UsageError(f"{name} is not for {'this protocol' if protocol else 'models'}")
    if protocol is not None:
        seeds = range(seed, seed + repeats)
        _show_folds(data, source or (), method or (), first, seeds, output, json, quiet)
        return
    report = BindingEvaluation(
        data=data,
        models=[model, *(compare or [])],
        device=choose_device(device),
        label_column=label_column,
        swap=negatives == _SWAP,
        controls=controls,
        seed=seed,
        limits=Limits.from_env(),
    ).run(lambda line: None if quiet else typer.echo(line, err=True))
    _show(report, output, json, quiet)


def _show_folds(
    data: Path,
    sources: Sequence[str],
    methods: Sequence[str],
    first: int | None,
    seeds: Sequence[int],
    output: Path | None,
    json: bool,
    quiet: bool,
) -> None:
    from mmtool.io.limits import Limits
    from mmtool.io.writers.tables import cell
    from mmtool.pipelines.evaluation.titan_methods import FAST, METHODS
    from mmtool.pipelines.evaluation.titan_protocol import COLUMNS, TitanProtocol

    for name in methods:
        if name not in METHODS:
            raise UsageError(f"--method {name}: not known", f"there is: {', '.join(METHODS)}")
    report = TitanProtocol(
        data=data,
        sources=frozenset(sources),
        methods=methods or FAST,
        first=first,
        seeds=seeds,
        limits=Limits.from_env(),
    ).run(lambda line: None if quiet else typer.echo(line, err=True))
    for note in report.notes if not quiet else ():
        typer.echo(f"note: {note}", err=True)
    if output is not None:
        report.write(output)
    if json:
        typer.echo(json_module.dumps(report.to_json(), indent=2, ensure_ascii=False))
        return
    typer.echo("\t".join(COLUMNS))
    for row in report.summary():
        typer.echo("\t".join(cell(v) for v in row))


def _show(report: BindingReport, output: Path | None, json: bool, quiet: bool) -> None:
    from mmtool.io.writers.tables import cell
    from mmtool.pipelines.evaluation.binding_report import COLUMNS

    for note in report.notes if not quiet else ():
        typer.echo(f"note: {note}", err=True)
    if output is not None:
        report.write(output)
    if json:
        typer.echo(json_module.dumps(report.to_json(), indent=2, ensure_ascii=False))
        return
    typer.echo("\t".join(COLUMNS))
    for line in (*report.summary(), *report.each_epitope()):
        typer.echo("\t".join(cell(v) for v in line.cells()))
