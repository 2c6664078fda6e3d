"""Find, check and load models: folders with tensors, a config and a card.

A model is a folder ``<task>/<name>/`` with ``model.safetensors``, ``config.json`` and
``card.json``. It is looked for in the folder of ``MMTOOL_MODELS`` (if set) and in the installed
package. Folders of models that others made (``outside.py``) are taken too; imported ones have a
card with the hashes of their files. Nothing is ever downloaded, and nothing of a model folder is
executed: the config is plain JSON, the weights are tensors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmtool.errors import ModelError
from mmtool.models.card import CARD, CONFIG, OWN, WEIGHTS, check_card
from mmtool.models.files import hash_file, read_json_object
from mmtool.models.outside import (
    LOOKED_FOR,
    outside_card,
    recognise,
    weight_files,
    weights_digest,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ModelFiles:
    """A model whose files were checked.

    Attributes:
        task: Command that it serves, e.g. ``segment``.
        name: Name as in its card.
        folder: Where it lies.
        config: Content of ``config.json``; empty for an outside model.
        card: Content of ``card.json``, or what an outside folder says of itself.
        weights: Path of ``model.safetensors``, or of the first file of weights.
        weights_sha256: Its hash, equal to that in the card; of several files the hash of their
            ``sha256sum`` listing.
        format: ``mmtool``, or the kind of an outside model.
        verified: Whether the files were compared with the hashes of a card.
    """

    task: str
    name: str
    folder: Path
    config: dict[str, Any]
    card: dict[str, Any]
    weights: Path
    weights_sha256: str
    format: str = OWN
    verified: bool = True


@dataclass(frozen=True)
class ModelEntry:
    """One row of ``mmtool models list``; ``error`` is empty for a readable card."""

    task: str
    name: str
    folder: Path
    card: dict[str, Any]
    error: str = ""


def roots(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Folders that are searched, in this order."""
    own = Path(str(files("mmtool.models") / "weights"))
    user = environ.get("MMTOOL_MODELS", "")
    return (Path(user), own) if user else (own,)


def list_models(
    task: str | None = None, *, where: tuple[Path, ...] | None = None
) -> list[ModelEntry]:
    """All models that lie in the searched folders, a broken card among them with its error.

    Args:
        task: Only those of one task.
        where: Folders to search instead of `roots`.
    """
    entries: dict[tuple[str, str], ModelEntry] = {}
    for folder in _folders(where or roots()):
        key = (folder.parent.name, folder.name)
        if key in entries or task not in (None, key[0]):
            continue
        try:
            entries[key] = ModelEntry(*key, folder, _checked_card(folder))
        except ModelError as error:
            entries[key] = ModelEntry(*key, folder, {}, error.message)
    return [entries[key] for key in sorted(entries)]


def _folders(where: tuple[Path, ...]) -> Iterator[Path]:
    for root in where:
        if root.is_dir():
            found = {p.parent for name in (WEIGHTS, CARD) for p in root.glob(f"*/*/{name}")}
            yield from sorted(p for p in found if not p.name.startswith("."))


def find_model(task: str | None, name: str, *, where: tuple[Path, ...] | None = None) -> Path:
    """Folder of a model.

    Args:
        task: Task, or None for any.
        name: Name of a model, or path of its folder (with a separator, or an existing folder
            that holds a model of any known kind).
        where: Folders to search instead of `roots`.

    Raises:
        ModelError: There is none of that name.
    """
    path = Path(name)
    if (path / WEIGHTS).is_file() or (path / CARD).is_file() or recognise(path):
        return path
    known = list_models(task, where=where)
    for entry in known:
        if entry.name == name:
            return entry.folder
    if os.sep in name or path.is_dir():
        raise ModelError(f"{name}: no model folder", f"looked for {LOOKED_FOR}")
    kind = f"{task} model" if task else "model"
    names = [e.name for e in known]
    if not names:
        raise ModelError(
            f"no {kind} is named '{name}'",
            "none is installed; give the folder of one that 'mmtool train' made",
        )
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there is: {', '.join(names)};"
    raise ModelError(f"no {kind} is named '{name}'", f"{hint} see mmtool models list")


def resolve_model(
    task: str, name_or_path: str, *, where: tuple[Path, ...] | None = None
) -> ModelFiles:
    """Find a model and check its files against the hashes of its card.

    Args:
        task: Command that will use it.
        name_or_path: Name of a shipped model, or a model folder.
        where: Folders to search instead of `roots`.

    Raises:
        ModelError: Absent, altered, incomplete, or made for another task.
    """
    folder = find_model(task, name_or_path, where=where)
    card, verified = _card_of(folder)
    if card["task"] != task:
        raise ModelError(
            f"{folder}: this model is for '{card['task']}', not for '{task}'",
            "see mmtool models list",
        )
    if verified:
        _verified(folder, card)
    kind = card.get("format", OWN)
    weights = (WEIGHTS,) if kind == OWN else weight_files(folder, kind)
    if not set(weights) <= set(card["sha256"]):
        raise ModelError(f"{folder}: weights that its card does not know", "import it again")
    config = read_json_object(folder / CONFIG) if kind == OWN else {}
    digest = weights_digest(card["sha256"], weights)
    first = folder / weights[0]
    return ModelFiles(task, card["name"], folder, config, card, first, digest, kind, verified)


def _card_of(folder: Path) -> tuple[dict[str, Any], bool]:
    """The card of a folder, and whether it is a file; else what the folder says of itself."""
    kind = recognise(folder)
    if kind and not (folder / CARD).is_file():
        return outside_card(folder, kind), False
    return _checked_card(folder), True


def load_card(
    task: str | None, name: str, *, where: tuple[Path, ...] | None = None
) -> dict[str, Any]:
    """The checked card of a model, or what an outside folder says of itself."""
    return _card_of(find_model(task, name, where=where))[0]


def verify(folder: Path) -> str:
    """Compare the files of a model with the hashes of its card; give the weights' hash.

    Raises:
        ModelError: A file is missing or altered, or there is no card to compare with.
    """
    card, verified = _card_of(folder)
    if not verified:
        raise ModelError(f"{folder}: has no card to compare with", "see mmtool models import")
    _verified(folder, card)
    kind = card.get("format", OWN)
    weights = (WEIGHTS,) if kind == OWN else weight_files(folder, kind)
    return weights_digest(card["sha256"], weights)


def load_state(model: ModelFiles, *, device: str = "cpu") -> dict[str, Tensor]:
    """Tensors of a model on a device.

    Raises:
        ModelError: The file is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, Tensor] = load_file(str(model.weights), device=device)
        return state
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{model.weights}: cannot be read as safetensors", "install mmtool again"
        ) from error


def _checked_card(folder: Path) -> dict[str, Any]:
    card = read_json_object(folder / CARD)
    check_card(card, str(folder / CARD))
    return card


def _verified(folder: Path, card: Mapping[str, Any]) -> None:
    for name, digest in card["sha256"].items():
        if hash_file(folder / name) != digest:
            raise ModelError(
                f"{folder / name}: altered, its SHA-256 is not the one in the card",
                "install mmtool again, or import or train the model again",
            )
