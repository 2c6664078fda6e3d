"""``report.geojson``: findings of a slide as shapes that QuPath and others open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmtool.io.writers.json_file import write_json
from mmtool.reports import Evidence, Finding, Report


def write_report_geojson(path: Path, report: Report, size: tuple[int, int]) -> None:
    """Write the boxes of all findings.

    Args:
        path: Target.
        report: The report.
        size: Columns and rows of the slide's finest level; coordinates count its pixels.
    """
    shapes = [
        _feature(finding, evidence, size)
        for finding in report.findings
        for evidence in finding.evidence
        if evidence.box is not None
    ]
    write_json(path, {"type": "FeatureCollection", "features": shapes})


def _feature(finding: Finding, evidence: Evidence, size: tuple[int, int]) -> dict[str, Any]:
    x, y, w, h = evidence.box or (0, 0, 0, 0)
    left, right = x * size[0], (x + w) * size[0]
    top, bottom = y * size[1], (y + h) * size[1]
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    facts = {
        "objectType": "annotation",
        "name": finding.text,
        "presence": finding.presence,
        "probability": finding.probability,
        "uncertainty": finding.uncertainty,
        "sentence": finding.sentence,
    }
    return {
        "type": "Feature",
        "id": finding.id,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": facts,
    }
