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
from numpy.typing import NDArray
from torch import Tensor

from mmtool.anatomy import LEFT, RIGHT, STRUCTURE
from mmtool.errors import ModelError
from mmtool.models.segmentation.intensity import scale_intensity
from mmtool.models.segmentation.subvoxel_unet import SubvoxelUNet, SubvoxelUNetConfig
from mmtool.pipelines.inference import BrainSegmenter
from mmtool.pipelines.segmenter import Segmented
from mmtool.pipelines.sliding import Slid, sliding_bytes, sliding_labels
from mmtool.pipelines.voxel_scores import Confidence
from mmtool.pipelines.world_grid import world_box
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
            r, a, s = (int(n) for n in config["window"])
            self.window = (r, a, s)
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
        slid = self._slide(data, affine, self.plain, uncertainty)
        sums = slid.confidence
        return _segmented(slid.labels, sums, slid.uncertainty, self.plain, ())

    def memory_bytes(self, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> int:
        """Peak beside the data: that of the windows, or of finding the place in a head."""
        own = sliding_bytes(
            shape,
            affine,
            spacing=self.spacing,
            window=self.window,
            classes=len(self.plain) + 1,
            net_bytes=math.prod(self.window) * 4 * 2 * sum(self.net.config.widths),
        )
        found = 0 if self.locator is None else self.locator.memory_bytes(shape, affine)
        return max(own, found)

    def _in_head(
        self,
        data: NDArray[Any],
        affine: NDArray[np.float64],
        locator: BrainSegmenter,
        uncertainty: bool,
    ) -> Segmented:
        places = locator(data, affine).labels
        labels = np.zeros(data.shape, np.uint8, "F")
        doubt = np.zeros(data.shape, np.float16, "F") if uncertainty else None
        sums = Confidence()
        count = len(self.plain)
        margin = np.asarray(self.place["margin_mm"]) / np.linalg.norm(affine[:3, :3], axis=0)
        for number, index in enumerate(self.place["labels"]):
            spots = np.argwhere(places == index)
            if not len(spots):
                continue
            low = np.floor(spots.min(0) - margin).astype(int).clip(0)
            high = np.ceil(spots.max(0) + margin + 1).astype(int)
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            moved = affine.copy()
            moved[:3, 3] = affine[:3, :3] @ low + affine[:3, 3]
            own = self.sided[number * count : (number + 1) * count]
            slid = self._slide(data[box], moved, own, uncertainty)
            here = slid.labels > 0
            labels[box][here] = slid.labels[here]
            sums.score += slid.confidence.score
            sums.count += slid.confidence.count
            if doubt is not None and slid.uncertainty is not None:
                np.maximum(doubt[box], slid.uncertainty, out=doubt[box])
        note = f"the place was found by model '{self.place['model']}'"
        return _segmented(labels, sums, doubt, self.sided, (note,))

    def _slide(
        self,
        data: NDArray[Any],
        affine: NDArray[np.float64],
        labels: tuple[Label, ...],
        uncertainty: bool,
    ) -> Slid:
        return sliding_labels(
            self._probabilities,
            data,
            affine,
            spacing=self.spacing,
            window=self.window,
            classes=[0, *(label.index for label in labels)],
            device=self.device,
            normalise=scale_intensity,
            activate=lambda maps: maps,
            uncertainty=uncertainty,
        )

    def _probabilities(self, windows: Tensor) -> Tensor:
        """(B, 1, R, A, S) to (B, classes, R, A, S): the mean of two or four passes."""
        # The network sees blocks of 2 x 2 x 2 voxels: moved by one, every voxel has another place
        # in its block.
        moved = self._both(windows.roll((1, 1, 1), (2, 3, 4))).roll((-1, -1, -1), (2, 3, 4))
        return (self._both(windows) + moved) / 2

    def _both(self, windows: Tensor) -> Tensor:
        maps = self._network(windows)
        return (maps + self._network(windows.flip(2)).flip(2)) / 2 if self.mirrored else maps

    @torch.inference_mode()
    def _network(self, windows: Tensor) -> Tensor:
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            logits: Tensor = self.net(windows.contiguous(memory_format=torch.channels_last_3d))
        return logits.float().softmax(1)


def _segmented(
    labels: NDArray[np.uint8],
    sums: Confidence,
    doubt: NDArray[np.float16] | None,
    table: tuple[Label, ...],
    notes: tuple[str, ...],
) -> Segmented:
    confidence = sums.means()
    certainty = sums.over(list(confidence))
    return Segmented(
        labels, bool(confidence), confidence, certainty, None, doubt, table=table, notes=notes
    )


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
