"""nnU-Net v2 model folders: ``plans.json``, ``dataset.json``, ``fold_*/checkpoint_final.pth``.

What is done to a scan is what nnU-Net does (Isensee et al. 2021, 10.1038/s41592-020-01008-z):
transposed, cropped to what is not zero, normalised, resampled; windows that overlap by half,
mirrored along the axes that the training allowed, folds averaged; logits brought back to the scan.
Sums are kept in float32, where nnU-Net keeps them in float16.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from nibabel.orientations import apply_orientation as turned
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray
from torch import Tensor

from mmtool.errors import ModelError
from mmtool.models.files import read_json_object
from mmtool.models.outside import weight_files
from mmtool.models.segmentation.nnunet_nets import UNetPlan, build_unet, read_plan
from mmtool.models.store import ModelFiles
from mmtool.models.tensors import load_checkpoint
from mmtool.pipelines.outside.decide import (
    AxisMap,
    Choose,
    choose_class,
    choose_regions,
    decide,
    decide_bytes,
    segmented,
)
from mmtool.pipelines.outside.labels import make_labels
from mmtool.pipelines.outside.nnunet_plans import Plans
from mmtool.pipelines.outside.nnunet_windows import ensemble_logits
from mmtool.pipelines.outside.pass_bytes import pass_bytes
from mmtool.pipelines.outside.resizing import resize, separate_axis
from mmtool.pipelines.segmenter import Segmented
from mmtool.types import Label

_LIBRARIES = 60_000_000  # bytes that libraries allocate when they are first used, and keep
_MODALITIES = {"CT": "CT", "MRI": "MR", "MR": "MR", "T1": "MR", "T2": "MR", "FLAIR": "MR"}


class NnunetSegmenter:
    """A model of nnU-Net v2.

    Args:
        files: The folder.
        device: Where to work.

    Raises:
        ModelError: The folder asks for something that mmtool has no counterpart for.
    """

    def __init__(self, files: ModelFiles, device: torch.device) -> None:
        dataset = read_json_object(files.folder / "dataset.json")
        self.device = device
        self.channels = dataset_channels(files)
        self.labels, self.choose, outputs = _classes(dataset)
        states: list[dict[str, Tensor]] = []
        said: dict[str, Any] = {}
        for name in weight_files(files.folder, files.format):
            content = load_checkpoint(files.folder / name, numbers=True)
            said = said or content
            states.append(_weights(content, name))
        arguments = said.get("init_args")
        chosen = str(arguments.get("configuration")) if isinstance(arguments, dict) else ""
        self.plans = Plans.of(files.folder / "plans.json", chosen, len(self.channels))
        plan: UNetPlan = read_plan(self.plans.configuration, len(self.channels), outputs)
        self.nets = tuple(build_unet(plan, state) for state in states)
        self.mirrored = _mirrored(said.get("inference_allowed_mirroring_axes"))
        kind = _MODALITIES.get(self.channels[0].upper())
        self.modalities: tuple[str, ...] = (kind,) if kind else ()
        self.whole: Label | None = None
        self.purpose = f"scans like those of {self.plans.dataset or 'its training set'}"

    def __call__(
        self, data: NDArray[Any], affine: NDArray[np.float64], *, uncertainty: bool = False
    ) -> Segmented:
        """Segment a volume; arguments and result as in `Segmenter`."""
        values = data if data.ndim == 4 else data[None]
        turn = None
        if self.plans.canonical:
            turn = io_orientation(affine)
            affine = affine @ inv_ornt_aff(turn, values.shape[1:])
            values = np.stack([turned(v, turn) for v in values])
        # nnU-Net's axes run the other way round: slices, rows, columns; then its plan's order.
        order = tuple(2 - axis for axis in self.plans.transpose)
        values = np.ascontiguousarray(values.transpose(0, *(a + 1 for a in order)), np.float32)
        mm = tuple(float(np.linalg.norm(affine[:3, a])) for a in order)
        chosen = self._segment(values, mm)
        maps = [np.ascontiguousarray(m.transpose(np.argsort(order))) for m in chosen]
        if turn is not None:
            back = ornt_transform(axcodes2ornt(("R", "A", "S")), turn)
            maps = [np.ascontiguousarray(turned(m, back)) for m in maps]
        labels, probability, doubt = maps
        return segmented(labels, probability, doubt if uncertainty else None)

    def memory_bytes(self, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> int:
        """Peak beside the data: float64 resampling, logits of two networks, choice of classes."""
        order = [2 - axis for axis in self.plans.transpose]
        size = [shape[axis] for axis in order]
        mm = np.linalg.norm(affine[:3, :3], axis=0)[order]
        target = [
            max(1, round(m / b * n)) for m, b, n in zip(mm, self.plans.spacing, size, strict=True)
        ]
        voxels, working = math.prod(shape), math.prod(target)
        padded = math.prod(max(n, p) for n, p in zip(target, self.plans.patch, strict=True))
        count, outputs = len(self.channels), len(self.labels) + 1
        window = pass_bytes(self.nets[0], (1, count, *self.plans.patch))
        held = 8 * count * voxels  # in the order of its axes, and cropped
        resampled = 0 if target == size else 24 * voxels + 8 * working
        logits = 4 * padded * (outputs * min(2, len(self.nets)) + 1)
        inner = 4 * working * outputs * (1 + (padded > working))
        work = window + 3 * 4 * outputs * math.prod(self.plans.patch)
        apart = 4 * count * (working + padded)
        steps = (
            resampled + 4 * count * working,
            apart + logits + work,
            apart + inner + decide_bytes(shape, outputs) + 9 * voxels,
        )
        return int(_LIBRARIES + held + max(steps))

    def _segment(self, values: NDArray[np.float32], mm: tuple[float, ...]) -> list[NDArray[Any]]:
        """Labels, probability and doubt on the grid of (C, X, Y, Z) values."""
        box, mask = nonzero_box(values)
        cropped = self.plans.normalise(values[(slice(None), *box)], mask)
        size = cropped.shape[1:]
        target = [round(a / b * n) for a, b, n in zip(mm, self.plans.spacing, size, strict=True)]
        if min(target) < 1:
            target = [max(1, n) for n in target]
        apart = separate_axis(mm, self.plans.spacing, force=self.plans.separate_data)
        order, across = self.plans.orders_data
        image = np.stack([resize(c, target, order, across, apart) for c in cropped])
        logits = ensemble_logits(
            self.nets, torch.from_numpy(image), self.plans.patch, self.mirrored, self.device
        )
        apart = separate_axis(self.plans.spacing, mm, force=self.plans.separate_logits)
        chosen = decide(logits, _same_extent(size, target), self.choose, nearest=_flags(apart))
        shape = values.shape[1:]
        out = []
        for piece, fill in ((chosen.labels, 0), (chosen.probability, 1), (chosen.doubt, 0)):
            whole = np.full(shape, fill, piece.numpy().dtype)
            whole[box] = piece.numpy()
            out.append(whole)
        return out


def nonzero_box(
    values: NDArray[np.float32],
) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]]:
    """Box around what is not zero in any channel, and the filled mask in it."""
    from scipy import ndimage

    mask = ndimage.binary_fill_holes((values != 0).any(0))
    if not mask.any():
        mask[:] = True
    spans = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis})))
        spans.append(slice(int(there[0]), int(there[-1]) + 1))
    box = (spans[0], spans[1], spans[2])
    return box, mask[box]


def _same_extent(size: tuple[int, ...], working: list[int]) -> AxisMap:
    """Two grids over the same box: where voxels of the one lie among those of the other."""
    first, second, third = (
        ((np.arange(n) + 0.5) * (m / n) - 0.5).astype(np.float64)
        for n, m in zip(size, working, strict=True)
    )
    return AxisMap((0, 1, 2), (first, second, third))


def _flags(axis: int | None) -> tuple[bool, bool, bool]:
    return axis == 0, axis == 1, axis == 2


def _weights(content: Mapping[str, Any], name: str) -> dict[str, Tensor]:
    state = content.get("network_weights")
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{name}: holds no network_weights", "it is no checkpoint of nnU-Net v2")
    return {str(k): v for k, v in state.items()}


def _mirrored(axes: Any) -> tuple[int, ...]:
    """Axes along which the training mirrored; nnU-Net then predicts all mirror images."""
    listed = axes if isinstance(axes, list | tuple) else ()
    return tuple(sorted({int(a) for a in listed if isinstance(a, int) and 0 <= a <= 2}))


def dataset_channels(files: ModelFiles) -> tuple[str, ...]:
    """Names of the channels by ``dataset.json``, in the order of the numbers in file names.

    Raises:
        ModelError: It names none.
    """
    dataset = read_json_object(files.folder / "dataset.json")
    names = dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(names, dict) or not names:
        raise ModelError("dataset.json names no channels", "it is no dataset.json of nnU-Net v2")
    numbered = all(str(k).isdecimal() for k in names)
    return tuple(str(names[k]) for k in sorted(names, key=int if numbered else str))


def _classes(dataset: Mapping[str, Any]) -> tuple[tuple[Label, ...], Choose, int]:
    """Labels, how they are chosen, and the number of the network's outputs."""
    table = dataset.get("labels")
    damaged = ModelError("dataset.json has no usable labels", "it is no dataset.json of nnU-Net v2")
    if not isinstance(table, dict) or table.get("background") != 0:
        raise damaged
    wanted = {str(k): v for k, v in table.items() if k not in ("background", "ignore")}
    try:
        if any(isinstance(v, list) and len(v) > 1 for v in wanted.values()):
            order = tuple(int(v) for v in dataset["regions_class_order"])
            names = dict(zip(order, wanted, strict=True))
            return make_labels(names), choose_regions(order, logits=True), len(order)
        names = {int(v[0] if isinstance(v, list) else v): k for k, v in wanted.items()}
        if sorted(names) != list(range(1, len(names) + 1)):
            raise damaged
        count = len(names) + 1
        return make_labels(names), choose_class(tuple(range(count)), logits=True), count
    except (KeyError, TypeError, ValueError) as error:
        raise damaged from error
