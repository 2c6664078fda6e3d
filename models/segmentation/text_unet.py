"""A segmentation network that a text steers.

The image goes through a trained :class:`SubvoxelUNet` (the trunk), the text through a trained
:class:`TextEncoder`; the weights of both stay as they are.
Its deepest features meet the words in a fusion (``models/fusion``); a light decoder brings them
back up beside the trunk's own features, and each voxel is compared with the text: the similarity
of voxel and text (Qian et al. 2025, READ, arXiv 2412.17741) plus a correction of the voxel's own
(as the correcting head of CRISP-SAM2, arXiv 2506.23121) is the logit of "the text asks for this".
The vector of a voxel is the sum of what its features say and of vectors of the classes that the
trunk holds likely there, on the likely side.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mmtool.models.fusion.fused import Fused
from mmtool.models.segmentation.subvoxel_unet import (
    InstanceNorm,
    SubvoxelUNet,
    SubvoxelUNetConfig,
    unfold_blocks,
)
from mmtool.models.text.encoder import EncodedText, TextEncoder, TextEncoderConfig, Tokens

_CERTAIN = 8.0  # logit between a structure that is asked for and one that is not, at the start
FUSIONS = ("late", "sequential", "progressive")


@dataclass(frozen=True)
class TextUNetConfig:
    """Shape of the network.

    Attributes:
        trunk: Of the image network.
        text: Of the text encoder.
        fusion: One of ``FUSIONS``.
        width: Channels of the text decoder.
        similarity: Channels in which voxel and text are compared.
        head: Hidden channels for each block.
    """

    trunk: SubvoxelUNetConfig
    text: TextEncoderConfig
    fusion: str = "progressive"
    width: int = 32
    similarity: int = 48
    head: int = 96

    def to_json(self) -> dict[str, Any]:
        """Plain dict for ``config.json``."""
        return asdict(self) | {"trunk": self.trunk.to_json(), "text": self.text.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TextUNetConfig:
        """Rebuild from ``config.json``."""
        trunk = SubvoxelUNetConfig.from_json(data["trunk"])
        text = TextEncoderConfig.from_json(data["text"])
        return cls(**(data | {"trunk": trunk, "text": text}))


def build_fusion(name: str, image: int, text: int, dense: int) -> nn.Module:
    """The fusion of a file of ``models/fusion``.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in FUSIONS:
        raise ValueError(f"no fusion is named {name!r}; there is {', '.join(FUSIONS)}")
    module = importlib.import_module(f"mmtool.models.fusion.{name}")
    fusion: nn.Module = getattr(module, name.capitalize())(image, text, dense)
    return fusion


@dataclass(frozen=True)
class Seen:
    """What the trunk makes of an image: its features are the same for every text.

    Attributes:
        skips: Features of every level, finest first.
        fine: (B, widths[0] + raw, ...) features of the block grid with the raw blocks.
        logits: (B, outputs * block^3, ...) class logits of the block grid.
    """

    skips: list[Tensor]
    fine: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Steered:
    """An image under P texts.

    Attributes:
        features: (P, width, ...) on the grid of the second level.
        text: (P, text) vectors of the texts, from the fusion.
        target: (P, similarity) vectors that voxels are compared with.
    """

    features: Tensor
    text: Tensor
    target: Tensor


@dataclass(frozen=True)
class AskedBlocks:
    """What blocks of voxels are to P texts.

    Attributes:
        logits: (P, N, cells) of "the text asks for this voxel".
        similarity: (P, N, cells) the part of it that comes from comparing voxel and text.
    """

    logits: Tensor
    similarity: Tensor


class TextUNet(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: TextUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = SubvoxelUNet(config.trunk)
        for parameter in self.trunk.parameters():
            parameter.requires_grad_(False)
        self.text = TextEncoder(config.text)
        for name, parameter in self.text.named_parameters():
            # What has learned to read would soon forget it for the few texts of a scan.
            parameter.requires_grad_(name.startswith("pool."))
        widths, width = config.trunk.widths, config.width
        self.fusion = build_fusion(config.fusion, widths[-1], config.text.width, width)
        self.deepest = nn.Conv3d(widths[-1], width, 1)
        # The finest level takes no convolution: its blocks are read one by one by the head.
        self.lift = nn.ModuleList(nn.Conv3d(w, width, 1) for w in widths[-2:0:-1])
        self.mix = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(width, width, 3, padding=1, bias=False),
                InstanceNorm(width),
                nn.LeakyReLU(0.01),
            )
            for _ in widths[-2:0:-1]
        )
        cells = config.trunk.block**3
        fine = widths[0] + config.trunk.inputs * cells
        self.head = nn.Sequential(
            nn.Linear(fine + width + config.text.width, config.head),
            nn.LeakyReLU(0.01),
            nn.Linear(config.head, config.head),
            nn.LeakyReLU(0.01),
        )
        self.correct = nn.Linear(config.head, cells)
        self.voxel = nn.Linear(config.head, cells * config.similarity)
        reading = config.text.width + config.text.structures
        self.target = nn.Linear(reading, config.similarity)
        self.classes = nn.Linear(2 * (config.trunk.classes - 1), config.similarity)

    @property
    def multiple(self) -> int:
        """Every spatial size must be a multiple of this."""
        return self.trunk.multiple

    def see(self, image: Tensor) -> Seen:
        """The part that no text changes."""
        cells, skips = self.trunk.encoded(image)
        fine = torch.cat([self.trunk.decoded(skips), cells], 1)
        return Seen(skips, fine, self.trunk.head(fine))

    def steer(self, seen: Seen, text: EncodedText) -> Steered:
        """Text-aware features and the vectors that voxels are compared with.

        Args:
            seen: Of one image (batch of 1).
            text: Of P texts.
        """
        prompts = len(text.words)
        deep = seen.skips[-1].expand(prompts, *seen.skips[-1].shape[1:])
        fused: Fused = self.fusion(deep, text.words, text.mask, text.pooled)
        x = self.deepest(fused.image)
        if fused.dense is not None:
            x = x + fused.dense
        for lift, mix, skip in zip(self.lift, self.mix, seen.skips[-2:0:-1], strict=True):
            size = [int(n) for n in skip.shape[2:]]
            x = mix(lift(skip) + F.interpolate(x, size=size, mode="trilinear"))
        target = self.target(torch.cat([fused.text, text.asked.tanh()], -1))
        return Steered(x, fused.text, target)

    def asked(self, seen: Seen, steered: Steered, chosen: Tensor) -> AskedBlocks:
        """Logits of some blocks.

        Args:
            seen: Of one image.
            steered: The image under P texts.
            chosen: (N,) flat indices on the grid of blocks.
        """
        size = [int(n) for n in seen.fine.shape[2:]]
        up = F.interpolate(steered.features.float(), size=size, mode="trilinear")
        picked = up.flatten(2)[..., chosen].transpose(1, 2)  # (P, N, width)
        fine = seen.fine[0].flatten(1)[:, chosen].T
        prompts, blocks = picked.shape[:2]
        text = steered.text[:, None].expand(-1, blocks, -1)
        hidden = self.head(torch.cat([fine.expand(prompts, -1, -1), picked, text], -1))
        similarity = self._similarity(hidden, self._likely(seen, chosen), steered.target)
        return AskedBlocks(self.correct(hidden) + similarity, similarity)

    def _similarity(self, hidden: Tensor, likely: Tensor, target: Tensor) -> Tensor:
        """(P, N, cells) of voxels and texts.

        The vector of a voxel is ``voxel(hidden) + classes(likely)``. It is never written down: all
        that is linear is multiplied by the text first, which leaves one number of a voxel.
        """
        weight = self.voxel.weight.view(-1, self.config.similarity, hidden.shape[-1])
        by_hidden = torch.einsum("csh,ps->phc", weight, target)
        offset = target @ (self.voxel.bias.view(-1, self.config.similarity) + self.classes.bias).T
        by_class = target @ self.classes.weight
        return hidden @ by_hidden + offset[:, None] + torch.einsum("nck,pk->pnc", likely, by_class)

    def _likely(self, seen: Seen, chosen: Tensor) -> Tensor:
        """(N, cells, 2 * (classes - 1)) probability of each class on the left and on the right."""
        classes, cells = self.config.trunk.classes, self.config.trunk.block**3
        logits = seen.logits[0].flatten(1)[:, chosen].float().reshape(classes + 1, cells, -1)
        likely = logits[:-1].softmax(0)[1:]
        left = logits[-1].sigmoid()
        return torch.cat([likely * left, likely * (1 - left)]).permute(2, 1, 0)

    @torch.no_grad()
    def start_as_selection(self, places: Sequence[Sequence[int]]) -> None:
        """Begin with what is known: a voxel is asked for if its likely structure is.

        What is learned then is where that is not enough.

        Args:
            places: For each structure that the text encoder knows, its places among the classes
                on the left (0 ...) and on the right (classes - 1 ...), background left out.
        """
        for layer in (self.voxel, self.correct, self.target, self.classes):
            layer.weight.mul_(0.1)
            layer.bias.zero_()
        self.correct.bias.fill_(-_CERTAIN / 2)
        for structure, ways in enumerate(places):
            self.classes.weight[structure] = 0
            self.classes.weight[structure, list(ways)] = 1
            self.target.weight[structure] = 0
            self.target.weight[structure, self.config.text.width + structure] = _CERTAIN

    def forward(self, image: Tensor, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Class logits and the logit of being asked for.

        Args:
            image: (1, inputs, I, J, K).
            tokens: P texts; see :func:`mmtool.models.text.encoder.tokenise`.

        Returns:
            (outputs, I, J, K) logits of the trunk, and (P, I, J, K).
        """
        seen = self.see(image)
        steered = self.steer(seen, self.text(tokens))
        size = seen.fine.shape[2:]
        every = torch.arange(size.numel(), device=image.device)
        logits = self.asked(seen, steered, every).logits
        blocks = logits.transpose(1, 2).reshape(*logits.shape[::2], *size)
        block = self.config.trunk.block
        return unfold_blocks(seen.logits, block)[0], unfold_blocks(blocks, block)[:, 0]
