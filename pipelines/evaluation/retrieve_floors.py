"""What a learned encoder must beat: gradients and means with linear models, words counted.

Gradient histograms (16 and 32 pixel cells), 8 x 8 means and a grey histogram, 256 principal
components; texts as 128 components of weighted word counts (LSA); ridge from one to the other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.models.encoders.fixed_side import counted
from mmtool.models.linear_probe import ridge

Floats = NDArray[np.float64]
_WORD = re.compile(r"[a-z0-9]+")
_COMPONENTS, _TOPICS, _PENALTY = 256, 128, 10.0


def gradient_features(grey: NDArray[np.uint8]) -> Floats:
    """(N, F) of (N, edge, edge)."""
    parts = np.array_split(grey, max(1, len(grey) // 64))
    rows = [counted(torch.from_numpy(part).float() / 255).numpy() for part in parts]
    return np.concatenate(rows).astype(np.float64)


@dataclass(frozen=True)
class Components:
    """Standardised features on their first principal components."""

    mean: Floats
    spread: Floats
    axes: Floats

    @classmethod
    def of(cls, features: Floats) -> Components:
        """Fitted on training features (N, F)."""
        mean, spread = features.mean(0), features.std(0) + 1e-6
        _, _, axes = np.linalg.svd((features - mean) / spread, full_matrices=False)
        return cls(mean, spread, axes[:_COMPONENTS].T)

    def __call__(self, features: Floats) -> Floats:
        """(N, 256), each of length 1."""
        out = ((features - self.mean) / self.spread) @ self.axes
        unit: Floats = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
        return unit


class Counted:
    """Texts as weighted counts of words and pairs of words (TF-IDF); with topics, as LSA."""

    def __init__(self, texts: Sequence[str], topics: int | None = _TOPICS) -> None:
        often = Counter(t for text in texts for t in set(_terms(text)))
        self._place = {t: k for k, t in enumerate(sorted(t for t, n in often.items() if n > 1))}
        counts = np.array([often[t] for t in self._place], float)
        self._rarity = np.log((1 + len(texts)) / (1 + counts)) + 1
        self._axes: Floats | None = None
        if topics is not None:
            _, _, axes = np.linalg.svd(self(texts), full_matrices=False)
            self._axes = axes[:topics].T

    def __call__(self, texts: Sequence[str]) -> Floats:
        """(N, terms or topics), each of length 1 or 0."""
        out = np.zeros((len(texts), len(self._place)))
        for row, text in enumerate(texts):
            for term, count in Counter(_terms(text)).items():
                if term in self._place:
                    out[row, self._place[term]] = 1 + np.log(count)
        out = _unit(out * self._rarity)
        return out if self._axes is None else _unit(out @ self._axes)


def _terms(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit


def bridged(images: Floats, texts: Floats, asked: Floats) -> Floats:
    """(M, topics) texts foretold from ``asked`` images by ridge on paired (N, ...) rows."""
    return _unit(asked @ ridge(images, texts, _PENALTY))
