"""Tables of images with labels and captions, as the training of retrieve reads them."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mmtool.errors import InputError
from mmtool.retrieval import Picture

_NEEDED = ("image", "split")


@dataclass(frozen=True)
class CaptionedImage:
    """One row of ``images.csv``.

    Attributes:
        path: Of the image.
        case: That it belongs to.
        split: Part of the data, e.g. ``train``.
        columns: All columns of the row, as written.
    """

    path: Path
    case: str
    split: str
    columns: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.columns.get(column, "").strip()


def read_captioned(folder: Path) -> list[CaptionedImage]:
    """Rows of ``folder/images.csv``, whose images lie in ``folder/images``.

    The case is the column ``case_id``, else ``patient_id``, else the image itself.

    Raises:
        InputError: No such table, or it lacks the columns image and split.
    """
    table = folder / "images.csv"
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"{table}: cannot be read", "a CSV of images is needed") from error
    missing = [c for c in _NEEDED if not rows or c not in rows[0]]
    if missing:
        raise InputError(f"{table}: lacks {', '.join(missing)}", "needed: image, split")
    return [
        CaptionedImage(
            folder / "images" / row["image"],
            row.get("case_id") or row.get("patient_id") or row["image"],
            row["split"],
            {k: v or "" for k, v in row.items() if k},
        )
        for row in rows
    ]


def read_grey(path: Path) -> Picture:
    """An image file in grey.

    Raises:
        InputError: It can't be decoded.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"), np.float32) / np.float32(255)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read as an image", "the file is broken") from error
    return Picture(pixels[None])


def read_records(path: Path) -> Iterator[dict[str, object]]:
    """Objects of a file of JSON lines, compressed or not; nothing where there is no file.

    Raises:
        InputError: A line is no JSON object.
    """
    if not path.is_file():
        return
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
            except ValueError as error:
                raise InputError(
                    f"{path}: line {number} is no JSON", "one object a line"
                ) from error
            if not isinstance(record, dict):
                raise InputError(f"{path}: line {number} is no JSON object", "one object a line")
            yield record
