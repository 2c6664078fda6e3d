"""``report.json``: the truth of a report, by ``report.schema.json``."""

from __future__ import annotations

from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from mmtool.io.writers.json_file import write_json
from mmtool.reports import Report


def write_report_json(path: Path, report: Report) -> None:
    """Write a report.

    Args:
        path: Target.
        report: The report.

    Raises:
        ValueError: A number in it is NaN or infinite.
    """
    write_json(path, plain_report(report))


def plain_report(report: Report) -> dict[str, Any]:
    """The report as dicts, lists, strings, numbers and None."""
    found: dict[str, Any] = _plain(asdict(report))
    return {name: found[name] for name in ("schema", "version", "status")} | found


def schema_text() -> str:
    """The JSON schema, as it is shipped."""
    return (files("mmtool.io") / "writers" / "report.schema.json").read_text(encoding="utf-8")


def _plain(value: Any) -> Any:
    """Tuples become lists, as JSON has them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
