"""Run the ``brain`` network on a volume of any grid and bring the classes back to that grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.errors import ModelError
from mmtool.models.segmentation.intensity import scale_intensity
from mmtool.models.segmentation.subvoxel_unet import SubvoxelUNet, SubvoxelUNetConfig
from mmtool.pipelines.air import air_value, darken_background
from mmtool.pipelines.file_grid import from_grid
from mmtool.pipelines.segmenter import Segmented
from mmtool.pipelines.voxel_scores import Confidence, best_class, relative_entropy
from mmtool.pipelines.world_grid import WorldGrid, to_grid, world_box
from mmtool.types import Label

WINDOW = (96, 112, 96)  # voxels; 192 x 224 x 192 mm hold any head's brain
_WHOLE = 8_000_000  # voxels of the working grid that are searched for the brain in one pass
_LEAST_BRAIN_ML = 100.0
_PASS_BYTES, _ENSEMBLE_BYTES = 190, 480  # a voxel, of one pass and of the four
_KEPT_BYTES = 160_000_000  # what libraries allocate when they are first used, and keep
# Mean probability of the chosen classes. Heads of any contrast, with tumours, noise or thick slices
# stay at 0.65 or above; thighs, hearts, PET, noise and balls below 0.64 (docs/benchmarks.md).
_LEAST_CERTAINTY = 0.645


@dataclass(frozen=True)
class ClassInfo:
    """One output class: name and the label index of its left, right or midline structure."""

    name: str
    left: int
    right: int

    @property
    def sided(self) -> bool:
        """Whether left and right are different labels."""
        return self.left != self.right


class BrainSegmenter:
    """A loaded network with its classes.

    Args:
        config: Content of ``config.json``.
        state: Tensors of ``model.safetensors``.
        device: Where to work.
        ensemble: Average four passes: the scan, mirrored, moved by a voxel, and both.
    """

    def __init__(
        self,
        config: dict[str, Any],
        state: dict[str, Tensor],
        device: torch.device,
        *,
        ensemble: bool = True,
    ) -> None:
        try:
            if config["network"] != "subvoxel_unet":
                raise KeyError(config["network"])
            self.classes = tuple(
                ClassInfo(str(c["name"]), int(c["left"]), int(c["right"]))
                for c in config["classes"]
            )
            self.spacing = float(config["spacing_mm"])
            net = SubvoxelUNet(SubvoxelUNetConfig.from_json(config["arguments"]))
            net.load_state_dict(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                "the model's config.json and weights do not describe a brain network",
                "run 'mmtool models verify'",
            ) from error
        net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.net = net.to(device).eval()
        self.device = device
        self.ensemble = ensemble
        self._fluid = [c.name for c in self.classes].index("cerebrospinal fluid")
        given = {index for c in self.classes for index in (c.left, c.right)}
        self.labels = tuple(label for label in BRAIN_LABELS if label.index in given)
        self.whole: Label | None = BRAIN
        self.modalities: tuple[str, ...] = ("MR",)
        self.channels: tuple[str, ...] = ("MR",)
        self.purpose = "MR scans of the head"

    def __call__(
        self, data: NDArray[Any], affine: NDArray[np.float64], *, uncertainty: bool = False
    ) -> Segmented:
        """Segment a volume.

        Args:
            data: (I, J, K) intensities in any unit, finite.
            affine: (4, 4) voxel to RAS+ mm.
            uncertainty: Give the entropy of the classes too.

        Returns:
            Labels and brain mask on the same grid.
        """
        shape = (data.shape[0], data.shape[1], data.shape[2])
        # In the order of a NIfTI file, which spares its writer turning them round.
        labels, brain = np.zeros(shape, np.uint8, "F"), np.zeros(shape, bool, "F")
        nothing = Segmented(labels, False, {}, 0.0, brain)
        found = self._find_brain(darken_background(data), affine)
        if found is None:
            return nothing
        grid, image = found
        maps = self._predict(image)
        inside, keep = self._clean(maps)
        if inside.sum() * self.spacing**3 / 1000 < _LEAST_BRAIN_ML:
            return nothing
        maps[:-1] *= keep
        maps = torch.cat([maps, torch.as_tensor(inside, device=maps.device)[None].float()])
        scores = Confidence()
        doubt = np.zeros(shape, np.float16, order="F") if uncertainty else None
        for piece in from_grid(maps, grid, shape, affine, _box_of(inside, grid)):
            values = piece.values
            chosen, best = self._decode(values[:-1])
            piece.put(labels, affine, chosen)
            piece.put(brain, affine, values[-1] > 0.5)
            if doubt is not None:
                piece.put(doubt, affine, relative_entropy(values[:-2]))
            scores.add(*piece.own(chosen, best))
        confidence = scores.means()
        fluid = self.classes[self._fluid].left
        certainty = scores.over([i for i in confidence if i != fluid])
        if certainty < _LEAST_CERTAINTY:
            labels.fill(0)
            brain.fill(False)
            return replace(nothing, certainty=certainty)
        return Segmented(labels, True, confidence, certainty, brain, doubt)

    def memory_bytes(self, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> int:
        """Peak beside the data; the bytes per voxel were measured (docs/benchmarks.md)."""
        voxels = math.prod(shape)
        size = WorldGrid.covering(shape, affine, self.spacing, self.net.multiple).size
        whole, window = math.prod(size), math.prod(WINDOW)
        search = 9 * whole + _PASS_BYTES * (whole if whole <= _WHOLE else window)
        reach = np.asarray(WINDOW) * self.spacing / np.linalg.norm(affine[:3, :3], axis=0)
        _, j, k = sorted(np.minimum(np.ceil(reach), shape).tolist())
        planes = 4 * (len(self.classes) + 2) * 6 * int(j * k)
        predict = 4 * whole + _ENSEMBLE_BYTES * window + 2 * voxels + planes
        # A grey background is found by connected pieces (32 bits) and its copy made dark.
        return _KEPT_BYTES + max(search, predict, 6 * voxels)

    def _find_brain(
        self, data: NDArray[Any], affine: NDArray[np.float64]
    ) -> tuple[WorldGrid, Tensor] | None:
        """A window around the brain and the (R, A, S) intensities in it, or None."""
        volume = abs(float(np.linalg.det(affine[:3, :3]))) * float(np.prod(data.shape)) / 1000
        if volume < _LEAST_BRAIN_ML:
            return None
        air = air_value(data)  # beyond the volume lies air, whatever its number is
        whole = WorldGrid.covering(data.shape, affine, self.spacing, self.net.multiple)
        image = to_grid(data, affine, whole, self.device, outside=air)
        centre, mass = self._brain_centre(image, whole)
        if mass == 0:
            return None
        face, _ = world_box(data.shape, affine)
        grid = WorldGrid.around(centre, WINDOW, self.spacing).aligned(face)
        # The window may have cut the brain while searching: look again from where it was seen.
        moved, mass = self._brain_centre(_cut(image, whole, grid, air), grid)
        if mass == 0:
            return None
        grid = WorldGrid.around(moved, WINDOW, self.spacing).aligned(face)
        return grid, _cut(image, whole, grid, air)

    def _brain_centre(self, image: Tensor, grid: WorldGrid) -> tuple[NDArray[np.float64], float]:
        """Middle of the largest piece of brain (RAS+ mm) and its volume in mL."""
        tissue = np.zeros(grid.size, bool)
        if image.numel() <= _WHOLE:
            tissue = self._tissue(image)
        else:
            for index in product(*(_starts(n, w) for n, w in zip(grid.size, WINDOW, strict=True))):
                region = tuple(
                    slice(s, min(n, s + w))
                    for s, n, w in zip(index, grid.size, WINDOW, strict=True)
                )
                if bool(image[region].amax() > image[region].amin()):
                    tissue[region] |= self._tissue(image[region])
        piece, count = _largest_piece(tissue)
        volume = count * self.spacing**3 / 1000
        if volume < _LEAST_BRAIN_ML:
            return np.zeros(3), 0.0
        spots = np.argwhere(piece)
        return grid.centre_of((spots.min(0) + spots.max(0)) / 2), volume

    def _tissue(self, image: Tensor) -> NDArray[np.bool_]:
        """(R, A, S) bool: brain tissue by one plain pass."""
        chosen, _ = best_class(self._forward(image)[:-1])
        return ((chosen > 0) & (chosen != self._fluid)).cpu().numpy()

    @torch.inference_mode()
    def _forward(self, image: Tensor) -> Tensor:
        """(R, A, S) intensities to (classes + 1, R, A, S) logits."""
        x = scale_intensity(image)[None, None]
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            logits: Tensor = self.net(x.contiguous(memory_format=torch.channels_last_3d))
        return logits[0].float()

    def _predict(self, image: Tensor) -> Tensor:
        """(classes + 1, R, A, S): probabilities, and that of the left hemisphere last."""
        maps = _probabilities(self._upright(image))
        if not self.ensemble:
            return maps
        maps += self._mirrored(image)
        # The network sees blocks of 2 x 2 x 2 voxels: moved by one, every voxel has another place
        # in its block.
        moved = image.roll((1, 1, 1), (0, 1, 2))
        other = _probabilities(self._upright(moved)) + self._mirrored(moved)
        maps += other.roll((-1, -1, -1), (1, 2, 3))
        return maps / 4

    def _upright(self, image: Tensor) -> Tensor:
        """:meth:`_forward` of the scan as it is; a network with more uses for it may keep more."""
        return self._forward(image)

    def _mirrored(self, image: Tensor) -> Tensor:
        """What the mirrored image gives, mirrored back."""
        maps = _probabilities(self._forward(image.flip(0))).flip(1)
        maps[-1] = 1 - maps[-1]  # a mirrored brain has its left on the other side
        return maps

    def _clean(self, maps: Tensor) -> tuple[NDArray[np.bool_], Tensor]:
        """Brain mask, and for each class where it may lie, both on the working grid."""
        chosen = best_class(maps[:-1])[0].cpu().numpy()
        tissue, _ = _largest_piece((chosen > 0) & (chosen != self._fluid))
        ball = ndimage.generate_binary_structure(3, 1)
        closed = ndimage.binary_closing(np.pad(tissue, 6), ball, iterations=5)
        inside = ndimage.binary_fill_holes(closed)[6:-6, 6:-6, 6:-6]
        near = ndimage.binary_dilation(tissue, ball, iterations=2)
        keep = np.ones(maps.shape[:1][0] - 1, bool)[:, None, None, None] & near
        keep[0] = True
        keep[self._fluid] = True
        left = maps[-1].cpu().numpy() > 0.5
        for index, info in enumerate(self.classes):
            if index in (0, self._fluid):
                continue
            mask = (chosen == index) & near
            sides = (mask & left, mask & ~left) if info.sided else (mask,)
            pieces = [_main_pieces(side) for side in sides]
            lone = mask & ~np.logical_or.reduce(pieces)
            keep[index] &= ~lone
        return inside, torch.as_tensor(keep, device=maps.device)

    def _decode(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(classes + 1, ...) probabilities to uint8 label indices and their probabilities."""
        tables = [
            torch.tensor([getattr(c, side) for c in self.classes], dtype=torch.uint8)
            for side in ("left", "right")
        ]
        chosen, best = best_class(values[:-1])
        left, right = (t.to(values.device)[chosen.int()] for t in tables)
        labels = torch.where(values[-1] > 0.5, left, right)
        return labels.masked_fill_(best <= 0, 0), best


def _probabilities(logits: Tensor) -> Tensor:
    return torch.cat([logits[:-1].softmax(0), logits[-1:].sigmoid()])


def _cut(image: Tensor, whole: WorldGrid, grid: WorldGrid, air: float) -> Tensor:
    """The part of an image on ``whole`` that ``grid``, on the same lattice, covers."""
    shift = np.rint((np.asarray(grid.origin) - whole.origin) / whole.steps).astype(int)
    out = image.new_full(grid.size, air)
    there, here = [], []
    for low, size, length in zip(shift.tolist(), grid.size, whole.size, strict=True):
        first, last = max(0, low), min(length, low + size)
        there.append(slice(first, max(first, last)))
        here.append(slice(first - low, max(first, last) - low))
    out[tuple(here)] = image[tuple(there)]
    return out


def _starts(length: int, window: int) -> list[int]:
    """Window positions that overlap by half and reach the end."""
    if length <= window:
        return [0]
    return sorted({*range(0, length - window, window // 2), length - window})


def _largest_piece(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """Largest face-connected piece and its number of voxels.

    Opened once first, so that a thread of voxels along a nerve or vein doesn't join the face to
    the brain; what the opening took from the winner is given back.
    """
    core = ndimage.binary_opening(mask)
    if not core.any():
        core = mask
    pieces, number = ndimage.label(core)
    if not number:
        return mask, 0
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    winner = pieces == sizes.argmax()
    grown = ndimage.binary_dilation(winner, iterations=2) & mask
    return grown, int(grown.sum())


def _main_pieces(mask: NDArray[np.bool_], share: float = 0.15) -> NDArray[np.bool_]:
    """Pieces that are at least ``share`` of the largest one."""
    pieces, number = ndimage.label(mask, np.ones((3, 3, 3)))
    if number <= 1:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept: NDArray[np.bool_] = (sizes >= share * sizes.max())[pieces]
    return kept


def _box_of(
    inside: NDArray[np.bool_], grid: WorldGrid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    spots = np.argwhere(inside)
    low = grid.centre_of(spots.min(0) - 6.0)
    return low, grid.centre_of(spots.max(0) + 6.0)
