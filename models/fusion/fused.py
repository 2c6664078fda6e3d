"""What a fusion of text and image gives back."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Fused:
    """Text-aware features.

    Attributes:
        image: (B, C, i, j, k) deepest image features.
        dense: (B, D, i, j, k) dense prompt to be added to the features of the text decoder, or
            None.
        text: (B, T) vector of the text that voxels are compared with.
    """

    image: Tensor
    dense: Tensor | None
    text: Tensor
