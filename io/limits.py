"""Bounds on what a reader may take in, so that a hostile file ends in one line, not in swap."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from mmtool.errors import UsageError

_GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """Every reader checks these before it allocates.

    Each can be raised by an environment variable, e.g. ``MMTOOL_MAX_VOXELS=2000000000``.

    Attributes:
        max_file_bytes: Size of one input file on disk.
        max_inflated_bytes: Bytes after decompression of one file, archive or series.
        max_voxels: Voxels of one volume.
        max_frames: Files of a series, or frames of a multi-frame object.
        max_sequence_depth: Nesting of DICOM sequences.
        max_text_bytes: Size of a prompt, a report or a sample sheet.
        max_line_chars: Characters of one line of a table.
        max_zip_members: Files in an archive.
        max_inflation: Inflated by compressed size, counted above 64 MiB.
        max_slide_pixels: Pixels of the finest level of a slide.
        max_tiles: Tiles of one slide.
        max_features: Features of a tile.
        decode_seconds: Time that the decoding child may use for one series, or one answer.
        decode_memory_bytes: Address space of the decoding child.
    """

    max_file_bytes: int = 16 * _GIB
    max_inflated_bytes: int = 8 * _GIB
    max_voxels: int = 1_000_000_000
    max_frames: int = 20_000
    max_sequence_depth: int = 32
    max_text_bytes: int = 1 << 20
    max_line_chars: int = 250_000
    max_zip_members: int = 50_000
    max_inflation: int = 500
    max_slide_pixels: int = 100_000_000_000
    max_tiles: int = 1_000_000
    max_features: int = 16_384
    decode_seconds: int = 600
    decode_memory_bytes: int = 6 * _GIB

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Limits:
        """Defaults, raised or lowered by ``MMTOOL_*`` variables.

        Raises:
            UsageError: A variable holds no positive integer.
        """
        values: dict[str, int] = {}
        for field in fields(cls):
            name = f"MMTOOL_{field.name.upper()}"
            text = environ.get(name)
            if text is None:
                continue
            if not (text.isascii() and text.isdigit() and int(text) > 0):
                raise UsageError(f"{name} must be a positive whole number", f"unset {name}")
            values[field.name] = int(text)
        return cls(**values)
