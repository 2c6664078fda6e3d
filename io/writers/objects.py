"""``objects.json``: count, point, box and volume of the pieces of each structure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from mmtool.io.writers.json_file import write_json
from mmtool.types import Label

SCHEMA = 1
Voxel = tuple[int, int, int]
Place = tuple[float, float, float]


class Piece(Protocol):
    """One connected piece; see docs/objects.md for the meaning of each field."""

    @property
    def point_voxel(self) -> Voxel: ...
    @property
    def point_mm(self) -> Place: ...
    @property
    def low_voxel(self) -> Voxel: ...
    @property
    def high_voxel(self) -> Voxel: ...
    @property
    def low_mm(self) -> Place: ...
    @property
    def high_mm(self) -> Place: ...
    @property
    def voxels(self) -> int: ...
    @property
    def volume_ml(self) -> float: ...


class Structure(Protocol):
    """A structure with its pieces."""

    @property
    def label(self) -> Label: ...
    @property
    def objects(self) -> Sequence[Piece]: ...
    @property
    def specks(self) -> int: ...
    @property
    def speck_voxels(self) -> int: ...


def write_objects(path: Path, structures: Sequence[Structure], *, smallest_voxels: int) -> None:
    """Write the pieces of all structures.

    Args:
        path: Target.
        structures: With their pieces.
        smallest_voxels: Size from which on a piece counts as an object.

    Raises:
        ValueError: A point lies outside its box, or a box is turned over.
    """
    for structure in structures:
        for piece in structure.objects:
            _check(structure.label.name, piece)
    value = {
        "schema": SCHEMA,
        "space": "RAS+ mm",
        "connectivity": 26,
        "smallest_voxels": smallest_voxels,
        "structures": [_plain(s) for s in structures],
    }
    write_json(path, value)


def _check(name: str, piece: Piece) -> None:
    in_voxels = zip(piece.low_voxel, piece.point_voxel, piece.high_voxel, strict=True)
    in_mm = zip(piece.low_mm, piece.point_mm, piece.high_mm, strict=True)
    if not all(low <= at <= high for low, at, high in (*in_voxels, *in_mm)):
        raise ValueError(f"{name}: the point {piece.point_voxel} lies outside its box")


def _plain(structure: Structure) -> dict[str, object]:
    return {
        "index": structure.label.index,
        "name": structure.label.name,
        "count": len(structure.objects),
        "specks": {"count": structure.specks, "voxels": structure.speck_voxels},
        "objects": [
            {
                "point": {"voxel": list(piece.point_voxel), "mm": list(piece.point_mm)},
                "box": {
                    "low_voxel": list(piece.low_voxel),
                    "high_voxel": list(piece.high_voxel),
                    "low_mm": list(piece.low_mm),
                    "high_mm": list(piece.high_mm),
                },
                "voxels": piece.voxels,
                "volume_ml": round(piece.volume_ml, 4),
            }
            for piece in structure.objects
        ],
    }
