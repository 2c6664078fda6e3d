"""Small files of a model folder: JSON of bounded size, and hashes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mmtool.errors import ModelError

MAX_JSON = 8 << 20  # bytes; an honest config or card has some kilobytes


def read_text(path: Path) -> bytes:
    """Bytes of a small file.

    Raises:
        ModelError: Missing or too large.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_JSON + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read", "the model folder is not complete") from error
    if len(raw) > MAX_JSON:
        raise ModelError(f"{path}: larger than {MAX_JSON >> 20} MiB", "this is no config or card")
    return raw


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object of bounded size.

    Raises:
        ModelError: Missing, too large, or no JSON object.
    """
    raw = read_text(path)
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not valid JSON", "the model folder is damaged") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: not a JSON object", "the model folder is damaged")
    return value


def hash_file(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read", "the model folder is not complete") from error
