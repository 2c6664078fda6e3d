"""What the frozen towers of a joint encoder make of training images and texts, kept in a file.

The towers learned from the same images, so the patches of such an image fit its caption too well.
Beside the image as it is there are changed views of it, as in the towers' own training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.encoders.joint import JointNet, side_by_side
from mmtool.models.encoders.joint_input import DEPTH
from mmtool.models.encoders.word_net import MOST_WORDS
from mmtool.pipelines.training.retrieve_data import Pixels, Shown
from mmtool.pipelines.training.retrieve_draws import changed, turnable

_BATCH = 32
Tell = Callable[[str], None]


@dataclass(frozen=True)
class PictureParts:
    """Of N images in V views, the first of them unchanged.

    Attributes:
        parts: (N, V, P, D) float16: patches of the towers side by side, of length 1.
        vectors: (N, V, dim) float16: as the encoder gives them.
    """

    parts: NDArray[np.float16]
    vectors: NDArray[np.float16]


@dataclass(frozen=True)
class TextParts:
    """Of T texts.

    Attributes:
        parts: (T, MOST_WORDS, D) float16: words of the towers side by side; 0 where there is none.
        counts: (T,) words of each text.
        vectors: (T, dim) float16: as the encoder gives them.
    """

    parts: NDArray[np.float16]
    counts: NDArray[np.int64]
    vectors: NDArray[np.float16]

    def some(self, rows: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """(B, W, D) words and (B, W) bool of some texts, no longer than the longest needs.

        A text without words has one word of zeros.
        """
        counts = torch.from_numpy(self.counts[rows]).clamp(min=1)
        longest = int(counts.max())
        words = torch.from_numpy(self.parts[rows, :longest]).float()
        return words, torch.arange(longest) < counts[:, None]

    def drawn(
        self, rows: NDArray[np.int64], most: int, draw: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """The same with so many words of each text at most, others each time."""
        counts = self.counts[rows].clip(1)
        keys = draw.random((len(rows), MOST_WORDS))
        keys[np.arange(MOST_WORDS) >= counts[:, None]] = 2  # what is not there comes last
        chosen = np.argsort(keys, axis=1)[:, :most]
        words = np.take_along_axis(self.parts[rows], chosen[..., None], axis=1)
        there = np.arange(most) < counts[:, None]
        return torch.from_numpy(words).float(), torch.from_numpy(there)


def some_patches(
    parts: NDArray[np.float16], count: int, draw: np.random.Generator
) -> NDArray[np.float16]:
    """(B, count, D) of (B, P, D): of each image other patches, in their order.

    A step costs a third, and no patch is learned by heart (doi 10.1109/CVPR52729.2023.02240).
    """
    if count >= parts.shape[1]:
        return parts
    chosen = np.argsort(draw.random(parts.shape[:2]), axis=1)[:, :count]
    return np.take_along_axis(parts, np.sort(chosen, axis=1)[..., None], axis=1)


@torch.inference_mode()
def picture_parts(
    net: JointNet,
    images: Sequence[Shown],
    pixels: Pixels,
    views: int,
    seed: int,
    cache: Path,
    key: str,
    tell: Tell,
) -> PictureParts:
    """Parts of images, from the file if it holds them.

    Args:
        net: The frozen towers, in evaluation mode.
        images: Which.
        pixels: Of them; what is counted in an image holds for all its views.
        views: So many of each.
        seed: Of the changes.
        cache: The file.
        key: Names the weights; a file of others is written anew.
        tell: Called with a line now and then.
    """
    known = _digest([key, str(views), str(seed), *(i.row.path.name for i in images)])
    kept = _kept(cache, known)
    if kept is not None:
        return PictureParts(kept["parts"], kept["vectors"])
    draw = torch.Generator().manual_seed(seed)
    may_turn = turnable(images)
    parts, vectors = [], []
    for begin in range(0, len(images), _BATCH):
        some = torch.from_numpy(pixels.grey[begin : begin + _BATCH]).float() / 255
        counted = torch.from_numpy(pixels.counted[begin : begin + _BATCH])
        turn = may_turn[begin : begin + _BATCH]
        shown = [some, *(changed(some, turn, draw) for _ in range(views - 1))]
        seen = [_seen(net, view, counted) for view in shown]
        parts.append(torch.stack([s[0] for s in seen], 1).half().numpy())
        vectors.append(torch.stack([s[1] for s in seen], 1).half().numpy())
        if begin // _BATCH % 10 == 0:
            tell(f"patches of {min(begin + _BATCH, len(images))} of {len(images)} images")
    found = PictureParts(np.concatenate(parts), np.concatenate(vectors))
    _keep(cache, key=np.array(known), parts=found.parts, vectors=found.vectors)
    return found


def _seen(net: JointNet, pixels: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """(B, P, D) and (B, dim) of (B, edge, edge) in 0..1 and of what is counted in them."""
    seen = net.see(pixels[:, None].expand(-1, DEPTH, -1, -1))
    components = net.fixed.components(counted)
    vectors = net.fixed.of_picture(net.learned([s.pooled for s in seen]), components)
    return side_by_side([s.parts for s in seen]), vectors


@torch.inference_mode()
def text_parts(net: JointNet, texts: Sequence[str], cache: Path, key: str) -> TextParts:
    """Parts of texts, from the file if it holds them; arguments as of `picture_parts`."""
    known = _digest([key, *texts])
    kept = _kept(cache, known)
    if kept is not None:
        return TextParts(kept["parts"], kept["counts"], kept["vectors"])
    width = len(net.towers) * net.first.words.size.part_dim
    parts = np.zeros((len(texts), MOST_WORDS, width), np.float16)
    counts = np.zeros(len(texts), np.int64)
    vectors = np.zeros((len(texts), net.dim), np.float16)
    order = sorted(range(len(texts)), key=lambda k: len(texts[k]))  # little is padded
    for begin in range(0, len(order), _BATCH):
        some = order[begin : begin + _BATCH]
        asked = [texts[k] for k in some]
        read = [t.words(*net.first.words.tokens(asked)) for t in net.towers]
        words = side_by_side([r.parts for r in read]) * read[0].there[..., None]
        learned = side_by_side([r.vectors for r in read])
        parts[some, : words.shape[1]] = words.half().numpy()
        counts[some] = read[0].there.sum(1).numpy()
        vectors[some] = net.text_vectors(asked, learned).half().numpy()
    found = TextParts(parts, counts, vectors)
    _keep(cache, key=np.array(known), parts=parts, counts=counts, vectors=vectors)
    return found


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _kept(cache: Path, key: str) -> dict[str, NDArray[Any]] | None:
    """Arrays of a file, if they are of this key."""
    if not cache.is_file():
        return None
    with np.load(cache, allow_pickle=False) as stored:
        return {k: stored[k] for k in stored.files} if str(stored["key"]) == key else None


def _keep(cache: Path, **arrays: NDArray[Any]) -> None:
    half = cache.with_suffix(".half.npz")
    np.savez(half, allow_pickle=False, **arrays)
    half.replace(cache)
