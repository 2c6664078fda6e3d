"""How much each side of a joint encoder counts: chosen on cases that nothing was learned from."""

from __future__ import annotations

from collections.abc import Sequence
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


@torch.inference_mode()
def choose_shares(
    net: JointNet, grey: NDArray[np.uint8], images: Sequence[Shown], seed: int
) -> dict[str, float]:
    """Set the shares of a network to the best of a grid, and say what they came to.

    The mean of recall between images and texts, zero-shot accuracy, and neighbours of the same
    labels and of the same case, each kind counted once.

    Args:
        net: With a fitted side.
        grey: (N, edge, edge) uint8: images that nothing was learned from.
        images: The same with their words.
        seed: Of the measures.
    """
    learned, components = _sides(net, grey)
    found: dict[tuple[float, float], float] = {}
    for topics, own in product(TOPICS, COMPONENTS):
        net.fixed.shares.copy_(torch.tensor([1.0, topics, own]))
        vectors = net.fixed.of_picture(learned, components).double().numpy()
        found[topics, own] = _worth(net, vectors, images, seed)
    best = max(found, key=lambda pair: (found[pair], -sum(pair)))
    net.fixed.shares.copy_(torch.tensor([1.0, *best]))
    return {"topics": best[0], "components": best[1], "worth": found[best], "alone": found[0, 0]}


def _worth(
    net: JointNet, vectors: NDArray[np.float64], images: Sequence[Shown], seed: int
) -> float:
    kept = [k for k, image in enumerate(images) if image.caption]
    shown, seen = [images[k] for k in kept], vectors[kept]
    kinds: list[list[Row]] = [
        ranked(shown, seen, read_vectors(net, [i.full_text for i in shown]), "full", seed),
        ranked(shown, seen, read_vectors(net, [i.caption for i in shown]), "caption", seed),
        zero_shot(shown, seen, lambda texts: read_vectors(net, texts), seed),
        neighbours(shown, shown, seen, seed),
        same_case(shown, shown, seen, seed),
    ]
    return float(np.mean([np.mean([row.value for row in rows]) for rows in kinds]))
