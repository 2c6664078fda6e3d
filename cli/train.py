"""``mmtool train``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared


class Precision(StrEnum):
    """Number format of a network's passes."""

    float32 = "float32"
    bfloat16 = "bfloat16"


train_app = typer.Typer(
    help="Train a model. Example: mmtool train segment --data maps -o runs/brain",
    no_args_is_help=True,
)


@train_app.callback()
def _group() -> None:
    """Keep the name of the task on the command line, even while there is one task only."""


@train_app.command("segment")
def train_segment(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Label maps (*.nii.gz), 2 mm, FreeSurfer codes.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Checkpoint, log and model.")
    ],
    iterations: Annotated[int, typer.Option(min=1, help="Steps in all.")] = 9500,
    holdout: Annotated[int, typer.Option(min=2, help="Every N-th map, by name, is left out.")] = 4,
    start: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="Model whose weights training starts from.")
    ] = "",
    rate: Annotated[
        float, typer.Option(min=1e-6, max=1.0, help="Peak learning rate of AdamW; Muon's is 10 x.")
    ] = 2e-3,
    decay: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of the steps while the rate falls.")
    ] = 0.3,
    precision: Annotated[
        Precision, typer.Option(help="Of the network's passes; weights stay float32.")
    ] = Precision.float32,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw scans.")] = 1,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Train 'brain' on synthetic head scans drawn from label maps.

    Example: mmtool train segment --data synthseg_labels -o runs/brain

    A run that was stopped goes on from its checkpoint.
    """
    del debug
    from mmtool.pipelines.devices import choose_device, set_threads
    from mmtool.pipelines.training.brain import train_brain
    from mmtool.pipelines.training.brain_options import BrainTraining

    set_threads(threads)
    run = BrainTraining(
        maps=data,
        out=output,
        holdout=holdout,
        iterations=iterations,
        start=start,
        rate=rate,
        decay=decay,
        precision=precision.value,
        seed=seed,
        device=str(choose_device(device)),
        workers=workers,
    )

    def tell(line: dict[str, object]) -> None:
        if not quiet:
            typer.echo(
                f"step {line['step']}/{iterations}  loss {line['loss']}  Dice {line['dice']}  "
                f"{line['seconds_per_step']} s/step",
                err=True,
            )

    typer.echo(str(train_brain(run, report=tell)))
