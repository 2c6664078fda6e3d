"""The network over a volume that is larger than its window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from monai.inferers import sliding_window_inference
from torch import Tensor


@dataclass(frozen=True)
class Windows:
    """How a volume is gone through.

    Attributes:
        size: Voxels of a window; empty: the whole volume in one pass.
        overlap: Share of a window that it has in common with the next.
        mode: Weights of a window's voxels: ``constant`` or ``gaussian``.
        sigma: Width of the Gaussian as a share of the window.
    """

    size: tuple[int, ...] = ()
    overlap: float = 0.25
    mode: str = "constant"
    sigma: float = 0.125


@torch.inference_mode()
def window_logits(net: Callable[[Tensor], Tensor], image: Tensor, windows: Windows) -> Tensor:
    """Logits of a whole volume.

    Args:
        net: (1, C, x, y, z) to (1, classes, x, y, z).
        image: (C, X, Y, Z) float32.
        windows: How.

    Returns:
        (classes, X, Y, Z) float32.
    """
    if not windows.size:
        return net(image[None])[0].float()
    logits = sliding_window_inference(
        image[None],
        windows.size,
        1,
        net,
        overlap=windows.overlap,
        mode=windows.mode,
        sigma_scale=windows.sigma,
    )
    assert isinstance(logits, Tensor)
    return logits[0].float()
