"""``mmtool train retrieve``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared


class RetrieveRecipe(StrEnum):
    """What can be trained."""

    joint = "joint"
    rcar = "rcar"
    prompts = "prompts"
    molecules = "molecules"


def train_retrieve(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder with medpix2 (images.csv, images, cases.jsonl) and, where they are "
            "there, covid_cxr, openi_reports and roco_captions; of molecules: with chebi20.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Checkpoint, cache and model.")
    ],
    recipe: Annotated[
        RetrieveRecipe,
        typer.Option(
            help="joint: the encoder of pictures and words; upon a frozen one (--start): rcar, "
            "regulators of late interaction, or prompts, one vector for a picture, words or both; "
            "molecules: molecules with their descriptions."
        ),
    ] = RetrieveRecipe.joint,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Passes over the data; each recipe has its own default. 0: what is fitted in "
            "closed form alone (joint: with --start).",
        ),
    ] = None,
    towers: Annotated[
        int, typer.Option(min=1, help="joint: networks side by side, each from the next seed.")
    ] = 3,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="Model whose weights training starts from (joint), or that stays frozen.",
        ),
    ] = None,
    pretrain: Annotated[
        int,
        typer.Option(
            min=0,
            help="joint: passes over the images alone, before: masked autoencoder and "
            "self-distillation.",
        ),
    ] = 0,
    volumes: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="joint: NIfTI volumes to pre-train on too; files named label, mask, seg or gtv "
            "are passed over. May be given several times.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--restart", help="Go on from the checkpoint, or anew.")
    ] = True,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Train an encoder of 'index' and 'retrieve': pictures and words, or molecules and words.

    Example: mmtool train retrieve --data vision_language -o runs/retrieve

    joint, rcar, prompts: every 12th case is left out, to calibrate similarity on and to choose by.
    rcar and prompts keep what the frozen towers make of images and texts in files of the output
    folder. molecules: from all pairs of chebi20; figures of folds come from
    benchmarks/retrieve_molecules.py. A run that was stopped goes on from its checkpoint.
    """
    del debug
    from mmtool.pipelines.devices import choose_device, set_threads

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    set_threads(threads)
    if not resume:
        for checkpoint in output.glob("checkpoint-*.pt"):
            checkpoint.unlink()
    if recipe is RetrieveRecipe.molecules:
        from mmtool.pipelines.training.molecules import MoleculesTraining, train_molecules
        from mmtool.pipelines.training.molecules_fit import MoleculeFit

        fit = MoleculeFit(seed=seed) if epochs is None else MoleculeFit(epochs, seed)
        typer.echo(str(train_molecules(MoleculesTraining(data, output, fit), tell)))
        return
    from mmtool.pipelines.training.retrieve import RetrieveTraining
    from mmtool.pipelines.training.retrieve_fit import FitOptions
    from mmtool.pipelines.training.retrieve_pretrain import PretrainOptions
    from mmtool.pipelines.training.retrieve_recipes import RECIPES

    chosen = RECIPES[recipe.value]
    options = RetrieveTraining(
        data=data,
        out=output,
        fit=FitOptions(epochs=chosen.epochs if epochs is None else epochs, seed=seed),
        towers=towers,
        start=start,
        pretrain=PretrainOptions(epochs=pretrain, seed=seed),
        volumes=tuple(volumes or ()),
        device=choose_device(device),
    )
    typer.echo(str(chosen.train(options, tell)))
