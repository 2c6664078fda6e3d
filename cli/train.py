"""``mmtool train``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared
from mmtool.cli.train_report import train_report
from mmtool.cli.train_retrieve import train_retrieve
from mmtool.cli.train_survive import train_survive


class Precision(StrEnum):
    """Number format of a network's passes."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class Fusion(StrEnum):
    """How a text steers the image network."""

    none = "none"
    late = "late"
    sequential = "sequential"
    progressive = "progressive"


class Recipe(StrEnum):
    """What can be trained."""

    brain = "brain"
    brain_text = "brain-text"
    hippocampus = "hippocampus"
    left_atrium = "left-atrium"
    tumor = "tumor"


class BindingRecipe(StrEnum):
    """What can be trained for receptors."""

    kernel_ratio = "kernel-ratio"
    knn = "knn"
    titan = "titan"


class Spelling(StrEnum):
    """How TITAN reads an epitope."""

    smiles = "smiles"
    letters = "letters"


class Form(StrEnum):
    """How much of a beta chain TITAN reads."""

    junction = "junction"
    domain = "domain"


train_app = typer.Typer(
    help="Train a model. Example: mmtool train segment --data maps -o runs/brain",
    no_args_is_help=True,
)


train_app.command("survive", no_args_is_help=True)(train_survive)
train_app.command("retrieve", no_args_is_help=True)(train_retrieve)
train_app.command("report", no_args_is_help=True)(train_report)


@train_app.callback()
def _group() -> None:
    """Keep the name of the task on the command line, even while there is one task only."""


@train_app.command("segment")
def train_segment(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="brain, tumor: label maps (*.nii.gz), 2 mm, FreeSurfer codes. Others: images/ "
            "and labels/ of the same file names, or *_image.nii.gz beside *_label.nii.gz.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Checkpoint, log and model.")
    ],
    recipe: Annotated[Recipe, typer.Option(help="Which model to train.")] = Recipe.brain,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Steps in all; each recipe has its own default.")
    ] = None,
    holdout: Annotated[
        int, typer.Option(min=2, help="brain, tumor: every N-th map, by name, is left out.")
    ] = 4,
    fold: Annotated[
        int,
        typer.Option(min=-1, max=4, help="Others: the fifth that is left out; -1 leaves none out."),
    ] = 4,
    fusion: Annotated[
        Fusion | None,
        typer.Option(
            help="brain-text, tumor: how text meets image (default progressive, sequential); "
            "none: tumor without text."
        ),
    ] = None,
    reading: Annotated[
        int | None,
        typer.Option(min=1, help="brain-text, tumor: steps of the text encoder alone."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Crops of a step.")] = 2,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="Model whose weights training starts from; brain-text, tumor: the image network "
            "(default brain).",
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=1e-6, max=1.0, help="Peak learning rate of AdamW; Muon's is 10 x.")
    ] = 2e-3,
    decay: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of the steps while the rate falls.")
    ] = 0.3,
    precision: Annotated[
        Precision, typer.Option(help="Of the network's passes; weights stay float32.")
    ] = Precision.float32,
    workers: Annotated[int, typer.Option(min=0, help="brain: processes that draw scans.")] = 1,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Train a model of 'mmtool segment' on your data.

    Example: mmtool train segment --recipe hippocampus --data Task04 -o runs/hippocampus

    brain: synthetic head scans drawn from label maps. brain-text: the same, and drawn texts that
    steer the network. tumor: tumours painted into label maps, with reports. hippocampus,
    left-atrium: real crops with reference labels. A run that was stopped goes on from its
    checkpoint.
    """
    arguments = dict(locals())
    from mmtool.pipelines.devices import choose_device, set_threads
    from mmtool.pipelines.training.start import train_segment_model

    set_threads(threads)
    values = {k: v.value if isinstance(v, StrEnum) else v for k, v in arguments.items()}
    values |= {"device": str(choose_device(device)), "out": output}

    def tell(line: dict[str, object]) -> None:
        if not quiet:
            typer.echo(
                f"step {line['step']}  loss {line['loss']}  Dice {line['dice']}  "
                f"{line['seconds_per_step']} s/step",
                err=True,
            )

    typer.echo(str(train_segment_model(recipe.value, values, tell)))


@train_app.command("tcr-bind")
def train_tcr_bind(
    data: Annotated[
        Path,
        typer.Option(
            metavar="TABLE",
            help="Known binders: any table that 'mmtool tcr-bind' reads, with a column epitope, "
            "best with reference and source too.",
        ),
    ],
    controls: Annotated[
        Path,
        typer.Option(
            metavar="TABLE",
            help="Receptors in general, with both chains, best with a column donor.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Of the model.")],
    recipe: Annotated[
        BindingRecipe, typer.Option(help="Which model to train.")
    ] = BindingRecipe.kernel_ratio,
    carry: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Collection whose sequences the model may carry as evidence; repeatable. Of all "
            "others kernel-ratio takes points only, knn nothing.  [default: IEDB]",
        ),
    ] = None,
    splits: Annotated[
        int,
        typer.Option(min=1, help="Sets of held-out studies to choose on, and as many to test on."),
    ] = 3,
    spelling: Annotated[
        Spelling, typer.Option(help="titan: epitopes as SMILES or as letters.")
    ] = Spelling.smiles,
    form: Annotated[
        Form, typer.Option(help="titan: the CDR3, or the domain rebuilt from V, CDR3 and J.")
    ] = Form.junction,
    epochs: Annotated[int, typer.Option(min=1, help="titan: passes over the pairs.")] = 20,
    most: Annotated[int, typer.Option(min=1, help="titan: pairs of an epitope.")] = 200,
    rate: Annotated[
        float, typer.Option(min=1e-7, max=1.0, help="titan: peak learning rate.")
    ] = 2e-3,
    start: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="titan: model whose weights training starts from."),
    ] = None,
    tunable: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="titan: train only so many tensors, from the output backwards: dense layers, then "
            "the receptor's side, then the epitope's.",
        ),
    ] = None,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Make a model of 'mmtool tcr-bind' from known binders.

    Example: mmtool train tcr-bind --data binders.tsv.gz --controls blood.tsv.gz -o runs/tcr

    The weights of loops, widths and priors are chosen on studies held out, the scores are
    calibrated on others, and the model is then made from all binders. knn: the number of neighbours
    is chosen likewise. titan: trained without some studies, measured and calibrated on them, and
    trained again on all; a run that was stopped goes on from its checkpoints.
    """
    del debug
    from mmtool.pipelines.devices import choose_device, set_threads
    from mmtool.pipelines.training.tcr_card import BindingTraining
    from mmtool.pipelines.training.tcr_recipes import RECIPES
    from mmtool.pipelines.training.titan_pairs import TitanOptions

    set_threads(threads)
    options = BindingTraining(
        data=data,
        controls=controls,
        out=output,
        carry=tuple(carry or ("IEDB",)),
        splits=splits,
        titan=TitanOptions(
            spelling=spelling.value,
            form=form.value,
            epochs=epochs,
            most=most,
            rate=rate,
            tunable=tunable,
            seed=seed,
        ),
        start=start,
        device=choose_device(device),
        seed=seed,
    )

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    typer.echo(str(RECIPES[recipe.value](options, tell)))
