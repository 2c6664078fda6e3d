"""How much each side of a joint encoder counts: chosen on cases that nothing was learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.encoders.joint import JointNet
from mmtool.models.encoders.joint_input import DEPTH
from mmtool.pipelines.evaluation.retrieve_probes import (
    Row,
    ranked,
    same_case,
    zero_shot,
)
from mmtool.pipelines.training.retrieve_data import Pixels, Shown

TOPICS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)  # against 1 of what is learned
COMPONENTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
_NEARLY = 0.99
_SLABS = 32


@torch.inference_mode()
def seen_vectors(net: JointNet, images: Pixels) -> NDArray[np.float64]:
    """(N, dim) of images, as the encoder gives them."""
    return net.fixed.of_picture(*_sides(net, images)).double().numpy()


def _sides(net: JointNet, images: Pixels) -> tuple[Tensor, Tensor]:
    """Learned vectors and components."""
    pixels = torch.from_numpy(images.grey).float() / 255
    learned = [
        net.learned([s.pooled for s in net.see(p[:, None].expand(-1, DEPTH, -1, -1))])
        for p in torch.split(pixels, _SLABS)
    ]
    return torch.cat(learned), net.fixed.components(torch.from_numpy(images.counted))


@torch.inference_mode()
def read_vectors(net: JointNet, texts: Sequence[str]) -> NDArray[np.float64]:
    """(N, dim) of texts, as the encoder gives them."""
    rows = [net.text_vectors([t], net.read([t])[0]) for t in texts]
    return torch.cat(rows).double().numpy()


@torch.no_grad()
def choose_shares(
    net: JointNet, pixels: Pixels, images: Sequence[Shown], left: int
) -> dict[str, float]:
    """Set the shares of a network to the best of a grid, and say what they came to.

    First that of topics, by recall between images and texts and by zero-shot accuracy: each measure
    counts relative to the best that any share gave, each of the three kinds once. Then that of
    components, which texts do not have, by the recall of images of the same case: the least that is
    nearly as good as the best, since what is learned knows modality and region better.

    Args:
        net: With a fitted side.
        pixels: All images.
        images: The same with their words.
        left: So many at the begin are those that nothing was learned from.
    """

    @cache
    def parts(text: str) -> tuple[Tensor, Tensor]:
        return net.read([text])[0], net.first.words.bag([text])

    def read(texts: Sequence[str]) -> NDArray[np.float64]:
        rows = torch.cat([net.fixed.of_text(*parts(text)) for text in texts])
        return np.asarray(rows.double().numpy())

    learned, components = _sides(net, pixels)
    kept = [k for k, image in enumerate(images) if image.caption]
    gallery = [images[k] for k in kept]
    shown = [images[k] for k in kept if k < left]

    def seen(*shares: float) -> NDArray[np.float64]:
        net.fixed.shares.copy_(torch.tensor([1.0, *shares]))
        return net.fixed.of_picture(learned[kept], components[kept]).double().numpy()

    by_words = {t: _by_words(seen(t, 0.0)[: len(shown)], read, shown) for t in TOPICS}
    most = [np.max(values, 0).clip(1e-9) for values in zip(*by_words.values(), strict=True)]
    words = {
        topics: float(np.mean([np.mean(v / top) for v, top in zip(values, most, strict=True)]))
        for topics, values in by_words.items()
    }
    topics = max(words, key=lambda share: (words[share], -share))
    cases = {
        share: sum(row.value for row in same_case(shown, gallery, seen(topics, share), None))
        for share in COMPONENTS
    }
    own = min(share for share, found in cases.items() if found >= _NEARLY * max(cases.values()))
    net.fixed.shares.copy_(torch.tensor([1.0, topics, own]))
    return {"topics": topics, "components": own}


def _by_words(
    vectors: NDArray[np.float64],
    read: Callable[[Sequence[str]], NDArray[np.float64]],
    shown: Sequence[Shown],
) -> list[NDArray[np.float64]]:
    """Measures between images and words, of three kinds."""
    kinds: list[list[Row]] = [
        ranked(shown, vectors, read([i.full_text for i in shown]), "full", None),
        ranked(shown, vectors, read([i.caption for i in shown]), "caption", None),
        zero_shot(shown, vectors, read, None),
    ]
    return [np.array([row.value for row in rows]) for rows in kinds if rows]
