"""The tiles that say most of a patient: rows of the attribution, and squares to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np

from mmtool.bags import Bags, PatientBag
from mmtool.io.writers.tables import Cell
from mmtool.io.writers.tile_map import write_tiles
from mmtool.pipelines.survive_slides import SLIDES
from mmtool.survival import Floats

FOLDER = "top_tiles"
Square = tuple[float, float, float]


@dataclass
class TopTiles:
    """Collects the top tiles of the patients.

    Attributes:
        bags: With slides and places of the tiles.
        top: Tiles of each patient.
        found: Slide -> its tiles (left, top, contribution) and the edge of a tile.
    """

    bags: Bags
    top: int
    found: dict[str, tuple[list[Square], float]] = field(default_factory=dict)

    def rows(self, row: int, patient: str, effects: Floats) -> Iterator[tuple[Cell, ...]]:
        """Rows of ``attribution.tsv``.

        Args:
            row: Of the patient.
            patient: Name.
            effects: (N,) what each tile adds to the risk; NaN where that is not known.
        """
        bag = self.bags.patients[row]
        sizes = np.nan_to_num(np.abs(effects))
        for i in np.argsort(-sizes, kind="stable")[: self.top]:
            if sizes[i] > 0:
                value = round(float(effects[i]), 6)
                yield patient, "tile", SLIDES, self._name(bag, int(i), value), None, value

    def _name(self, bag: PatientBag, i: int, value: float) -> str:
        k = int(bag.slide[i])
        slide, (x, y) = bag.slides[k], bag.coords[i]
        if np.isnan(x):
            return f"{slide} tile {i - int(np.argmax(bag.slide == k))}"
        edge = bag.edges[k] if bag.edges else float("nan")
        if np.isfinite(edge):
            self.found.setdefault(slide, ([], edge))[0].append((float(x), float(y), value))
        return f"{slide} at {x:g},{y:g}"

    def write(self, out: Path) -> None:
        """Write ``top_tiles/SLIDE.geojson`` of each slide whose tiles have places and a size."""
        for slide, (tiles, edge) in self.found.items():
            write_tiles(out / FOLDER / f"{PurePath(slide).name}.geojson", tiles, edge)
