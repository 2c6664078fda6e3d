"""Small slides for tests: pictures like stained tissue, and a tiled TIFF that OpenSlide reads."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

GLASS, EOSIN, NUCLEUS = (243, 242, 243), (222, 150, 190), (110, 70, 140)
_TILE = 256


def tissue_picture(height: int, width: int, nuclei: int = 400, seed: int = 0) -> np.ndarray:
    """(H, W, 3): glass, and in the left two thirds tissue with nuclei of 9 pixels."""
    draw = np.random.default_rng(seed)
    out = np.full((height, width, 3), GLASS, float)
    y, x = np.mgrid[:height, :width]
    inside = ((y - height / 2) / (height * 0.45)) ** 2 + ((x - width / 3) / (width * 0.3)) ** 2 < 1
    out[inside] = EOSIN
    rows, columns = np.nonzero(inside)
    for k in draw.integers(len(rows), size=nuclei):
        r, c = rows[k], columns[k]
        part = out[max(r - 5, 0) : r + 5, max(c - 5, 0) : c + 5]
        part[:] = 0.3 * part + 0.7 * np.array(NUCLEUS)
    out += draw.normal(0, 2, out.shape)
    return out.clip(0, 255).astype(np.uint8)


def halved(picture: np.ndarray) -> np.ndarray:
    """Half the resolution, by means."""
    h, w = picture.shape[0] // 2, picture.shape[1] // 2
    part = picture[: 2 * h, : 2 * w].astype(float).reshape(h, 2, w, 2, 3)
    return part.mean((1, 3)).round().astype(np.uint8)


def write_tiled_tiff(
    path: Path, levels: Sequence[np.ndarray], mpp: tuple[float, float] | None
) -> Path:
    """Write levels, each (H, W, 3) uint8, uncompressed; the resolution is left out for None."""
    data = bytearray(b"II*\0\0\0\0\0")
    link = 4  # where the offset of the next directory goes
    for number, level in enumerate(levels):
        height, width = level.shape[:2]
        offsets = []
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                tile = np.zeros((_TILE, _TILE, 3), np.uint8)
                part = level[top : top + _TILE, left : left + _TILE]
                tile[: part.shape[0], : part.shape[1]] = part
                offsets.append(len(data))
                data += tile.tobytes()
        link = _directory(data, link, (width, height), offsets, mpp, number > 0)
    path.write_bytes(bytes(data))
    return path


def _directory(
    data: bytearray,
    link: int,
    size: tuple[int, int],
    offsets: Sequence[int],
    mpp: tuple[float, float] | None,
    reduced: bool,
) -> int:
    count = len(offsets)
    lists = {}
    for tag, values in ((324, offsets), (325, [_TILE * _TILE * 3] * count), (258, [8, 8, 8])):
        lists[tag] = len(data)
        data += struct.pack(f"<{len(values)}{'H' if tag == 258 else 'I'}", *values)
    entries = [
        (254, 4, 1, int(reduced)),
        (256, 4, 1, size[0]),
        (257, 4, 1, size[1]),
        (258, 3, 3, lists[258]),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (322, 3, 1, _TILE),
        (323, 3, 1, _TILE),
        (324, 4, count, lists[324] if count > 1 else offsets[0]),
        (325, 4, count, lists[325] if count > 1 else _TILE * _TILE * 3),
    ]
    if mpp is not None:
        for tag, value in ((282, mpp[0]), (283, mpp[1])):
            entries.append((tag, 5, 1, len(data)))
            data += struct.pack("<II", round(1e4 / value * 1000), 1000)
        entries.append((296, 3, 1, 3))
    data[link : link + 4] = struct.pack("<I", len(data))
    data += struct.pack("<H", len(entries))
    for entry in sorted(entries):
        data += struct.pack("<HHII", *entry)
    data += bytes(4)
    return len(data) - 4
