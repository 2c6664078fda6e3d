"""Tables as lines of JSON, one object a row, plain or gzip."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits

_MOST = 20_000  # characters of a value


def read_json_lines(path: Path, limits: Limits) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and values of each row, as words.

    Lists of words are joined by semicolons; what is nested deeper is left out.

    Raises:
        InputError: No lines of JSON objects, or unreadable.
        LimitError: A line is too long, or the file inflates without end.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            total, number = 0, 0
            most = 4 * limits.max_line_chars
            while line := stream.readline(most + 1):
                number, total = number + 1, total + len(line)
                if len(line) > most or total > limits.max_inflated_bytes:
                    raise LimitError(f"{path} line {number}: too long", "is this the file?")
                if line.strip():
                    yield number, _row(line, path, number)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: can't be read ({type(error).__name__})", "check the file") from (
            error
        )


def _row(line: bytes, path: Path, number: int) -> dict[str, str]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} line {number}: no JSON", "one JSON object a line") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} line {number}: no JSON object", "one JSON object a line")
    words = {str(name): _word(cell) for name, cell in value.items()}
    return {name: word for name, word in words.items() if word is not None}


def _word(cell: Any) -> str | None:
    if cell is None:
        return ""
    if isinstance(cell, str | int | float):
        return str(cell)[:_MOST]
    if isinstance(cell, list) and all(isinstance(part, str | int | float) for part in cell):
        return "; ".join(str(part) for part in cell if part != "")[:_MOST]
    return None
