"""Where an answer hangs on the picture: maps of what it costs to hide a part, and their test.

Two methods: hiding one field after the other (occlusion, 10.1007/978-3-319-10590-1_53) and hiding
random halves of them (masking, after RISE, 10.48550/arXiv.1806.07421). Each map is tested by
deletion: the fields that it calls hot are hidden together, and as many random ones beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmtool.models.report.model import ReportModel
from mmtool.pipelines.report_gate import Look
from mmtool.reports import Deletion
from mmtool.retrieval import JointEncoder, Picture

METHODS = ("occlusion", "masking")
TESTED = 0.2  # share of the fields by whose hiding a map is judged in one number
_GRID = 8  # fields along each side
_FIELDS = tuple((i, j) for i in range(_GRID) for j in range(_GRID))
_SHARES = (0.05, 0.1, TESTED, 0.4)  # of the fields that are hidden together
_DRAWS = 4  # random sets of fields beside each hot one
_MASKS = 128
_BATCH = 32
Score = Callable[[Sequence[Picture]], NDArray[np.float64]]
Grid = NDArray[np.float32]


@dataclass(frozen=True)
class Heat:
    """Where an answer hangs on the picture.

    Attributes:
        grid: (8, 8) what hiding a field costs the log odds, at least 0.
        deletion: The test.
        slice: Place of the slice.
        picture: The slice.
    """

    grid: Grid
    deletion: tuple[Deletion, ...]
    slice: int
    picture: Picture

    @property
    def agreement(self) -> float:
        """Drop of the log odds without the hottest fifth, less that without random fifths."""
        (found,) = (d for d in self.deletion if d.share == TESTED)
        return found.hot - found.random


def heat_of(
    look: Look,
    question: str,
    value: str,
    model: ReportModel,
    encoder: JointEncoder,
    method: str = METHODS[0],
) -> Heat:
    """The map of one answer, on the slice that says it most.

    Args:
        look: The image.
        question: Of the model.
        value: The answer.
        model: The heads.
        encoder: Theirs.
        method: One of `METHODS`.
    """

    def score(pictures: Sequence[Picture]) -> NDArray[np.float64]:
        parts = [
            model.projected(encoder.encode_pictures(pictures[i : i + _BATCH]).vectors)
            for i in range(0, len(pictures), _BATCH)
        ]
        return model.logit(question, value, np.concatenate(parts))

    logits = model.logit(question, value, look.vectors)
    place, picture = look.slices[int(logits.argmax())]
    make = {"occlusion": _occlusion, "masking": _masking}[method]
    grid = make(picture, float(logits.max()), score)
    return Heat(grid, _deleted(picture, float(logits.max()), grid, score), place, picture)


def _occlusion(picture: Picture, whole: float, score: Score) -> Grid:
    hidden = score([hide(picture, [field]) for field in _FIELDS])
    return np.asarray((whole - hidden).clip(0).reshape(_GRID, _GRID), np.float32)


def _masking(picture: Picture, whole: float, score: Score) -> Grid:
    """How much lower the answer is with a field hidden than with it shown, over random halves."""
    del whole
    rng = np.random.default_rng(0)
    gone = rng.random((_MASKS, len(_FIELDS))) < 0.5
    found = score([hide(picture, [_FIELDS[k] for k in np.flatnonzero(row)]) for row in gone])
    without = (found @ gone) / gone.sum(0)
    beside = (found @ ~gone) / (~gone).sum(0)
    return np.asarray((beside - without).clip(0).reshape(_GRID, _GRID), np.float32)


def _deleted(picture: Picture, whole: float, grid: Grid, score: Score) -> tuple[Deletion, ...]:
    """What the answer loses without the hottest fields, and without random ones."""
    rng = np.random.default_rng(0)
    order = np.argsort(-grid.ravel(), kind="stable")
    sets: list[list[tuple[int, int]]] = []
    for share in _SHARES:
        count = round(share * len(_FIELDS))
        sets.append([_FIELDS[k] for k in order[:count]])
        for _ in range(_DRAWS):
            sets.append([_FIELDS[k] for k in rng.choice(len(_FIELDS), count, replace=False)])
    drops = (whole - score([hide(picture, s) for s in sets])).reshape(len(_SHARES), 1 + _DRAWS)
    return tuple(
        Deletion(share, round(float(row[0]), 4), round(float(row[1:].mean()), 4))
        for share, row in zip(_SHARES, drops, strict=True)
    )


def hide(picture: Picture, fields: Sequence[tuple[int, int]]) -> Picture:
    """The picture with fields of the grid filled with its mean."""
    pixels = picture.pixels.copy()
    high, wide = pixels.shape[1:3]
    mean = pixels.mean((0, 1, 2))
    for i, j in fields:
        rows = slice(i * high // _GRID, (i + 1) * high // _GRID)
        columns = slice(j * wide // _GRID, (j + 1) * wide // _GRID)
        pixels[:, rows, columns] = mean
    return replace(picture, pixels=pixels)
