"""How much each side of a joint encoder counts: chosen on cases that nothing was learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.encoders.fixed_side import counted
from mmtool.models.encoders.joint import JointNet
from mmtool.models.encoders.joint_input import DEPTH
from mmtool.pipelines.evaluation.retrieve_probes import (
    Row,
    neighbours,
    ranked,
    same_case,
    zero_shot,
)
from mmtool.pipelines.training.retrieve_data import Shown

TOPICS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)  # against 1 of what is learned
COMPONENTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
_SLABS = 32


@torch.inference_mode()
def seen_vectors(net: JointNet, grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, dim) of (N, edge, edge) uint8: images, as the encoder gives them."""
    return net.fixed.of_picture(*_sides(net, grey)).double().numpy()


def _sides(net: JointNet, grey: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Learned vectors and components."""
    pixels = torch.from_numpy(grey).float() / 255
    learned = [
        net.pictures.vector(net.pictures.see(p[:, None].expand(-1, DEPTH, -1, -1)).pooled)
        for p in torch.split(pixels, _SLABS)
    ]
    fixed = [net.fixed.components(counted(p)) for p in torch.split(pixels, _SLABS)]
    return torch.cat(learned), torch.cat(fixed)


@torch.inference_mode()
def read_vectors(net: JointNet, texts: Sequence[str]) -> NDArray[np.float64]:
    """(N, dim) of texts, as the encoder gives them."""
    rows = [net.text_vector(t, net.words(*net.words.tokens([t])).vectors) for t in texts]
    return torch.cat(rows).double().numpy()


@torch.no_grad()
def choose_shares(
    net: JointNet, grey: NDArray[np.uint8], images: Sequence[Shown], left: int
) -> dict[str, float]:
    """Set the shares of a network to the best of a grid, and say what they came to.

    Measured are recall between images and texts, zero-shot accuracy, and neighbours of the same
    labels and of the same case. Each measure counts relative to the best that any shares gave, so
    that a hard one weighs as much as an easy one; each of the five kinds counts once.

    Args:
        net: With a fitted side.
        grey: (N, edge, edge) uint8: all images.
        images: The same with their words.
        left: So many at the begin are those that nothing was learned from.
    """

    @cache
    def parts(text: str) -> tuple[Tensor, Tensor]:
        return net.words(*net.words.tokens([text])).vectors, net.words.bag([text])

    def read(texts: Sequence[str]) -> NDArray[np.float64]:
        rows = torch.cat([net.fixed.of_text(*parts(text)) for text in texts])
        return np.asarray(rows.double().numpy())

    learned, components = _sides(net, grey)
    measures = {}
    for topics, own in product(TOPICS, COMPONENTS):
        net.fixed.shares.copy_(torch.tensor([1.0, topics, own]))
        vectors = net.fixed.of_picture(learned, components).double().numpy()
        measures[topics, own] = _measures(vectors, read, images, left)
    most = [np.max(values, 0).clip(1e-9) for values in zip(*measures.values(), strict=True)]
    found = {
        shares: float(np.mean([np.mean(v / top) for v, top in zip(values, most, strict=True)]))
        for shares, values in measures.items()
    }
    best = max(found, key=lambda pair: (found[pair], -sum(pair)))
    net.fixed.shares.copy_(torch.tensor([1.0, *best]))
    return {"topics": best[0], "components": best[1], "worth": found[best], "alone": found[0, 0]}


def _measures(
    vectors: NDArray[np.float64],
    read: Callable[[Sequence[str]], NDArray[np.float64]],
    images: Sequence[Shown],
    left: int,
) -> list[NDArray[np.float64]]:
    """Measures of each kind, on the images left out that have captions."""
    kept = [k for k, image in enumerate(images) if image.caption]
    gallery, every = [images[k] for k in kept], vectors[kept]
    shown = [images[k] for k in kept if k < left]
    seen = every[: len(shown)]
    kinds: list[list[Row]] = [
        ranked(shown, seen, read([i.full_text for i in shown]), "full", None),
        ranked(shown, seen, read([i.caption for i in shown]), "caption", None),
        zero_shot(shown, seen, read, None),
        neighbours(shown, gallery, every, None),
        same_case(shown, gallery, every, None),
    ]
    return [np.array([row.value for row in rows]) for rows in kinds if rows]
