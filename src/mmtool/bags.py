"""Features of the tiles of slides: a bag for each slide, and for each patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SlideBag:
    """One slide.

    Attributes:
        name: Of the file, without folder and ending.
        features: (N, D) float32, finite.
        coords: (N, 2) float32, left and top of each tile in pixels of the slide's finest level,
            or None where they are not known.
        tile: Edge of a tile in these pixels, or None.
        encoder: What made the features, where the file says it.
    """

    name: str
    features: NDArray[np.float32]
    coords: NDArray[np.float32] | None
    tile: float | None
    encoder: str | None = None


@dataclass(frozen=True)
class PatientBag:
    """All tiles of a patient.

    Attributes:
        slides: S names.
        features: (N, D) float32; N = 0 for a patient without a slide.
        coords: (N, 2) float32 as in :class:`SlideBag`; NaN where they are not known.
        slide: (N,) which of the slides each tile is from.
        edges: S edges of a tile in pixels of the finest level, NaN where not known; or empty.
    """

    slides: tuple[str, ...]
    features: NDArray[np.float32]
    coords: NDArray[np.float32]
    slide: NDArray[np.int64]
    edges: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Bags:
    """The bags of a cohort.

    Attributes:
        columns: D names of the features.
        patients: A bag for each patient, in the order that was asked for.
        notes: Plain sentences: what was left out and why.
    """

    columns: tuple[str, ...]
    patients: tuple[PatientBag, ...]
    notes: tuple[str, ...]
