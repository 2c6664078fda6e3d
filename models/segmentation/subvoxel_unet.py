"""U-Net that works on 2x2x2 blocks of voxels and labels every voxel of each block.

Folding 2x2x2 voxels into channels (space to depth; Shi et al. 2016, 10.1109/CVPR.2016.207, run
backwards) makes the dearest level of a 3-D U-Net (Cicek et al. 2016,
10.1007/978-3-319-46723-8_49) eight times cheaper, which is what lets two CPU cores train it.
A small per-block MLP gives the eight voxels of a block back their own logits.

Classes carry no side: one more logit says whether a voxel lies in the left hemisphere. Mirrored
structures share their features, so each is learned from twice the examples.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name used by torch's own documentation)


@dataclass(frozen=True)
class SubvoxelUNetConfig:
    """Shape of the network.

    Attributes:
        classes: Number of classes without sides, background included.
        widths: Channels of each level, finest (block grid) first.
        head: Hidden channels of the per-block MLP.
        block: Voxels along one edge of a block.
        inputs: Channels of the image.
        depth: Convolutions of each level, on the way down and on the way up.
        sides: Whether one more logit tells left from right.
    """

    classes: int
    widths: tuple[int, ...] = (32, 64, 96, 128)
    head: int = 96
    block: int = 2
    inputs: int = 1
    depth: int = 1
    sides: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain dict for ``config.json``."""
        return asdict(self) | {"widths": list(self.widths)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SubvoxelUNetConfig:
        """Rebuild from ``config.json``; unknown keys are an error of the caller."""
        return cls(**(data | {"widths": tuple(data["widths"])}))


def fold_blocks(x: Tensor, block: int) -> Tensor:
    """(B, C, I, J, K) to (B, C*block^3, I/block, J/block, K/block)."""
    b, c, i, j, k = x.shape
    s = block
    x = x.reshape(b, c, i // s, s, j // s, s, k // s, s)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * s**3, i // s, j // s, k // s)


def unfold_blocks(x: Tensor, block: int) -> Tensor:
    """Inverse of :func:`fold_blocks`."""
    b, c, i, j, k = x.shape
    s = block
    x = x.reshape(b, c // s**3, s, s, s, i, j, k).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(b, c // s**3, i * s, j * s, k * s)


class InstanceNorm(nn.Module):
    """Instance normalisation (Ulyanov et al. 2016, arXiv 1607.08022) that keeps the memory layout.

    ``torch.nn.InstanceNorm3d`` hands back a tensor in another layout, and every following
    convolution pays for turning it round: a sixth of the training time on a CPU.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, I, J, K) to the same shape."""
        if len(x) == 1:  # batch statistics of one image are its instance statistics
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True)
        return F.instance_norm(x, weight=self.weight, bias=self.bias)


class _ConvNorm(nn.Sequential):
    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(inside, outside, 3, stride=stride, padding=1, bias=False),
            InstanceNorm(outside),
            nn.LeakyReLU(0.01, inplace=True),
        )


def _level(width: int, depth: int) -> nn.Sequential:
    """``depth`` convolutions; one alone keeps the names that weights of depth 1 have."""
    if depth == 1:
        return _ConvNorm(width, width)
    return nn.Sequential(*(_ConvNorm(width, width) for _ in range(depth)))


class SubvoxelUNet(nn.Module):
    """See the module docstring.

    Shapes: image (B, inputs, I, J, K) float32 with I, J, K multiples of :attr:`multiple`;
    output (B, outputs, I, J, K) logits; with ``sides`` the last channel is "left hemisphere".
    """

    def __init__(self, config: SubvoxelUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        cells = config.block**3
        raw = config.inputs * cells
        self.stem = _ConvNorm(raw, widths[0])
        self.encode = nn.ModuleList([_level(widths[0], config.depth)])
        self.down = nn.ModuleList()
        for upper, lower in itertools.pairwise(widths):
            self.down.append(_ConvNorm(upper, lower, stride=2))
            self.encode.append(_level(lower, config.depth))
        pairs = list(itertools.pairwise(widths))[::-1]
        self.lift = nn.ModuleList(nn.Conv3d(lower, width, 1) for width, lower in pairs)
        self.decode = nn.ModuleList(_level(width, config.depth) for width, _ in pairs)
        self.head = nn.Sequential(
            nn.Conv3d(widths[0] + raw, config.head, 1),
            nn.LeakyReLU(0.01, inplace=True),
            nn.Conv3d(config.head, self.outputs * cells, 1),
        )

    @property
    def outputs(self) -> int:
        """Logits of a voxel."""
        return self.config.classes + int(self.config.sides)

    @property
    def multiple(self) -> int:
        """Every spatial size must be a multiple of this."""
        return self.config.block << (len(self.config.widths) - 1)

    def features(self, image: Tensor) -> Tensor:
        """Block features with the raw block beside them.

        Args:
            image: (B, inputs, I, J, K).

        Returns:
            (B, widths[0] + inputs * block^3, I/block, J/block, K/block).
        """
        cells, skips = self.encoded(image)
        return torch.cat([self.decoded(skips), cells], dim=1)

    def encoded(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Raw blocks, and the features of every level, finest first."""
        cells = fold_blocks(image, self.config.block)
        x = self.stem(cells)
        skips = []
        for level, encode in enumerate(self.encode):
            if level:
                x = self.down[level - 1](x)
            x = encode(x)
            skips.append(x)
        return cells, skips

    def decoded(self, skips: list[Tensor]) -> Tensor:
        """(B, widths[0], ...) features of the block grid from those of all levels."""
        x = skips[-1]
        for lift, decode, skip in zip(self.lift, self.decode, skips[-2::-1], strict=True):
            size = [int(n) for n in skip.shape[2:]]
            x = decode(skip + F.interpolate(lift(x), size=size, mode="trilinear"))
        return x

    def forward(self, image: Tensor) -> Tensor:
        """Logits of every voxel; see the class docstring."""
        logits: Tensor = self.head(self.features(image))
        return unfold_blocks(logits, self.config.block)
