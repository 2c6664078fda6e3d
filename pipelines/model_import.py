"""Bring a model that others made into the user's own folder of models, with a card."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmtool import __version__
from mmtool.errors import ModelError, UsageError
from mmtool.io.writers.json_file import write_json
from mmtool.models.card import CARD, OWN, check_card
from mmtool.models.files import hash_file
from mmtool.models.outside import licence_files
from mmtool.models.store import resolve_model
from mmtool.pipelines.segmenters import load_segmenter
from mmtool.pipelines.staging import is_occupied, staging_folder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class ImportRequest:
    """What a user asks of ``mmtool models import``.

    Attributes:
        folder: The model.
        name: What it shall be called; None for the name of its folder.
        task: Command that will use it.
        licence: Of the weights; None for what the folder says.
        overwrite: Replace a model of the same name.
    """

    folder: Path
    name: str | None = None
    task: str = "segment"
    licence: str | None = None
    overwrite: bool = False


def user_root(environ: Mapping[str, str] = os.environ) -> Path:
    """Folder of the user's own models.

    Raises:
        UsageError: None is set. A folder in HOME would be read by every later run unseen.
    """
    root = environ.get("MMTOOL_MODELS", "")
    if not root:
        raise UsageError(
            "MMTOOL_MODELS is not set, so there is no place for models of your own",
            "export MMTOOL_MODELS=DIR first, and keep it set when you use them",
        )
    return Path(root).absolute()


def import_model(request: ImportRequest, root: Path) -> Path:
    """Copy the files of a model that count, after it was loaded once.

    Args:
        request: What and how.
        root: Folder of the user's own models.

    Returns:
        The new folder ``root/<task>/<name>``: it is there whole or not at all.

    Raises:
        ModelError: The folder holds no model that mmtool can run.
        UsageError: The name is taken or no name.
    """
    if request.task != "segment":
        raise UsageError(f"--task {request.task}: no models can be imported for it", "use segment")
    if not request.folder.is_dir():
        raise ModelError(f"{request.folder}: no such folder", "name the folder of the model")
    files = resolve_model(request.task, str(request.folder.absolute()), where=())
    name = request.name or str(files.card["name"])
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' is no name for a model", "letters, digits, '.', '_' and '-'; see --name"
        )
    target = root / request.task / name
    if is_occupied(target) and not request.overwrite:
        raise UsageError(f"{target} exists already", "choose another --name, or use --overwrite")
    if target.exists() and target.samefile(request.folder):
        raise UsageError(f"{target} is the model itself", "choose another --name")
    load_segmenter(files, torch.device("cpu"))  # what cannot be run is not imported
    card = _card(files.card, request, name)
    check_card(card, CARD)
    extra = licence_files(files.folder)
    # The staging folder must not lie in the folder that it will replace.
    with staging_folder(target.with_name(f"{name}.new")) as staging:
        for file in (*card["sha256"], *extra):
            place = staging / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(files.folder / file, place)
        for file, digest in card["sha256"].items():
            if hash_file(staging / file) != digest:
                raise ModelError(f"{files.folder / file}: changed while it was copied", "try again")
        write_json(staging / CARD, card)
        _swap(staging, target)
    return target


def _card(card: Mapping[str, Any], request: ImportRequest, name: str) -> dict[str, Any]:
    """The card of the imported model; its hashes are those of the files as they were found."""
    out = {**card, "name": name, "task": request.task}
    if request.licence:
        out["licence"] = request.licence
    if card.get("format", OWN) != OWN:
        out["imported"] = {"by": f"mmtool {__version__}", "folder": request.folder.absolute().name}
    return json.loads(json.dumps(out))  # type: ignore[no-any-return]


def _swap(staging: Path, target: Path) -> None:
    """Move a finished folder to its place; what was there goes only then."""
    old = staging.with_name(f"{staging.name}.old")
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(staging, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
