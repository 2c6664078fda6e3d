"""``mmtool evaluate``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared

evaluate_app = typer.Typer(
    help="Measure a model. Example: mmtool evaluate segment --data maps", no_args_is_help=True
)


@evaluate_app.callback()
def _group() -> None:
    """Keep the name of the task on the command line, even while there is one task only."""


@evaluate_app.command("segment")
def evaluate_segment(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Label maps, as for training.")],
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="The model.")] = "brain",
    holdout: Annotated[int, typer.Option(min=2, help="As in training.")] = 4,
    scans: Annotated[int, typer.Option(min=1, help="Synthetic scans a map and contrast.")] = 5,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    seed: shared.Seed = 1,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Dice of 'brain' on synthetic scans of held-out label maps, beside an atlas.

    Example: mmtool evaluate segment --data synthseg_labels
    """
    del debug
    from mmtool.models.store import load_state, resolve_model
    from mmtool.pipelines.devices import choose_device, set_threads
    from mmtool.pipelines.evaluation.brain import evaluate_brain
    from mmtool.pipelines.inference import BrainSegmenter

    set_threads(threads)
    files, where = resolve_model("segment", model), choose_device(device)
    segmenter = BrainSegmenter(files.config, load_state(files), where)

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    scores = evaluate_brain(segmenter, data, holdout=holdout, scans=scans, seed=seed, report=tell)
    if json:
        typer.echo(json_module.dumps([s.to_json() for s in scores], indent=2))
        return
    typer.echo("contrast\tDice\tlow\thigh\tsd\tatlas\tscans\tswapped_sides")
    for s in scores:
        row = (s.model.mean, s.model.low, s.model.high, s.model.sd, s.atlas.mean)
        numbers = "\t".join(f"{v:.3f}" for v in row)
        typer.echo(f"{s.contrast}\t{numbers}\t{s.model.n}\t{s.swapped_sides:.5f}")
