"""What every encoder of tiles offers, and how one is found by name."""

from __future__ import annotations

import importlib
from typing import Protocol

from torch import Tensor, device

from mmtool.errors import ModelError

ENCODERS = ("stain_texture",)


class TileEncoder(Protocol):
    """Turns tiles of stained tissue into numbers.

    Attributes:
        name: As the option.
        version: Changes when the numbers of the same tile change.
        size: Edge of a tile in pixels.
        mpp: µm a pixel of a tile.
        columns: D names of the features.
    """

    name: str
    version: str
    size: int
    mpp: float
    columns: tuple[str, ...]

    def encode(self, tiles: Tensor) -> Tensor:
        """(N, D) float32 of N > 0 tiles (N, size, size, 3), uint8 sRGB, on the encoder's device."""
        ...


def signature(encoder: TileEncoder) -> str:
    """Name and version, as files of features carry them."""
    return f"{encoder.name} {encoder.version}"


def columns_of(made: str | None, width: int) -> tuple[str, ...]:
    """Names of features: those of the encoder that made them, if it is one of ours, or numbers.

    Args:
        made: `signature` of the encoder, where it is known.
        width: How many.
    """
    name = (made or "").partition(" ")[0]
    if name in ENCODERS:
        encoder = load_encoder(name, device("cpu"))
        if signature(encoder) == made and len(encoder.columns) == width:
            return encoder.columns
    return tuple(f"f{k:04d}" for k in range(width))


def load_encoder(name: str, where: device) -> TileEncoder:
    """The encoder of a file of this folder.

    Args:
        name: One of `ENCODERS`.
        where: Device that it shall work on.

    Raises:
        ModelError: There is none of this name.
    """
    if name not in ENCODERS:
        raise ModelError(f"no encoder of tiles is named '{name}'", f"one of {', '.join(ENCODERS)}")
    encoder: TileEncoder = importlib.import_module(f"mmtool.models.encoders.{name}").build(where)
    return encoder
