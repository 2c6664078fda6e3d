"""What one step of the joint encoder's training sees: changed images, drawn texts, who matches."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mmtool.pipelines.picture_words import MODALITY, PLANE, REGION, sequence_words
from mmtool.pipelines.training.retrieve_data import Shown

_SIDE = re.compile(r"\b(left|right|l|r|lul|rul|lll|rll|rml)\b", re.IGNORECASE)
_FILMS = 120  # of an epoch: films are many and alike


def batches(
    images: Sequence[Shown], size: int, draw: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Places of the images of each step; two of a case come together where a case has two."""
    cases: dict[str, list[int]] = defaultdict(list)
    films = [k for k, image in enumerate(images) if not image.caption]
    kept = set(draw.permutation(films)[:_FILMS].tolist())
    for k, image in enumerate(images):
        if image.caption or k in kept:
            cases[image.case].append(k)
    couples = []
    for places in cases.values():
        mixed = draw.permutation(places)
        couples += [mixed[k : k + 2] for k in range(0, len(mixed), 2)]
    order = np.concatenate([couples[k] for k in draw.permutation(len(couples))])
    for begin in range(0, len(order) - size // 2, size):
        yield order[begin : begin + size]


def turnable(images: Sequence[Shown]) -> Tensor:
    """(N,) bool: whether left and right may be swapped, since no text of it tells a side."""
    return torch.tensor([not _SIDE.search(image.full_text) for image in images])


def changed(grey: Tensor, may_turn: Tensor, draw: torch.Generator) -> Tensor:
    """(B, edge, edge) of the same: moved, turned, scaled, mirrored, brighter, noisy, covered."""
    count, edge = grey.shape[:2]

    def rand(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=draw) * (high - low) + low

    angle, scale, aspect = rand(-0.2, 0.2), rand(-0.2, 0.15).exp(), rand(-0.08, 0.08).exp()
    mirror = 1 - 2 * ((torch.rand(count, generator=draw) < 0.5) & may_turn).float()
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack(
        [
            torch.stack([mirror * cos * scale * aspect, -sin * scale, rand(-0.1, 0.1)], 1),
            torch.stack([mirror * sin * scale, cos * scale / aspect, rand(-0.1, 0.1)], 1),
        ],
        1,
    )
    grid = functional.affine_grid(rows, [count, 1, edge, edge], align_corners=False)
    moved = functional.grid_sample(grey[:, None], grid, align_corners=False)[:, 0]
    gamma, gain, shift = rand(-0.5, 0.5).exp(), rand(0.75, 1.3), rand(-0.08, 0.08)
    there = moved > 0.02  # air stays black
    bright = moved.clamp(min=1e-4) ** gamma[:, None, None] * gain[:, None, None]
    bright = torch.where(there, bright + shift[:, None, None], moved)
    noisy = bright + torch.randn(grey.shape, generator=draw) * rand(0, 0.04)[:, None, None]
    return _covered(_softened(noisy, rand(0, 1)), draw).clamp(0, 1)


def _softened(grey: Tensor, chance: Tensor) -> Tensor:
    soft = functional.avg_pool2d(grey[:, None], 3, 1, 1)[:, 0]
    return torch.where((chance < 0.15)[:, None, None], soft, grey)


def _covered(grey: Tensor, draw: torch.Generator) -> Tensor:
    """A rectangle of a quarter of the images is blackened (doi 10.1609/aaai.v34i07.7000)."""
    count, edge = grey.shape[:2]
    place = torch.arange(edge)
    inside = []
    for _ in range(2):
        begin = torch.rand(count, 1, generator=draw) * edge
        length = (torch.rand(count, 1, generator=draw) * 0.25 + 0.1) * edge
        inside.append((place >= begin) & (place < begin + length))
    chosen = torch.rand(count, generator=draw) < 0.25
    hole = inside[0][:, :, None] & inside[1][:, None] & chosen[:, None, None]
    return torch.where(hole, 0.0, grey)


def caption_text(image: Shown, draw: np.random.Generator) -> str:
    """The caption, alone or with modality, plane and location; a description where none is."""
    if not image.caption:
        return description(image, draw)
    if draw.random() < 0.5:
        return image.full_text
    words = image.caption.split()
    if len(words) > 12 and draw.random() < 0.3:
        half = len(words) // 2
        return " ".join(words[:half] if draw.random() < 0.5 else words[half:])
    return image.caption


def description(image: Shown, draw: np.random.Generator) -> str:
    """Modality, sequence, plane and region in wordings drawn from an expert's, in any order."""
    labels = image.labels
    parts = [
        MODALITY.get(labels["type"], ()),
        sequence_words(labels["modality"]),
        PLANE.get(labels["plane"], ()),
        (*REGION.get(labels["region"], ()), labels["location"].lower()),
    ]
    drawn = [str(draw.choice(words)) for words in parts if words]
    draw.shuffle(drawn)
    return " ".join(drawn)


def rate(step: int, steps: int) -> float:
    """Share of the peak rate: up over the first steps, then down along a cosine."""
    warm = max(1, min(60, steps // 10))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
