"""``--config``: options from a TOML file or from the ``run.json`` of an earlier run.

The file is data: nothing in it is evaluated. Relative paths in it count from its own folder.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from mmtool.errors import InputError, UsageError

_MAX_CONFIG = 16 << 20  # bytes
_PATHS = frozenset({"inputs", "output", "samplesheet"})
_NAMED_PATHS = frozenset({"channel", "omics"})  # NAME=FILE
# A name or words, unless a file of that name exists.
MAYBE_PATHS = frozenset(
    {"model", "text", "epitopes", "reference", "signatures", "slides", "tiles", "index", "qdrant"}
)
_TAKE_WORDS = frozenset({"retrieve"})  # commands whose inputs are files or words
_NOT_SETTABLE = frozenset({"config", "help"})


def use_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the values of a config file the defaults of the command that is being parsed.

    Raises:
        InputError: The file cannot be read.
        UsageError: It holds an unknown key or a value of the wrong kind.
    """
    if path is not None and not context.resilient_parsing:
        command = context.info_name or ""
        known = {str(p.name) for p in context.command.params} - _NOT_SETTABLE
        context.default_map = {**(context.default_map or {}), **load_config(path, command, known)}
    return path


def load_config(path: Path, command: str, known: set[str]) -> dict[str, Any]:
    """Options of a command from a file.

    Args:
        path: TOML, or JSON as written to ``run.json``.
        command: Command that asks. Keys may stand at the top of a TOML file or under the
            command's name; tables of other commands are passed over.
        known: Names of the command's options (``snake_case``).

    Raises:
        InputError: The file cannot be read.
        UsageError: It holds an unknown key or a value of the wrong kind.
    """
    content = _parse(path)
    values = _of_record(content, path, command) if _is_record(content) else content
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if not isinstance(value, dict):
            flat[key.replace("-", "_")] = value
    table = values.get(command)
    if isinstance(table, dict):
        flat |= {key.replace("-", "_"): value for key, value in table.items()}
    # Python keeps some names for itself: --filter is filter_ there.
    flat = {f"{k}_" if k not in known and f"{k}_" in known else k: v for k, v in flat.items()}
    for key, value in flat.items():
        _check(path, key, value, known)
    folder = Path(os.path.realpath(path.parent))  # so that ".." in a path means what was recorded
    maybe = MAYBE_PATHS | ({"inputs"} if command in _TAKE_WORDS else set())
    return {key: _resolved(key, value, folder, maybe) for key, value in flat.items()}


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_CONFIG + 1)
        if len(raw) > _MAX_CONFIG:
            raise InputError(f"{path}: too large for a config file", "give a TOML file or run.json")
        text = raw.decode("utf-8-sig")
        value = json.loads(text) if text.lstrip()[:1] == "{" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not a readable config file ({type(error).__name__})",
            "give a TOML file, or the run.json of an earlier run",
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: no table of options", "give a TOML file or a run.json")
    return value


def _is_record(content: Mapping[str, Any]) -> bool:
    return "schema_version" in content and isinstance(content.get("arguments"), dict)


def _of_record(content: Mapping[str, Any], path: Path, command: str) -> dict[str, Any]:
    if content.get("command") != command:
        raise UsageError(
            f"{path} is the record of 'mmtool {content.get('command')}', not of '{command}'",
            f"use mmtool {content.get('command')} --config {path}",
        )
    return {k: v for k, v in content["arguments"].items() if v is not None}


def _check(path: Path, key: str, value: Any, known: set[str]) -> None:
    if key not in known:
        close = get_close_matches(key, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(known))}"
        raise UsageError(f"{path}: unknown option '{key}'", hint)
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int | float) for part in parts):
        raise UsageError(f"{path}: '{key}' must be words, a number, true/false or a list", "")


def _resolved(key: str, value: Any, folder: Path, maybe: Collection[str]) -> Any:
    if isinstance(value, list):
        return [_resolved(key, part, folder, maybe) for part in value]
    if not isinstance(value, str):
        return value
    if key in maybe:
        try:
            return os.path.normpath(folder / value) if (folder / value).exists() else value
        except (OSError, ValueError):  # too long for a path, or a null byte: words
            return value
    if key in _PATHS:
        return os.path.normpath(folder / value)
    if key in _NAMED_PATHS:
        name, given, file = value.partition("=")
        return f"{name}={os.path.normpath(folder / file)}" if given else value
    return value
