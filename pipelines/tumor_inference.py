"""Run ``tumor``: two channels of one head without its skull, and a report if there is one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mmtool.anatomy import ALTERED
from mmtool.errors import ModelError
from mmtool.models.segmentation.guided_unet import GuidedUNet, GuidedUNetConfig, place_in
from mmtool.models.segmentation.intensity import standardise
from mmtool.models.segmentation.subvoxel_unet import SubvoxelUNet, SubvoxelUNetConfig
from mmtool.models.text.encoder import tokenise
from mmtool.pipelines.air import outer_air
from mmtool.pipelines.file_grid import from_grid
from mmtool.pipelines.segmenter import Segmented
from mmtool.pipelines.voxel_scores import Confidence, best_class, relative_entropy
from mmtool.pipelines.world_grid import WorldGrid, to_grid
from mmtool.types import Code, Label

_LEAST_BRAIN_ML = 100.0
_PASS_BYTES = 260  # a voxel of the working grid, of one pass
_SHIFT, _AXES = (1, 1, 1), (-3, -2, -1)


@dataclass(frozen=True)
class BrainBox:
    """A head without its skull, cut to its brain.

    Attributes:
        grid: Of the tensors.
        image: (C, R, A, S) standardised channels.
        brain: (R, A, S) bool.
        air: (I, J, K) bool on the grid of the file: what lies around the head.
    """

    grid: WorldGrid
    image: Tensor
    brain: Tensor
    air: NDArray[np.bool_]


def brain_box(
    data: NDArray[Any], affine: NDArray[np.float64], spacing: float, multiple: int
) -> BrainBox | None:
    """Find the brain in a case whose skull was stripped; None if there is none.

    Args:
        data: (C, I, J, K) intensities, finite; around the brain each channel is constant.
        affine: (4, 4) voxel to RAS+ mm.
        spacing: Of the grid, mm.
        multiple: Of its sizes.
    """
    grid = WorldGrid.covering(data.shape[1:], affine, spacing)
    around = [outer_air(channel) for channel in data]
    surrounds = [value for value in around if value is not None]
    if len(surrounds) < len(data):
        return None  # nothing constant around it: the skull is still there
    pairs = list(zip(data, surrounds, strict=True))
    head = ndimage.binary_fill_holes(np.any([x != value for x, value in pairs], axis=0))
    cpu = torch.device("cpu")
    tissue = to_grid(head.astype(np.float32), affine, grid, cpu)
    brain = _brain((tissue > 0.5).numpy())
    # At the rim only what belongs to the head is averaged, whatever number stands for air.
    channels = [
        (to_grid(x, affine, grid, cpu, outside=value) - value) / tissue.clamp_min(0.5) + value
        for x, value in pairs
    ]
    if brain.sum() * spacing**3 / 1000 < _LEAST_BRAIN_ML:
        return None
    spots = np.argwhere(brain)
    low, high = spots.min(0), spots.max(0) + 1
    size = -(-(high - low) // multiple) * multiple
    start = low - (size - (high - low)) // 2
    r, a, s = (float(v) for v in grid.centre_of(start.astype(float)))
    i, j, k = (int(n) for n in size)
    inside = _cut(torch.from_numpy(brain).float(), start, size) > 0
    parts = torch.stack([_cut(image, start, size) for image in channels])
    cut = WorldGrid((r, a, s), spacing, (i, j, k))
    return BrainBox(cut, standardise(parts, inside), inside, ~head)


def load_tumor(
    config: dict[str, Any], state: dict[str, Tensor], device: torch.device
) -> TumorSegmenter:
    """The segmenter of a model: one that reads, or a plain one."""
    guided = config.get("network") == "guided_unet"
    return (GuidedTumorSegmenter if guided else TumorSegmenter)(config, state, device)


class TumorSegmenter:
    """A network of several channels on the box of a brain.

    Args:
        config: Content of ``config.json``.
        state: Tensors of ``model.safetensors``.
        device: Where to work.

    Raises:
        ModelError: Both do not fit each other.
    """

    def __init__(
        self, config: dict[str, Any], state: dict[str, Tensor], device: torch.device
    ) -> None:
        try:
            self.spacing = float(config["spacing_mm"])
            self.channels = tuple(str(name) for name in config["channels"])
            self.labels = tuple(_label(row) for row in config["labels"])
            self.modalities = tuple(str(name) for name in config["modalities"])
            net = self._network(config["arguments"])
            net.load_state_dict(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                "the model's config.json and weights do not describe a network of tumours",
                "run 'mmtool models verify'",
            ) from error
        net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.net: SubvoxelUNet | GuidedUNet = net.to(device).eval()
        self.device = device
        self.whole: Label | None = None
        self.purpose = f"{' and '.join(self.channels)} of one head whose skull was stripped"

    def _network(self, arguments: dict[str, Any]) -> SubvoxelUNet | GuidedUNet:
        return SubvoxelUNet(SubvoxelUNetConfig.from_json(arguments))

    def __call__(
        self, data: NDArray[Any], affine: NDArray[np.float64], *, uncertainty: bool = False
    ) -> Segmented:
        """Segment a case; arguments and result as in `Segmenter`."""
        return self.segment(data, affine, "", uncertainty)

    def segment(
        self, data: NDArray[Any], affine: NDArray[np.float64], text: str, uncertainty: bool
    ) -> Segmented:
        """The same under a report; nothing if no brain without skull is there."""
        shape = (data.shape[1], data.shape[2], data.shape[3])
        labels = np.zeros(shape, np.uint8, "F")
        doubt = np.zeros(shape, np.float16, "F") if uncertainty else None
        boxed = brain_box(data, affine, self.spacing, self.net.multiple)
        if boxed is None:
            return Segmented(labels, False, {}, 0.0)
        image, brain = boxed.image.to(self.device), boxed.brain.to(self.device)
        maps = self._predict(image, brain, text) * brain
        table = torch.tensor([0, *(label.index for label in self.labels)], dtype=torch.uint8)
        scores = Confidence()
        for piece in from_grid(maps, boxed.grid, shape, affine):
            chosen, best = best_class(piece.values)
            chosen = table[chosen.int().cpu()].masked_fill(best.cpu() <= 0, 0)
            piece.put(labels, affine, chosen)
            if doubt is not None:
                piece.put(doubt, affine, relative_entropy(piece.values))
            scores.add(*piece.own(chosen, best.cpu()))
        labels[boxed.air] = 0
        confidence = scores.means()
        certainty = scores.over(list(confidence)) if confidence else 1.0
        return Segmented(labels, True, confidence, certainty, None, doubt)

    def memory_bytes(self, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> int:
        """Peak beside the data: the channels on the working grid, and one pass."""
        multiple = self.net.multiple
        voxels = math.prod(WorldGrid.covering(shape, affine, self.spacing, multiple).size)
        planes = 4 * (len(self.labels) + 1) * 6 * max(math.prod(shape) // n for n in shape)
        return voxels * (_PASS_BYTES + 8 * len(self.channels)) + planes + 4 * math.prod(shape)

    def _predict(self, image: Tensor, brain: Tensor, text: str) -> Tensor:
        """(classes, R, A, S) probabilities: the mean of two passes."""
        # The network sees blocks of 2 x 2 x 2 voxels: moved by one, every voxel has another place
        # in its block.
        plain = self._pass(image, brain, text)
        moved = self._pass(image.roll(_SHIFT, _AXES), brain.roll(_SHIFT, _AXES), text)
        return (plain + moved.roll(tuple(-n for n in _SHIFT), _AXES)) / 2

    @torch.inference_mode()
    def _pass(self, image: Tensor, brain: Tensor, text: str) -> Tensor:
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            batch = image[None].contiguous(memory_format=torch.channels_last_3d)
            return self._logits(batch, brain, text)[0].float().softmax(0)

    def _logits(self, image: Tensor, brain: Tensor, text: str) -> Tensor:
        del brain, text
        logits: Tensor = self.net(image)
        return logits


class GuidedTumorSegmenter(TumorSegmenter):
    """The same, steered by a report.

    Attributes:
        reads_text: True.
    """

    reads_text = True

    def _network(self, arguments: dict[str, Any]) -> GuidedUNet:
        return GuidedUNet(GuidedUNetConfig.from_json(arguments))

    def __call__(
        self,
        data: NDArray[Any],
        affine: NDArray[np.float64],
        *,
        uncertainty: bool = False,
        text: str | None = None,
    ) -> Segmented:
        """Segment a case under a report; without one if ``text`` is None."""
        return self.segment(data, affine, text or "", uncertainty)

    def _logits(self, image: Tensor, brain: Tensor, text: str) -> Tensor:
        if not isinstance(self.net, GuidedUNet):
            raise TypeError("a network that reads was expected")
        tokens = tokenise([text], self.net.config.text).to(self.device)
        place = place_in(brain, self.net.multiple)
        logits: Tensor = self.net(image, place, tokens)
        return logits


def _brain(tissue: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Largest connected piece, its holes filled."""
    pieces, number = ndimage.label(tissue)
    if not number:
        return tissue
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(pieces == sizes.argmax())
    return filled


def _cut(image: Tensor, start: NDArray[np.int64], size: NDArray[np.int64]) -> Tensor:
    """A box of (R, A, S); zero where it reaches beyond."""
    out = image.new_zeros(tuple(int(n) for n in size))
    there, here = [], []
    for low, many, length in zip(start.tolist(), size.tolist(), image.shape, strict=True):
        first, last = max(0, low), min(length, low + many)
        there.append(slice(first, last))
        here.append(slice(first - low, last - low))
    out[tuple(here)] = image[tuple(there)]
    return out


def _label(row: dict[str, Any]) -> Label:
    r, g, b = (int(c) for c in row["color"])
    code = Code(str(row["code"]), "SCT", str(row["meaning"]))
    return Label(int(row["index"]), str(row["name"]), code, None, ALTERED, (r, g, b))
