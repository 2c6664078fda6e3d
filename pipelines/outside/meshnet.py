"""MeshNet folders as brainchop publishes them: ``model.json``, weights, ``colormap.json``.

The scan is brought to 256 voxels of 1 mm, stored left, inferior, anterior, and scaled to 0 to 1,
as FreeSurfer conforms scans; labels are brought back to the file's grid by the nearest voxel.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mmtool.errors import ModelError
from mmtool.models.files import read_json_object
from mmtool.models.segmentation.meshnet import MeshNet, keras_layers, torch_layers
from mmtool.models.store import ModelFiles
from mmtool.models.tensors import load_tensors
from mmtool.pipelines.air import air_value
from mmtool.pipelines.outside.decide import Chosen, choose_class, segmented
from mmtool.pipelines.outside.labels import make_labels, read_colors
from mmtool.pipelines.segmenter import Segmented
from mmtool.pipelines.world_grid import WorldGrid, to_grid, world_box
from mmtool.types import Label

SIZE = 256  # voxels of 1 mm along each axis
_DARKEST, _BRIGHTEST = 0.1, 99.9  # percentiles that become 0 and 1, as in FreeSurfer's conform
_MOST_BIN = 1 << 30  # bytes of a TensorFlow.js file of weights
_EDGE = 1.0  # mm by which a scan may stick out of the working grid without a note


class MeshNetSegmenter:
    """A MeshNet of a folder.

    Args:
        files: The folder.
        device: Where to work.

    Raises:
        ModelError: The folder does not describe a MeshNet.
    """

    def __init__(self, files: ModelFiles, device: torch.device) -> None:
        config = read_json_object(files.folder / "model.json")
        if files.weights.suffix == ".bin":
            layers = keras_layers(config, _bytes(files.weights))
        else:
            layers = torch_layers(config, load_tensors(files.weights))
        self.net = MeshNet(layers, device)
        self.device = device
        names, colors = _classes(files.folder, self.net.classes)
        self.labels = make_labels(names, colors)
        self.whole: Label | None = None
        self.modalities: tuple[str, ...] = ("MR",)
        self.channels: tuple[str, ...] = ("MR",)
        self.purpose = "T1-weighted MR scans of the head"

    def __call__(
        self, data: NDArray[Any], affine: NDArray[np.float64], *, uncertainty: bool = False
    ) -> Segmented:
        """Segment a volume; arguments and result as in `Segmenter`."""
        shape = (data.shape[0], data.shape[1], data.shape[2])
        low, high = world_box(shape, affine)
        grid = WorldGrid.around((low + high) / 2, (SIZE, SIZE, SIZE), 1.0).aligned(low)
        image = to_grid(data, affine, grid, self.device, outside=air_value(data))
        chosen = self._choose(_scaled(_to_lia(image)))
        to_working = np.linalg.inv(_affine(grid)) @ affine
        labels = _nearest(chosen.labels, to_working, shape, fill=0)
        probability = _nearest(chosen.probability, to_working, shape, fill=1)
        doubt = _nearest(chosen.doubt, to_working, shape, fill=0) if uncertainty else None
        cut = ((high - low) > SIZE + _EDGE).any()
        note = f"the model sees {SIZE} mm around the middle of the scan; the rest was left out"
        return segmented(labels, probability, doubt, notes=(note,) if cut else ())

    def memory_bytes(self, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> int:
        """Peak beside the data: the widest map, what two slabs need, and the outputs."""
        del affine
        reach = max(layer.reach for layer in self.net.layers)
        channels = self.net.widest + 4 * (8 + 2 * reach) * self.net.widest // SIZE
        # Besides: the image three times, copies for its percentiles, results, what libraries keep.
        return 4 * SIZE**3 * (channels + 8) + 18 * math.prod(shape)

    def _choose(self, image: Tensor) -> Chosen:
        """(R, A, S) labels of an (L, I, A) image."""
        choose = choose_class(tuple(range(self.net.classes)), logits=True)
        labels = torch.zeros(image.shape, dtype=torch.uint8)
        probability = torch.zeros(image.shape, dtype=torch.float16)
        doubt = torch.zeros(image.shape, dtype=torch.float16)
        for start, logits in self.net.logits(image):
            part = slice(start, start + logits.shape[1])
            chosen = choose(logits)
            labels[part] = chosen.labels.cpu()
            probability[part] = chosen.probability.cpu().half()
            doubt[part] = chosen.doubt.cpu().half()
        return Chosen(*(_to_ras(x) for x in (labels, probability, doubt)))


def _to_lia(image: Tensor) -> Tensor:
    """(R, A, S) to (L, I, A)."""
    return image.permute(0, 2, 1).flip(0, 1).contiguous()


def _to_ras(image: Tensor) -> Tensor:
    """(L, I, A) to (R, A, S)."""
    return image.flip(0, 1).permute(0, 2, 1).contiguous()


def _scaled(image: Tensor) -> Tensor:
    """Intensities to 0 to 1."""
    low, high = np.percentile(image.cpu().numpy(), (_DARKEST, _BRIGHTEST))
    return ((image - float(low)) / max(float(high - low), 1e-6)).clamp(0, 1)


def _affine(grid: WorldGrid) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] *= grid.spacing
    matrix[:3, 3] = grid.origin
    return matrix


def _nearest(
    values: Tensor, matrix: NDArray[np.float64], shape: tuple[int, int, int], *, fill: float
) -> NDArray[Any]:
    """Values at the voxels of the file; ``matrix`` takes these to the working grid."""
    source = values.numpy()
    if source.dtype == np.float16:  # scipy has no kernel for it
        source = source.astype(np.float32)
    return np.asarray(
        ndimage.affine_transform(
            source, matrix, output_shape=shape, order=0, mode="grid-constant", cval=fill
        )
    )


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        raw = file.read(_MOST_BIN + 1)
    if len(raw) > _MOST_BIN:
        raise ModelError(f"{path}: larger than {_MOST_BIN >> 30} GiB", "this is no MeshNet")
    return raw


def _classes(folder: Path, count: int) -> tuple[dict[int, str], dict[int, tuple[int, int, int]]]:
    """Names and colours from the colour map that has as many classes as the network."""
    for path in sorted(folder.glob("colormap*.json")):
        content = read_json_object(path)
        names = content.get("labels")
        if isinstance(names, list) and len(names) == count:
            return {n: str(names[n]) for n in range(1, count)}, read_colors(content, count)
    return {n: f"class {n}" for n in range(1, count)}, {}
