"""JSON files: UTF-8, no NaN, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmtool.io.atomic import replace_into


def write_json(path: Path, value: Any) -> None:
    """Write plain data.

    Args:
        path: Target.
        value: dicts, lists, strings, numbers, booleans and None only.

    Raises:
        ValueError: A number is NaN or infinite: JSON has no such numbers.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with replace_into(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
