"""MONAI bundle folders: ``configs/inference.json``, ``configs/metadata.json``, ``models/model.pt``.

What the configuration asks for is rebuilt from lists of names (networks, steps, inferers); nothing
of a bundle is imported or evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray
from torch import Tensor

from mmtool.errors import InputError, ModelError
from mmtool.models.files import read_json_object
from mmtool.models.segmentation.monai_nets import build_network
from mmtool.models.store import ModelFiles
from mmtool.models.tensors import load_tensors
from mmtool.pipelines.outside.bundle_config import BundleConfig, Component
from mmtool.pipelines.outside.bundle_steps import Left, steps_after, steps_before, whole_numbers
from mmtool.pipelines.outside.decide import (
    AxisMap,
    Choose,
    Chosen,
    Kept,
    choose_class,
    choose_given,
    choose_regions,
    decide,
    decide_bytes,
    segmented,
)
from mmtool.pipelines.outside.labels import make_labels
from mmtool.pipelines.outside.pass_bytes import UNKNOWN_BYTES, pass_bytes
from mmtool.pipelines.outside.windows import Windows, window_logits
from mmtool.pipelines.segmenter import Segmented
from mmtool.types import Label

_LIBRARIES = 60_000_000  # bytes that libraries allocate when they are first used, and keep
_SPARE = 1.25  # of many arrays that come and go the allocator keeps some
_NEAREST = (True, True, True)
_MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR", "PET": "PT", "PT": "PT"}
_INFERERS = ("SlidingWindowInferer", "SlidingWindowInfererAdapt", "SimpleInferer")


class BundleSegmenter:
    """The model of a MONAI bundle.

    Args:
        files: The folder.
        device: Where to work.

    Raises:
        ModelError: The bundle asks for something that mmtool has no counterpart for.
    """

    def __init__(self, files: ModelFiles, device: torch.device) -> None:
        config = BundleConfig.of(files.folder)
        meta = read_json_object(files.folder / "configs/metadata.json")
        data_format = _table(meta.get("network_data_format"))
        image_key, image = _first(_table(data_format.get("inputs")), "image")
        pred_key, pred = _first(_table(data_format.get("outputs")), "pred")
        part = _part(config, "network_def", "network", "net")
        arguments = config.arguments(part, tuple(part.arguments))
        net = build_network(part.target, arguments, load_tensors(files.weights))
        self.net = net.to(device)
        self.device = device
        self.before = steps_before(config, _part(config, "preprocessing"), image_key)
        self.after = steps_after(config, _part(config, "postprocessing"), pred_key)
        self.windows = _windows(config, _part(config, "inferer"))
        self.channels = bundle_channels(files)
        self.outputs = 1
        self.labels, self.choose = self._classes(config, arguments, pred)
        kind = _MODALITIES.get(str(image.get("modality", "")).upper())
        self.modalities: tuple[str, ...] = (kind,) if kind else ()
        self.whole: Label | None = None
        said = str(meta.get("task") or meta.get("name") or "what its bundle describes")
        self.purpose = f"{kind or 'scans'}: {said}" if kind else said

    def _classes(
        self, config: BundleConfig, arguments: Mapping[str, Any], pred: Mapping[str, Any]
    ) -> tuple[tuple[Label, ...], Choose]:
        """Labels, and how they are chosen from the network's output."""
        count = arguments.get("out_channels", pred.get("num_channels"))
        if not isinstance(count, int) or not 1 <= count <= 256:
            raise config.refuse("network_def#out_channels", "must be a number of 1 to 256")
        self.outputs = count
        names = _table(pred.get("channel_def"))
        activated = bool(self.after.activation)
        if self.after.argmax:
            if count < 2 or self.after.activation == "sigmoid":
                raise config.refuse("postprocessing", f"chooses one of {count} classes")
            named = {n: str(names.get(str(n), f"class {n}")) for n in range(1, count)}
            return make_labels(named), choose_class(tuple(range(count)), logits=not activated)
        if count > 1 or self.after.activation == "softmax":
            raise config.refuse(
                "postprocessing", f"gives {count} classes that may overlap; a label map cannot"
            )
        found = [str(v) for v in names.values() if str(v).lower() != "background"]
        label = make_labels({1: found[-1] if found else "class 1"})
        cut = self.after.threshold if self.after.threshold is not None else 0.5
        if not activated:  # the threshold is one of logits
            cut = 1 / (1 + math.exp(-cut))
        return label, choose_regions((1,), logits=not activated, threshold=cut)

    def __call__(
        self, data: NDArray[Any], affine: NDArray[np.float64], *, uncertainty: bool = False
    ) -> Segmented:
        """Segment a volume; arguments and result as in `Segmenter`."""
        values = data if data.ndim == 4 else data[None]
        shape = (values.shape[1], values.shape[2], values.shape[3])
        mm = [float(v) for v in np.linalg.norm(affine[:3, :3], axis=0)]
        self.before.check_size(shape, sorted(mm), "scan")
        image = MetaTensor(
            torch.as_tensor(np.ascontiguousarray(values, np.float32)),
            affine=torch.as_tensor(affine, dtype=torch.float64),
        )
        image, left = self.before(image)
        working = image.affine.numpy()
        maps = window_logits(self._forward, image.as_tensor().float().to(self.device), self.windows)
        grid = _axes(shape, affine, working)
        chosen = self._decide(maps, grid, _kept(left, shape, affine))
        labels = grid.to_file(chosen.labels.numpy())
        for largest in self.after.after_back:
            labels = largest(labels)
        doubt = grid.to_file(chosen.doubt.numpy()) if uncertainty else None
        return segmented(labels, grid.to_file(chosen.probability.numpy()), doubt)

    def memory_bytes(self, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> int:
        """Peak beside the data: resampling, all classes on the working grid, choice of classes."""
        voxels, count = math.prod(shape), len(self.channels)
        size = self.before.size_of(shape, affine)
        # A whole scan in one pass: its size is rounded up to one that most networks take.
        window = self.windows.size or tuple(32 * math.ceil(n / 32) for n in size)
        padded = math.prod(max(n, w) for n, w in zip(size, window, strict=True))
        working = math.prod(size)
        maps = 4 * self.outputs * padded * (2 if self.after.activation else 1)
        # MONAI's Spacing works in float64, with three or four coordinates of each voxel.
        spacing = 80 * working if self.before.spacing else 0
        steps = (
            _SPARE * (count * (20 * voxels + 16 * working) + spacing),
            4 * padded + maps + self._pass_bytes(window),
            _SPARE * (maps + decide_bytes(shape, self.outputs)),
        )
        return int(_LIBRARIES + 4 * count * (voxels + working) + max(steps))

    def _pass_bytes(self, window: Sequence[int]) -> int:
        """Peak of one pass over a window."""
        try:
            return pass_bytes(self.net, (1, len(self.channels), *window))
        except (RuntimeError, ValueError) as error:
            if not self.windows.size:
                return UNKNOWN_BYTES * math.prod(window)
            size = " x ".join(map(str, window))
            raise ModelError(
                f"network {type(self.net).__name__} takes no window of {size} voxels",
                "set the roi_size of the inferer to one that it was made for",
            ) from error

    def _forward(self, image: Tensor) -> Tensor:
        logits = self.net(image)
        return logits if isinstance(logits, Tensor) else logits[0]

    def _decide(self, maps: Tensor, grid: AxisMap, kept: Kept | None) -> Chosen:
        """Activate, choose and bring back, in the order of the bundle."""
        if self.after.activation:
            maps = maps.softmax(0) if self.after.activation == "softmax" else maps.sigmoid()
        if self.after.on_file:
            nearest = _NEAREST if self.after.nearest else (False, False, False)
            return decide(maps, grid, self.choose, nearest=nearest, kept=kept)
        chosen = self.choose(maps)
        labels = chosen.labels.cpu().numpy()
        for largest in self.after.before_back:
            labels = largest(labels)
        given = Chosen(torch.as_tensor(labels), chosen.probability.cpu(), chosen.doubt.cpu())
        return decide(given.stacked(), grid, choose_given, nearest=_NEAREST, kept=kept)


def bundle_channels(files: ModelFiles) -> tuple[str, ...]:
    """Names of the input channels by the metadata, as many as the network takes.

    Raises:
        ModelError: The configuration has no usable number of channels.
    """
    config = BundleConfig.of(files.folder)
    meta = read_json_object(files.folder / "configs/metadata.json")
    data_format = _table(meta.get("network_data_format"))
    _, image = _first(_table(data_format.get("inputs")), "image")
    part = _part(config, "network_def", "network", "net")
    count = _channels(config.arguments(part, ("in_channels",)))
    return _names(image.get("channel_def"), count)


def _axes(
    shape: tuple[int, int, int], affine: NDArray[np.float64], working: NDArray[np.float64]
) -> AxisMap:
    try:
        return AxisMap.between(shape, affine, working)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise InputError(
            "the model turns the scan off its own axes, and mmtool cannot bring the labels back",
            "resample the scan to axes along the body first",
        ) from error


def _kept(
    left: Left | None,
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
) -> Kept | None:
    """Which voxels of the file lie in what a step has left of the scan."""
    return None if left is None else _axes(shape, affine, left[0]).inside(left[1])


def _part(config: BundleConfig, *names: str) -> Component:
    """The first entry of these names, which must be a component."""
    name = next((n for n in names if config.has(n)), names[0])
    part = config.value(name)
    if not isinstance(part, Component):
        raise config.refuse(name, "is missing, or not given by its '_target_'")
    return part


def _windows(config: BundleConfig, part: Component) -> Windows:
    if part.bare not in _INFERERS or part.target not in (part.bare, f"monai.inferers.{part.bare}"):
        raise config.refuse(part.where, f"is {part.target}, an inferer that mmtool does not know")
    if part.bare == "SimpleInferer":
        return Windows()
    given = config.arguments(part, ("roi_size", "overlap", "mode", "sigma_scale", "padding_mode"))
    size = whole_numbers(given.get("roi_size"), 3)
    overlap, sigma = given.get("overlap", 0.25), given.get("sigma_scale", 0.125)
    numbers = all(isinstance(v, int | float) for v in (overlap, sigma))
    mode = str(given.get("mode", "constant")).rpartition(".")[2].lower()
    fits = size is not None and 0 not in size and max(size) <= 1024 and numbers
    if size is None or not fits or not 0 <= overlap < 1 or sigma <= 0:
        raise config.refuse(part.where, "has windows of an unusable size or overlap")
    if mode not in ("constant", "gaussian") or given.get("padding_mode", "constant") != "constant":
        raise config.refuse(part.where, "blends or pads windows in a way that mmtool cannot map")
    return Windows(size, float(overlap), mode, float(sigma))


def _channels(arguments: Mapping[str, Any]) -> int:
    count = arguments.get("in_channels", 1)
    if not isinstance(count, int) or not 1 <= count <= 64:
        raise ModelError("the network has no usable number of input channels", "it is damaged")
    return count


def _names(channel_def: Any, count: int) -> tuple[str, ...]:
    table = _table(channel_def)
    return tuple(str(table.get(str(n), f"channel {n}")) for n in range(count))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(entries: Mapping[str, Any], usual: str) -> tuple[str, Mapping[str, Any]]:
    """The entry of the usual name, else the first."""
    name = usual if usual in entries else next(iter(entries), usual)
    return name, _table(entries.get(name))
