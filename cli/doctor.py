"""``mmtool doctor``."""

from __future__ import annotations

import json as json_module

import typer

from mmtool.cli import options as shared
from mmtool.errors import MMToolError


def doctor(
    output: shared.Output = None, device: shared.Device = "auto", json: shared.Json = False
) -> None:
    """Check that this installation can work here: versions, device, memory, folders, weights.

    Example: mmtool doctor --json
    """
    from pathlib import Path

    from mmtool.pipelines.health import examine

    findings = examine(device, output or Path())
    if json:
        rows = {f.name: {"ok": f.error is None, "value": f.value} for f in findings}
        typer.echo(json_module.dumps(rows, indent=2))
    else:
        for finding in findings:
            typer.echo(
                f"{'ok ' if finding.error is None else 'BAD'}  {finding.name}: {finding.value}"
            )
    for finding in findings:
        if isinstance(finding.error, MMToolError):
            raise finding.error
