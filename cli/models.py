"""``mmtool models``."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

from mmtool.cli import options as shared
from mmtool.errors import MMToolError, ModelError

models_app = typer.Typer(
    help="List, show and verify models. Example: mmtool models show brain", no_args_is_help=True
)


@models_app.command("list")
def list_command(json: shared.Json = False) -> None:
    """List the models that can be named. Example: mmtool models list --json"""
    from mmtool.models.store import list_models, open_model

    rows = []
    for _, _, folder in list_models():
        files = open_model(folder)
        card = files.card
        rows.append(
            {
                "task": files.task,
                "name": files.name,
                "version": card["version"],
                "licence": card["licence"],
                "use": card["use"],
                "summary": card["summary"],
            }
        )
    if json:
        typer.echo(json_module.dumps(rows, indent=2, ensure_ascii=False))
        return
    typer.echo("task\tname\tversion\tlicence\tuse\tsummary")
    for row in rows:
        typer.echo("\t".join(row.values()))


@models_app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name of a model.")], json: shared.Json = False
) -> None:
    """Print the card of a model. Example: mmtool models show brain"""
    from mmtool.models.card import card_text
    from mmtool.models.store import list_models, open_model

    for _, its_name, folder in list_models():
        if its_name == name:
            card = open_model(folder).card
            text = json_module.dumps(card, indent=2, ensure_ascii=False)
            typer.echo(text if json else card_text(card), nl=json)
            return
    raise ModelError(f"no model '{name}'", "'mmtool models list' shows the names")


@models_app.command("verify")
def verify(json: shared.Json = False) -> None:
    """Check the hashes of all models; exit 4 if one is altered. Example: mmtool models verify"""
    from mmtool.models.store import list_models, open_model

    rows, bad = [], []
    for task, name, folder in list_models():
        try:
            open_model(folder)
            rows.append({"task": task, "name": name, "status": "intact"})
        except MMToolError as error:
            bad.append(name)
            rows.append({"task": task, "name": name, "status": error.message})
    if json:
        typer.echo(json_module.dumps(rows, indent=2))
    else:
        for row in rows:
            typer.echo("\t".join(row.values()))
    if bad:
        raise ModelError(f"{len(bad)} model(s) altered: {', '.join(bad)}", "install mmtool again")
