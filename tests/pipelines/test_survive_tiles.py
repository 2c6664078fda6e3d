"""Squares of the tiles that add most, as viewers of slides open them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mmtool.bags import Bags, SlideBag
from mmtool.pipelines.slide_bags import patient_bag
from mmtool.pipelines.survive_tiles import TopTiles

PLACES = np.array([[0, 0], [512, 0], [0, 512.5]], np.float32)


def bags() -> Bags:
    """A patient with a slide whose tiles have places and a size, and one that has neither."""
    features = np.zeros((3, 2), np.float32)
    known, bare = SlideBag("one", features, PLACES, 512.5), SlideBag("bare", features, None, None)
    return Bags(("a", "b"), (patient_bag([bare, known], 2),), ())


def test_squares_of_the_top_tiles(tmp_path: Path) -> None:
    tiles = TopTiles(bags(), top=4)
    effects = np.array([0.3, np.nan, 0.0, 0.1, -0.5, 0.2])
    told = list(tiles.rows(0, "P", effects))
    assert [(r[3], r[5]) for r in told] == [
        ("one at 512,0", -0.5),
        ("bare tile 0", 0.3),
        ("one at 0,512.5", 0.2),
        ("one at 0,0", 0.1),
    ]
    tiles.write(tmp_path)
    assert [p.name for p in (tmp_path / "top_tiles").iterdir()] == ["one.geojson"]
    found = json.loads((tmp_path / "top_tiles/one.geojson").read_text())
    assert found["type"] == "FeatureCollection"
    first, *_ = found["features"]
    assert first["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[512, 0], [1024.5, 0], [1024.5, 512.5], [512, 512.5], [512, 0]]],
    }
    assert first["properties"]["measurements"] == {"contribution": -0.5}
    assert first["properties"]["objectType"] == "annotation"
    assert len(found["features"]) == 3


def test_nothing_is_written_without_places(tmp_path: Path) -> None:
    tiles = TopTiles(bags(), top=1)
    assert [r[3] for r in tiles.rows(0, "P", np.array([1.0, 0, 0, 0, 0, 0]))] == ["bare tile 0"]
    tiles.write(tmp_path)
    assert not (tmp_path / "top_tiles").exists()
