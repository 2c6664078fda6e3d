"""Run ``brain-text``: the structures of ``brain``, where the network finds what a text asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.errors import ModelError
from mmtool.models.segmentation.intensity import scale_intensity
from mmtool.models.segmentation.subvoxel_unet import unfold_blocks
from mmtool.models.segmentation.text_unet import Seen, TextUNet, TextUNetConfig
from mmtool.models.text.encoder import EncodedText, tokenise
from mmtool.pipelines.file_grid import from_grid
from mmtool.pipelines.inference import BrainSegmenter
from mmtool.pipelines.segmenter import Segmented
from mmtool.pipelines.world_grid import WorldGrid

_POINTS = 30  # similarity points that are kept for the audit
_NEAR, _FAR = 0.8, 0.2  # similarity (0 to 1) of positive and of negative points
_BLOCKS = 1 << 15
_STRAY = 0.1  # share of a structure; less than that is no part that was asked for
_SEEN = 400_000_000  # bytes: features and logits of two passes, and those of the blocks at work
_MOVED = (-1, -1, -1)  # voxels that the second pass is moved back
_APART_MM = 8.0  # points are at least this far from each other


@dataclass(frozen=True)
class Look:
    """One scan before any text.

    Attributes:
        found: What ``brain`` says of it.
        affine: (4, 4) voxel to RAS+ mm.
        grid: Window around the brain, or None where none was found.
        seen: What the image network saw: of the window, and of the window moved by a voxel.
    """

    found: Segmented
    affine: NDArray[np.float64]
    grid: WorldGrid | None
    seen: tuple[Seen, ...]


class BrainTextSegmenter(BrainSegmenter):
    """``brain`` with a text beside the scan.

    Without a text it gives what ``brain`` gives: the image network is the same.

    Args:
        config: Content of ``config.json``.
        state: Tensors of ``model.safetensors``.
        device: Where to work.
    """

    reads_text = True

    def __init__(
        self, config: dict[str, Any], state: dict[str, Tensor], device: torch.device
    ) -> None:
        try:
            arguments = TextUNetConfig.from_json(config["arguments"])
            self.structures = tuple(int(i) for i in config["structures"])
            net = TextUNet(arguments)
            net.load_state_dict(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                "the model's config.json and weights do not describe a network that reads text",
                "run 'mmtool models verify'",
            ) from error
        trunk = {k.removeprefix("trunk."): v for k, v in state.items() if k.startswith("trunk.")}
        of_trunk = config | {
            "network": "subvoxel_unet",
            "arguments": arguments.trunk.to_json(),
        }
        super().__init__(of_trunk, trunk, device)
        net.trunk = self.net
        self.reader = net.to(device).eval()
        self._grid: WorldGrid | None = None
        self._seen: list[Seen] = []

    def __call__(
        self,
        data: NDArray[Any],
        affine: NDArray[np.float64],
        *,
        uncertainty: bool = False,
        text: str | None = None,
    ) -> Segmented:
        """Segment what a text asks for.

        Args:
            data: (I, J, K) intensities in any unit, finite.
            affine: (4, 4) voxel to RAS+ mm.
            uncertainty: Give the entropy of the classes too.
            text: Prompt or report; None for everything.
        """
        look = self.look(data, affine, uncertainty=uncertainty)
        return look.found if text is None else self.read(look, text)

    def memory_bytes(self, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> int:
        """That of ``brain``, and what is kept of the scan while it is asked."""
        return super().memory_bytes(shape, affine) + _SEEN

    def look(
        self, data: NDArray[Any], affine: NDArray[np.float64], *, uncertainty: bool = False
    ) -> Look:
        """All that no text changes, so that one scan can be asked many times."""
        self._grid, self._seen = None, []
        found = super().__call__(data, affine, uncertainty=uncertainty)
        seen, self._seen = tuple(self._seen), []
        if not found.found:
            return Look(found, affine, None, ())
        return Look(found, affine, self._grid, seen)

    def read(self, look: Look, text: str) -> Segmented:
        """Keep of a scan what a text asks for.

        Args:
            look: Of the scan.
            text: The words.

        Returns:
            As :meth:`__call__`; ``evidence`` holds ``read``, the probability that the text alone
            asks for each structure, and the similarity points.
        """
        found = look.found
        if look.grid is None:
            return found
        grid = look.grid
        asked, similarity, read = self._ask(look, text)
        kept = np.zeros(found.labels.shape, bool, "F")
        for piece in from_grid(asked[None], grid, kept.shape, look.affine):
            piece.put(kept, look.affine, piece.values[0] > 0.5)
        labels = without_strays(found.labels, kept)
        names = {label.index: label.name for label in self.labels}
        chances = {names[i]: round(p, 3) for i, p in zip(self.structures, read, strict=True)}
        evidence: dict[str, Any] = {"read": chances}
        evidence["similarity_points"] = similarity_points(similarity, grid)
        left = {int(i) for i in np.unique(labels)}
        confidence = {i: p for i, p in found.confidence.items() if i in left}
        return replace(found, labels=labels, confidence=confidence, evidence=evidence)

    def _find_brain(
        self, data: NDArray[Any], affine: NDArray[np.float64]
    ) -> tuple[WorldGrid, Tensor] | None:
        window = super()._find_brain(data, affine)
        self._grid = window and window[0]
        return window

    def _upright(self, image: Tensor) -> Tensor:
        """Keeps what the image network saw of the window, and of the window moved by a voxel."""
        seen = self._see(image)
        self._seen.append(seen)
        return unfold_blocks(seen.logits, self.reader.config.trunk.block)[0].float()

    @torch.inference_mode()
    def understand(self, texts: Sequence[str]) -> list[frozenset[int]]:
        """Label indices that each text asks for, whatever the scan."""
        tokens = tokenise(texts, self.reader.config.text).to(self.device)
        asked = self.reader.text(tokens).asked > 0
        return [
            frozenset(i for i, meant in zip(self.structures, row, strict=True) if meant)
            for row in asked.tolist()
        ]

    @torch.inference_mode()
    def _see(self, image: Tensor) -> Seen:
        x = scale_intensity(image)[None, None].contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            return self.reader.see(x)

    @torch.inference_mode()
    def _ask(self, look: Look, text: str) -> tuple[Tensor, Tensor, list[float]]:
        """Where in a scan the network sees what a text asks for.

        Returns:
            (R, A, S) probability of being asked for; (r, a, s) similarity of voxels and text on
            the grid of blocks (logits); for each structure the probability that the text alone
            asks for it.
        """
        tokens = tokenise([text], self.reader.config.text).to(self.device)
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            encoded = self.reader.text(tokens)
            asked, similarity = self._asked(look.seen[0], encoded)
            moved, _ = self._asked(look.seen[1], encoded)
        both = (asked + moved.roll(_MOVED, (0, 1, 2))) / 2
        return both, similarity, encoded.asked[0].float().sigmoid().tolist()

    def _asked(self, seen: Seen, encoded: EncodedText) -> tuple[Tensor, Tensor]:
        net = self.reader
        steered = net.steer(seen, encoded)
        size = seen.fine.shape[2:]
        parts = [  # some at a time: what the head holds of all blocks is large
            net.asked(seen, steered, some)
            for some in torch.split(torch.arange(size.numel(), device=self.device), _BLOCKS)
        ]
        logits = torch.cat([p.logits for p in parts], 1).float()
        similarity = torch.cat([p.similarity for p in parts], 1).float()[0].mean(-1)
        blocks = logits.sigmoid().transpose(1, 2).reshape(1, -1, *size)
        asked = unfold_blocks(blocks, net.config.trunk.block)[0, 0]
        return asked, similarity.reshape(size)


def without_strays(labels: NDArray[np.uint8], kept: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Labels where they are kept, less those of which hardly anything is.

    Along the border of what is asked for, voxels of its neighbours are kept too.

    Args:
        labels: (I, J, K) all that was found.
        kept: (I, J, K) where the text asks for it.
    """
    chosen = labels * kept
    there, left = (np.bincount(a.ravel(order="K"), minlength=256) for a in (labels, chosen))
    whole = np.arange(256, dtype=np.uint8)
    whole[left < _STRAY * there] = 0
    return whole[chosen]


def similarity_points(similarity: Tensor, grid: WorldGrid) -> list[dict[str, Any]]:
    """Places where voxel and text are most and least alike (READ, arXiv 2412.17741).

    Args:
        similarity: (r, a, s) of voxels and text, on blocks of the grid.
        grid: Of the voxels.

    Returns:
        Up to 30 points, the most similar first, then the least similar: ``ras_mm``,
        ``similarity`` scaled to 0 to 1, ``positive``.
    """
    block = grid.size[0] // similarity.shape[0]
    low, high = similarity.amin(), similarity.amax()
    scaled = ((similarity - low) / (high - low).clamp_min(1e-6)).cpu().numpy()
    flat = scaled.ravel()
    out: list[dict[str, Any]] = []
    for positive, order in ((True, np.argsort(-flat)), (False, np.argsort(flat))):
        places: list[NDArray[np.float64]] = []
        for index in order[:4000]:
            value = float(flat[index])
            if len(places) >= _POINTS // 2 or not (value >= _NEAR if positive else value <= _FAR):
                break
            voxel = np.array(np.unravel_index(index, scaled.shape)) * block + (block - 1) / 2
            place = grid.centre_of(voxel)
            if all(np.linalg.norm(place - p) >= _APART_MM for p in places):
                places.append(place)
                out.append(
                    {
                        "ras_mm": [round(float(x), 1) for x in place],
                        "similarity": round(value, 3),
                        "positive": positive,
                    }
                )
    return out
