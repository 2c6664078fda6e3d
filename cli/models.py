"""``mmtool models``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared
from mmtool.errors import MMToolError, ModelError

models_app = typer.Typer(
    help="List, show, verify and import models. Example: mmtool models show brain",
    no_args_is_help=True,
)


@models_app.command("list")
def list_command(json: shared.Json = False) -> None:
    """List the models that can be named. Example: mmtool models list --json"""
    from mmtool.models.store import list_models

    columns = ("version", "licence", "use", "summary")
    rows = [
        {
            "task": entry.task,
            "name": entry.name,
            **{c: str(entry.card.get(c, "")) for c in columns},
            "error": entry.error,
        }
        for entry in list_models()
    ]
    if json:
        typer.echo(json_module.dumps(rows, indent=2, ensure_ascii=False))
        return
    typer.echo("task\tname\tversion\tlicence\tuse\tsummary\terror")
    for row in rows:
        typer.echo("\t".join(row.values()))


@models_app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="Model name or folder.")],
    json: shared.Json = False,
    debug: shared.Debug = False,
) -> None:
    """Print the card of a model. Example: mmtool models show brain"""
    del debug
    from mmtool.models.card import render_card
    from mmtool.models.store import load_card

    card = load_card(None, name)
    typer.echo(json_module.dumps(card, indent=2, ensure_ascii=False) if json else render_card(card))


@models_app.command("verify")
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|DIR]...", help="Models; all if none is named."),
    ] = None,
    json: shared.Json = False,
    debug: shared.Debug = False,
) -> None:
    """Check the hashes of models; exit 4 if one is altered. Example: mmtool models verify"""
    del debug
    from mmtool.models.store import find_model, list_models
    from mmtool.models.store import verify as check

    folders = [find_model(None, n).absolute() for n in names or []]
    folders = folders or [entry.folder for entry in list_models()]
    rows, bad = [], []
    for folder in folders:
        name = folder.name
        try:
            check(folder)
            status = "intact"
        except MMToolError as error:
            bad.append(name)
            status = error.message
        rows.append({"task": folder.parent.name, "name": name, "status": status})
    if json:
        typer.echo(json_module.dumps(rows, indent=2, ensure_ascii=False))
    else:
        for row in rows:
            typer.echo("\t".join(row.values()))
    if bad:
        raise ModelError(f"{len(bad)} model(s) altered: {', '.join(bad)}", "install mmtool again")


@models_app.command("import")
def import_command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="MONAI bundle, nnU-Net v2, MeshNet or mmtool model folder.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name to use it by; default that of the folder.")
    ] = None,
    task: Annotated[str, typer.Option(help="Command that will use it.")] = "segment",
    licence: Annotated[
        str | None, typer.Option(help="Licence of the weights, where the folder does not say.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model of the same name.")
    ] = False,
    json: shared.Json = False,
    debug: shared.Debug = False,
) -> None:
    """Copy a model into MMTOOL_MODELS, with a card. Example: mmtool models import spleen_ct_bundle

    The model is loaded once first: what cannot be run is not imported. Only its configuration,
    weights and licence are copied; nothing of it is executed.
    """
    del debug
    from mmtool.models.card import CARD
    from mmtool.pipelines.model_import import ImportRequest, import_model, user_root

    request = ImportRequest(folder, name, task, licence, overwrite)
    made = import_model(request, user_root())
    if json:
        typer.echo((made / CARD).read_text(encoding="utf-8").rstrip("\n"))
        return
    typer.echo(made)
