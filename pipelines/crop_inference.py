"""Run a model that was trained on crops: on a crop as it is, or on a head where it finds the place.

Whatever is larger than the network's window is seen through overlapping windows of that size. In a
whole head (``locate`` in the model's config) another model finds the two structures first; each is
cropped with the margin that the training crops have, segmented, and put back.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mmtool.anatomy import LEFT, RIGHT, STRUCTURE
from mmtool.errors import ModelError
from mmtool.models.segmentation.intensity import scale_intensity
from mmtool.models.segmentation.subvoxel_unet import SubvoxelUNet, SubvoxelUNetConfig
from mmtool.pipelines.inference import BrainSegmenter, relative_entropy
from mmtool.pipelines.segmenter import Segmented
from mmtool.pipelines.world_grid import WorldGrid, from_grid, to_grid, world_box
from mmtool.types import Code, Label

_HEAD_MM = 85.0  # a volume that reaches farther along every axis holds more than a crop
_SIDES = ((LEFT, "left"), (RIGHT, "right"))


class CropSegmenter:
    """A loaded network with its labels.

    Args:
        config: Content of ``config.json``.
        state: Tensors of ``model.safetensors``.
        device: Where to work.
        locator: Model that finds the place in a whole head, if the config names one.

    Raises:
        ModelError: Config and weights do not fit.
    """

    def __init__(
        self,
        config: dict[str, Any],
        state: dict[str, Tensor],
        device: torch.device,
        locator: BrainSegmenter | None = None,
    ) -> None:
        try:
            net = SubvoxelUNet(SubvoxelUNetConfig.from_json(config["arguments"]))
            net.load_state_dict(state)
            self.spacing = float(config["spacing_mm"])
            self.window = tuple(int(n) for n in config["window"])
            self.mirrored = bool(config["mirrored"])
            self.plain = tuple(_label(row) for row in config["labels"])
            self.modalities = tuple(str(m) for m in config["modalities"])
            self.purpose = str(config["purpose"])
            self.place: dict[str, Any] = config["locate"] or {}
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                "the model's config.json and weights do not describe a network for crops",
                "run 'mmtool models verify'",
            ) from error
        net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.net = net.to(device).eval()
        self.device = device
        self.locator = locator if self.place else None
        self.sided = _sided(self.plain) if self.locator else ()
        self.labels = (*self.plain, *self.sided)
        self.whole: Label | None = None
        self.channels: tuple[str, ...] = self.modalities[:1]

    def __call__(
        self, data: NDArray[Any], affine: NDArray[np.float64], *, uncertainty: bool = False
    ) -> Segmented:
        """Segment a crop, or find the crops in a head.

        Args:
            data: (I, J, K) intensities in any unit, finite.
            affine: (4, 4) voxel to RAS+ mm.
            uncertainty: Give the entropy of the classes too.
        """
        low, high = world_box(data.shape, affine)
        if self.locator is not None and bool((high - low > _HEAD_MM).all()):
            return self._in_head(data, affine, self.locator, uncertainty)
        grid = WorldGrid.covering(data.shape, affine, self.spacing, 1)
        out = _Output(data, uncertainty)
        self._segment(out, data, affine, grid, 0)
        return replace(out.result(), table=self.plain)

    def memory_bytes(self, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> int:
        """Peak beside the data: the working grid with its maps, and the passes of a window."""
        low, high = world_box(shape, affine)
        grid = float(np.prod(np.ceil((high - low) / self.spacing)))
        classes = len(self.plain) + 1
        passes = math.prod(self.window) * 4 * (8 * classes + 16 * sum(self.net.config.widths))
        own = int(grid * 4 * (4 * classes + 4)) + passes + 8 * math.prod(shape)
        found = 0 if self.locator is None else self.locator.memory_bytes(shape, affine)
        return max(own, found)

    def _in_head(
        self,
        data: NDArray[Any],
        affine: NDArray[np.float64],
        locator: BrainSegmenter,
        uncertainty: bool,
    ) -> Segmented:
        found = locator(data, affine)
        out = _Output(data, uncertainty)
        for number, index in enumerate(self.place["labels"]):
            spots = np.argwhere(found.labels == index)
            if not len(spots):
                continue
            world = spots @ affine[:3, :3].T + affine[:3, 3]
            margin = np.asarray(self.place["margin_mm"])
            low, high = world.min(0) - margin, world.max(0) + margin
            counts = np.ceil((high - low) / self.spacing).astype(int)
            size = (int(counts[0]), int(counts[1]), int(counts[2]))
            face, _ = world_box(data.shape, affine)
            grid = WorldGrid.around((low + high) / 2, size, self.spacing).aligned(face)
            self._segment(out, data, affine, grid, (number + 1) * len(self.plain))
        note = f"the place was found by model '{self.place['model']}'"
        return replace(out.result(), table=self.sided, notes=(note,))

    def _segment(
        self,
        out: _Output,
        data: NDArray[Any],
        affine: NDArray[np.float64],
        grid: WorldGrid,
        offset: int,
    ) -> None:
        """Segment what lies in ``grid`` and write labels, moved up by ``offset`` in the table."""
        indices = [0, *(label.index for label in self.labels[offset : offset + len(self.plain)])]
        table = np.array(indices, np.uint8)
        image = to_grid(data, affine, grid, self.device)
        maps = self._predict(scale_intensity(image))
        corner = np.asarray(grid.origin) - grid.spacing / 2
        box = (corner, corner + grid.spacing * np.asarray(grid.size))
        shape = (data.shape[0], data.shape[1], data.shape[2])
        for region, values in from_grid(maps, grid, shape, affine, box):
            out.add(region, values, table)

    def _predict(self, image: Tensor) -> Tensor:
        """(R, A, S) scaled intensities to (classes, R, A, S) probabilities."""
        maps = self._pass(image)
        if self.mirrored:
            maps = maps + self._pass(image.flip(0)).flip(1)
        # The network sees blocks of 2 x 2 x 2 voxels: moved by one, every voxel has another place
        # in its block.
        padded = F.pad(image[None, None], (1, 1, 1, 1, 1, 1), mode="replicate")[0, 0]
        moved = self._pass(padded)
        if self.mirrored:
            moved = moved + self._pass(padded.flip(0)).flip(1)
        return (maps + moved[:, 1:-1, 1:-1, 1:-1]) / (4 if self.mirrored else 2)

    @torch.inference_mode()
    def _pass(self, image: Tensor) -> Tensor:
        window = self.window
        if all(n <= w for n, w in zip(image.shape, window, strict=True)):
            before = [(w - n) // 2 for n, w in zip(image.shape, window, strict=True)]
            pads = [
                p
                for n, w, b in reversed(list(zip(image.shape, window, before, strict=True)))
                for p in (b, w - n - b)
            ]
            cut = tuple(slice(b, b + n) for n, b in zip(image.shape, before, strict=True))
            maps = self._network(F.pad(image, pads)[None, None])[0]
            return maps[(slice(None), *cut)]
        maps = sliding_window_inference(
            image[None, None], window, 2, self._network, overlap=0.5, mode="gaussian"
        )
        return torch.as_tensor(maps)[0]

    def _network(self, windows: Tensor) -> Tensor:
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            logits: Tensor = self.net(windows.contiguous(memory_format=torch.channels_last_3d))
        return logits.float().softmax(1)


class _Output:
    """Labels, probabilities and doubt on the grid of the file, as they come."""

    def __init__(self, data: NDArray[Any], uncertainty: bool) -> None:
        self.labels = np.zeros(data.shape, np.uint8)
        self.doubt = np.zeros(data.shape, np.float16) if uncertainty else None
        self.score, self.count = np.zeros(256), np.zeros(256)

    def add(
        self, region: tuple[slice, slice, slice], values: Tensor, table: NDArray[np.uint8]
    ) -> None:
        """(C, i, j, k) probabilities of a region; air beyond the grid is all zero."""
        best, chosen = values.max(0)
        labels = table[chosen.cpu().numpy()]
        labels[best.cpu().numpy() <= 0] = 0
        here = labels > 0
        self.labels[region][here] = labels[here]
        self.score += np.bincount(labels.ravel(), best.cpu().numpy().ravel(), 256)
        self.count += np.bincount(labels.ravel(), minlength=256)
        if self.doubt is not None:
            doubt = relative_entropy(values).cpu().numpy()
            self.doubt[region] = np.maximum(self.doubt[region], doubt)

    def result(self) -> Segmented:
        """What was found in all."""
        given = [int(i) for i in np.flatnonzero(self.count) if i]
        confidence = {i: float(self.score[i] / self.count[i]) for i in given}
        certainty = float(self.score[given].sum() / max(1.0, self.count[given].sum()))
        return Segmented(self.labels, bool(given), confidence, certainty, uncertainty=self.doubt)


def _label(row: dict[str, Any]) -> Label:
    r, g, b = (int(c) for c in row["color"])
    code = Code(str(row["code"]), "SCT", str(row["meaning"]))
    return Label(int(row["index"]), str(row["name"]), code, None, STRUCTURE, (r, g, b))


def _sided(plain: tuple[Label, ...]) -> tuple[Label, ...]:
    """Left labels, then right ones, with the indices that follow."""
    out = []
    index = max(label.index for label in plain)
    for side, word in _SIDES:
        for label in plain:
            index += 1
            shade = 1.0 if word == "left" else 0.72
            r, g, b = (int(c * shade) for c in label.color)
            name = f"{word} {label.name}"
            out.append(replace(label, index=index, name=name, laterality=side, color=(r, g, b)))
    return tuple(out)
