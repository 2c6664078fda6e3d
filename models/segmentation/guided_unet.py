"""A segmentation network whose deepest features a report steers, trained as one.

As in TextBraTS (Shi et al. 2025, arXiv 2506.16784), image and text meet at the deepest stage only
(``models/fusion``). Before they meet, the image's features are told where in the head they lie:
"left frontal" means nothing to a network that knows no place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mmtool.models.segmentation.subvoxel_unet import (
    SubvoxelUNet,
    SubvoxelUNetConfig,
    unfold_blocks,
)
from mmtool.models.segmentation.text_unet import build_fusion
from mmtool.models.text.encoder import TextEncoder, TextEncoderConfig, Tokens


@dataclass(frozen=True)
class GuidedUNetConfig:
    """Shape of the network.

    Attributes:
        trunk: Of the image network.
        text: Of the text encoder.
        fusion: One of ``text_unet.FUSIONS``.
    """

    trunk: SubvoxelUNetConfig
    text: TextEncoderConfig
    fusion: str = "sequential"

    def to_json(self) -> dict[str, Any]:
        """Plain dict for ``config.json``."""
        return asdict(self) | {"trunk": self.trunk.to_json(), "text": self.text.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> GuidedUNetConfig:
        """Rebuild from ``config.json``."""
        trunk = SubvoxelUNetConfig.from_json(data["trunk"])
        text = TextEncoderConfig.from_json(data["text"])
        return cls(**(data | {"trunk": trunk, "text": text}))


def place_in(inside: Tensor, multiple: int) -> Tensor:
    """Where each deepest voxel lies in the box around what is inside.

    Args:
        inside: (I, J, K) bool, e.g. the brain; sizes are multiples of ``multiple``.
        multiple: Voxels along one edge of a deepest voxel.

    Returns:
        (3, i, j, k) float32: -1 at the lower face of the box, 1 at the upper one.
    """
    axes = []
    for axis, size in enumerate(inside.shape):
        others = [a for a in range(3) if a != axis]
        spots = inside.any(others[1]).any(others[0]).nonzero()[:, 0]
        low, high = (float(spots[0]), float(spots[-1])) if len(spots) else (0.0, size - 1.0)
        centres = torch.arange(size // multiple) * multiple + (multiple - 1) / 2
        axes.append((2 * (centres - low) / max(1.0, high - low) - 1).clamp(-1.5, 1.5))
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).to(inside.device)


class GuidedUNet(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: GuidedUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = SubvoxelUNet(config.trunk)
        self.text = TextEncoder(config.text)
        for name, parameter in self.text.named_parameters():
            # What has learned to read would soon forget it for the one text of a scan.
            parameter.requires_grad_(name.startswith("pool."))
        deepest, above = config.trunk.widths[-1], config.trunk.widths[-2]
        self.place = nn.Conv3d(3, deepest, 1)
        self.fusion = build_fusion(config.fusion, deepest, config.text.width, above)
        self.told = nn.Linear(config.text.width, deepest)
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)

    @property
    def multiple(self) -> int:
        """Every spatial size must be a multiple of this."""
        return self.trunk.multiple

    def features(self, image: Tensor, place: Tensor, tokens: Tokens) -> Tensor:
        """Block features of one image under one text; see ``SubvoxelUNet.features``.

        Args:
            image: (1, inputs, I, J, K).
            place: (3, i, j, k) of :func:`place_in`.
            tokens: One text.
        """
        cells, skips = self.trunk.encoded(image)
        text = self.text(tokens)
        deep = skips[-1] + self.place(place[None].to(skips[-1].dtype))
        fused = self.fusion(deep, text.words, text.mask, text.pooled)
        told = self.told(fused.text)[:, :, None, None, None]
        steered: Sequence[Tensor] = [*skips[:-1], fused.image + told]
        if fused.dense is not None:
            size = [int(n) for n in skips[-2].shape[2:]]
            dense = F.interpolate(fused.dense, size=size, mode="trilinear")
            steered = [*skips[:-2], skips[-2] + dense, steered[-1]]
        return torch.cat([self.trunk.decoded(list(steered)), cells], dim=1)

    def forward(self, image: Tensor, place: Tensor, tokens: Tokens) -> Tensor:
        """(1, classes, I, J, K) logits of every voxel."""
        logits: Tensor = self.trunk.head(self.features(image, place, tokens))
        return unfold_blocks(logits, self.config.trunk.block)
