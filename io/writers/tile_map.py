"""Tiles of a slide as GeoJSON, as QuPath and other viewers read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmtool.io.writers.json_file import write_json


def write_tiles(path: Path, tiles: Sequence[tuple[float, float, float]], edge: float) -> None:
    """Write squares with a measurement each.

    Args:
        path: Target.
        tiles: Left, top and contribution of each, in pixels of the finest level.
        edge: Of a tile, in these pixels.
    """
    features = []
    for x, y, value in tiles:
        ring = [[x, y], [x + edge, y], [x + edge, y + edge], [x, y + edge], [x, y]]
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {
                    "objectType": "annotation",
                    "name": f"{value:+.4g}",
                    "measurements": {"contribution": value},
                },
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"type": "FeatureCollection", "features": features})
