"""What every segmentation model is to the rest of ``mmtool segment``, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mmtool.types import Label


@dataclass(frozen=True)
class Segmented:
    """What a model says of a volume.

    Attributes:
        labels: (I, J, K) uint8 label indices on the input grid, 0 where nothing is.
        found: False when the model saw nothing that it was made for; then all is empty.
        confidence: Label index -> mean probability of the chosen class over its voxels.
        certainty: The same over all that was found, 0 to 1; 0 when there was nothing.
        whole: (I, J, K) bool mask of :attr:`Segmenter.whole`, or None.
        uncertainty: (I, J, K) float16 in [0, 1] if it was asked for: predictive entropy divided
            by that of a guess among all classes.
        table: Labels that apply to this very scan, where the model has others too; None for all.
        notes: Plain sentences for the user.
        evidence: What the audit of a text keeps besides (e.g. similarity points), JSON-ready.
    """

    labels: NDArray[np.uint8]
    found: bool
    confidence: dict[int, float]
    certainty: float
    whole: NDArray[np.bool_] | None = None
    uncertainty: NDArray[np.float16] | None = None
    table: tuple[Label, ...] | None = None
    notes: tuple[str, ...] = ()
    evidence: dict[str, Any] = field(default_factory=dict)


class Segmenter(Protocol):
    """A loaded model.

    Attributes:
        labels: Every label it can give; indices 1 to 255.
        whole: Label of the organ around them that it finds besides, or None.
        modalities: DICOM modalities that it was made for; empty for any.
        channels: Names of its input channels, e.g. ``("FLAIR", "T1c")``; one for most.
        purpose: What it was made for, in the plural: "MR scans of the head".
    """

    labels: tuple[Label, ...]
    whole: Label | None
    modalities: tuple[str, ...]
    channels: tuple[str, ...]
    purpose: str

    def __call__(
        self, data: NDArray[Any], affine: NDArray[np.float64], *, uncertainty: bool = False
    ) -> Segmented:
        """Segment a volume.

        Args:
            data: (I, J, K) intensities, finite; (C, I, J, K) for a model of several channels.
            affine: (4, 4) voxel to RAS+ mm.
            uncertainty: Fill :attr:`Segmented.uncertainty`.
        """
        ...

    def memory_bytes(self, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> int:
        """Peak of memory that segmenting a volume of this grid will need, its data excluded."""
        ...


@runtime_checkable
class TextSegmenter(Segmenter, Protocol):
    """A model whose network reads the text itself.

    Attributes:
        reads_text: True.
    """

    reads_text: bool

    def __call__(
        self,
        data: NDArray[Any],
        affine: NDArray[np.float64],
        *,
        uncertainty: bool = False,
        text: str | None = None,
    ) -> Segmented:
        """Segment what ``text`` asks for; everything if it is None."""
        ...
