"""Read ``report.json`` back; the file may come from anyone."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.reports import SCHEMA, VERSION, Report

_HINT = "give a report.json that 'mmtool report' wrote"
_MOST_ITEMS = 100_000  # of one list
_MAX_BYTES = 64 << 20


class _UnlikeError(ValueError):
    """The data are not of the kind that the layout asks for."""


def read_report(path: Path, limits: Limits | None = None) -> Report:
    """Read and check a report.

    Args:
        path: The file.
        limits: Of the size of a file.

    Raises:
        InputError: Missing, too large, no report, or of a newer layout.
    """
    value = _json_object(path, limits or Limits())
    if value.get("schema") != SCHEMA:
        raise InputError(f"{path}: no report of mmtool", _HINT)
    version = value.get("version")
    if isinstance(version, int) and version > VERSION:
        raise InputError(
            f"{path}: its layout is version {version}, this mmtool knows up to {VERSION}",
            "read it with a newer mmtool",
        )
    try:
        report: Report = _build(Report, value, "report")
    except _UnlikeError as error:
        raise InputError(f"{path}: {error}", _HINT) from None
    return report


def _json_object(path: Path, limits: Limits) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if size > min(limits.max_file_bytes, _MAX_BYTES):
            raise LimitError(f"{path}: {size:,} bytes are more than a report has", _HINT)
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: can't be read ({type(error).__name__})", _HINT) from error
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not valid JSON", _HINT) from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: no report of mmtool", _HINT)
    return value


def _build(kind: Any, value: Any, where: str) -> Any:
    """The value as a dataclass, tuple or plain type.

    Keys that the layout doesn't know are passed over, so that it may grow.
    """
    if is_dataclass(kind) and isinstance(kind, type):
        return _object(kind, value, where)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _either(kind, value, where)
    if origin is tuple:
        return _list(kind, value, where)
    if origin is Literal:
        if value not in get_args(kind) or isinstance(value, bool):
            raise _UnlikeError(f"{where} is none of {', '.join(map(str, get_args(kind)))}")
        return value
    return _scalar(kind, value, where)


def _object(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _UnlikeError(f"{where} is no object")
    hints = get_type_hints(kind)
    given = {}
    for field in fields(kind):
        if field.name in value:
            given[field.name] = _build(
                hints[field.name], value[field.name], f"{where}.{field.name}"
            )
        elif field.default is MISSING and field.default_factory is MISSING:
            raise _UnlikeError(f"{where} lacks '{field.name}'")
    return kind(**given)


def _either(kind: Any, value: Any, where: str) -> Any:
    """``X | None``: the layout has no other unions."""
    if value is None:
        return None
    (other,) = (k for k in get_args(kind) if k is not NoneType)
    return _build(other, value, where)


def _list(kind: Any, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list) or len(value) > _MOST_ITEMS:
        raise _UnlikeError(f"{where} is no list")
    inner = get_args(kind)
    if inner[-1] is Ellipsis:
        inner = (inner[0],) * len(value)
    if len(inner) != len(value):
        raise _UnlikeError(f"{where} has {len(value)} entries, not {len(inner)}")
    return tuple(
        _build(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(inner, value, strict=True))
    )


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif kind in (str, bool, int) and type(value) is kind:
        return value
    raise _UnlikeError(f"{where} is not of type {kind.__name__}")
