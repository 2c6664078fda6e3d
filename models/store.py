"""Find, check and load models: folders with tensors, a config and a card.

A model is a folder ``<task>/<name>/`` with ``model.safetensors``, ``config.json`` and
``card.json``. It is looked for in the folder of ``MMTOOL_MODELS`` (if set) and in the installed
package. Nothing is ever downloaded, and nothing of a model folder is executed: the config is
plain JSON, the weights are tensors.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmtool.errors import ModelError
from mmtool.models.card import CARD, CONFIG, WEIGHTS, check_card

if TYPE_CHECKING:
    from torch import Tensor

_MAX_JSON = 8 << 20  # bytes; an honest config or card has some kilobytes


@dataclass(frozen=True)
class ModelFiles:
    """A model whose files were checked.

    Attributes:
        task: Command that it serves, e.g. ``segment``.
        name: Name as in its card.
        folder: Where it lies.
        config: Content of ``config.json``.
        card: Content of ``card.json``.
        weights: Path of ``model.safetensors``.
        weights_sha256: Its hash; equal to that in the card.
    """

    task: str
    name: str
    folder: Path
    config: dict[str, Any]
    card: dict[str, Any]
    weights: Path
    weights_sha256: str


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
            yield from sorted(p.parent for p in root.glob(f"*/*/{WEIGHTS}"))
            yield from sorted(
                p.parent for p in root.glob(f"*/*/{CARD}") if not (p.parent / WEIGHTS).exists()
            )


def find_model(task: str | None, name: str, *, where: tuple[Path, ...] | None = None) -> Path:
    """Folder of a model.

    Args:
        task: Task, or None for any.
        name: Name of a model, or path of its folder (with a separator, or an existing folder
            that holds weights).
        where: Folders to search instead of `roots`.

    Raises:
        ModelError: There is none of that name.
    """
    path = Path(name)
    if (path / WEIGHTS).is_file() or (path / CARD).is_file():
        return path
    known = list_models(task, where=where)
    for entry in known:
        if entry.name == name:
            return entry.folder
    if os.sep in name or path.is_dir():
        raise ModelError(f"{name}: no model folder", f"a model folder holds {WEIGHTS} and {CARD}")
    names = [e.name for e in known]
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there is: {', '.join(names) or 'none'};"
    kind = f"{task} model" if task else "model"
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
    card = _checked_card(folder)
    if card["task"] != task:
        raise ModelError(
            f"{folder}: this model is for '{card['task']}', not for '{task}'",
            "see mmtool models list",
        )
    digest = _verified(folder, card)
    config = read_json_object(folder / CONFIG)
    return ModelFiles(task, card["name"], folder, config, card, folder / WEIGHTS, digest)


def load_card(
    task: str | None, name: str, *, where: tuple[Path, ...] | None = None
) -> dict[str, Any]:
    """The checked card of a model."""
    return _checked_card(find_model(task, name, where=where))


def verify(folder: Path) -> str:
    """Compare the files of a model with the hashes of its card; give the weights' hash.

    Raises:
        ModelError: A file is missing or altered.
    """
    return _verified(folder, _checked_card(folder))


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


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object of bounded size.

    Raises:
        ModelError: Missing, too large, or no JSON object.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_JSON + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read", "the model folder is not complete") from error
    if len(raw) > _MAX_JSON:
        raise ModelError(f"{path}: larger than {_MAX_JSON >> 20} MiB", "this is no config or card")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not valid JSON", "the model folder is damaged") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: not a JSON object", "the model folder is damaged")
    return value


def _checked_card(folder: Path) -> dict[str, Any]:
    card = read_json_object(folder / CARD)
    check_card(card, str(folder / CARD))
    return card


def _verified(folder: Path, card: Mapping[str, Any]) -> str:
    digests = {name: _sha256(folder / name) for name in (WEIGHTS, CONFIG)}
    for name, digest in digests.items():
        if digest != card["sha256"][name]:
            raise ModelError(
                f"{folder / name}: altered, its SHA-256 is not the one in the card",
                "install mmtool again, or train the model again",
            )
    return digests[WEIGHTS]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read", "the model folder is not complete") from error
