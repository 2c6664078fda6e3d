"""The fit of the encoder of molecules and words: directions in closed form, then contrast."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse.linalg import svds
from torch import Tensor

from mmtool.models.encoders.molecule_features import Described
from mmtool.models.encoders.molecule_graph import together
from mmtool.models.encoders.molecule_text import MoleculeTextNet, MoleculeTextSize
from mmtool.models.losses.soft_alignment import soft_alignment

Report = Callable[[str], None]
_Array = NDArray[np.float32]


@dataclass(frozen=True)
class Pairs:
    """Molecules with their descriptions.

    Attributes:
        molecules: N of them.
        bags: (N, BUCKETS), as `mmtool.models.encoders.molecule_words.bags` counts.
        texts: (N,) numbers; equal ones are of equal descriptions.
    """

    molecules: Sequence[Described]
    bags: _Array
    texts: NDArray[np.int64]

    def some(self, rows: NDArray[np.int64]) -> Pairs:
        """These rows, in this order."""
        return Pairs([self.molecules[r] for r in rows], self.bags[rows], self.texts[rows])


@dataclass(frozen=True)
class MoleculeFit:
    """How it is fitted; all values were chosen on inner splits of training folds."""

    epochs: int = 3
    seed: int = 0
    batch: int = 256
    rate: float = 1e-3
    fitted_rate: float = 1e-4
    decay: float = 1e-2
    penalty: float = 1.0
    size: MoleculeTextSize = field(default_factory=MoleculeTextSize)


def fitted(pairs: Pairs, options: MoleculeFit) -> MoleculeTextNet:
    """A network with the directions of regularised canonical correlation; its graph side is new.

    A direction counts by its correlation's square, so what hardly correlates is hardly heard.
    """
    torch.manual_seed(options.seed)
    counts = np.stack([d.counts for d in pairs.molecules])
    net = MoleculeTextNet(options.size, counts.shape[1])
    net.mean.copy_(torch.from_numpy(counts.mean(0)))
    net.spread.copy_(torch.from_numpy(counts.std(0) + 1e-3))
    held = (pairs.bags > 0).sum(0)
    rarity = np.log((1 + len(pairs.texts)) / (1 + held)) + 1
    net.rarity.copy_(torch.from_numpy(rarity))
    first, second = (t.numpy() for t in _inputs(net, pairs))
    middle = first.mean(0), second.mean(0)
    maps = correlated(first - middle[0], second - middle[1], options.size.dim, options.penalty)
    with torch.no_grad():
        for layer, weights, mean in zip((net.of_parts, net.of_words), maps, middle, strict=True):
            layer.weight.zero_()  # of few pairs there are fewer directions than numbers
            layer.bias.zero_()
            layer.weight[: weights.shape[1]] = torch.from_numpy(weights.T)
            layer.bias[: weights.shape[1]] = torch.from_numpy(-mean @ weights)
    return net


def restarted(net: MoleculeTextNet, seed: int) -> MoleculeTextNet:
    """What `fitted` gives of another seed: the same directions, another graph side."""
    torch.manual_seed(seed)
    fresh = MoleculeTextNet(net.size, len(net.mean))
    kept = {k: v for k, v in net.state_dict().items() if not k.startswith("graph.")}
    fresh.load_state_dict(kept, strict=False)
    return fresh


def correlated(first: _Array, second: _Array, count: int, penalty: float) -> tuple[_Array, _Array]:
    """Directions (D, k) and (E, k) of two views (N, D) and (N, E), each centred.

    Each direction is scaled by its correlation's square.
    """
    views, back = zip(*(_narrowed(view) for view in (first, second)), strict=True)
    roots = [
        cholesky(view.T @ view + np.float32(penalty) * np.eye(view.shape[1], dtype=np.float32))
        for view in views
    ]
    half = solve_triangular(roots[0], views[0].T @ views[1], trans="T")
    shared = solve_triangular(roots[1], half.T, trans="T").T
    count = min(count, min(shared.shape) - 1)
    left, values, right = svds(shared, k=count, random_state=0)
    order = np.argsort(-values)
    scale = values[order] ** 2
    maps = [
        solve_triangular(root, side) * scale
        for root, side in zip(roots, (left[:, order], right[order].T), strict=True)
    ]
    one, other = (
        np.asarray(m if b is None else b @ m, np.float32) for m, b in zip(maps, back, strict=True)
    )
    return one, other


def _narrowed(view: _Array) -> tuple[_Array, _Array | None]:
    """A view of few rows in coordinates of its own rows, (N, N), and these as (D, N)."""
    rows, columns = view.shape
    if rows * 2 > columns:
        return view, None
    basis, coordinates = np.linalg.qr(view.T)
    return coordinates.T, basis


def _inputs(net: MoleculeTextNet, pairs: Pairs) -> tuple[Tensor, Tensor]:
    fragments = torch.from_numpy(np.stack([d.fragments for d in pairs.molecules]))
    counts = torch.from_numpy(np.stack([d.counts for d in pairs.molecules]))
    return net.parts(fragments, counts), net.weighed(torch.from_numpy(pairs.bags))


def contrast(
    net: MoleculeTextNet,
    pairs: Pairs,
    options: MoleculeFit,
    after: Callable[[int, float, Any], None],
    start: tuple[int, Any] | None = None,
) -> None:
    """Train by contrast in place: AdamW, the rate falls to 0 along a cosine.

    Args:
        net: From `fitted`.
        pairs: To learn from.
        options: See there.
        after: Called with the number of each pass, its mean loss, and the optimiser.
        start: Passes that are done and the optimiser's state, to go on from.
    """
    parts, words = _inputs(net, pairs)
    linear = [*net.of_parts.parameters(), *net.of_words.parameters()]
    own = [p for n, p in net.named_parameters() if not n.startswith("of_")]
    adam = torch.optim.AdamW(
        [{"params": linear, "lr": options.fitted_rate}, {"params": own, "lr": options.rate}],
        weight_decay=options.decay,
    )
    rates = [group["lr"] for group in adam.param_groups]
    begun = 0
    if start is not None:
        begun = start[0]
        adam.load_state_dict(start[1])
    groups = torch.from_numpy(pairs.texts)
    for epoch in range(begun, options.epochs):
        torch.manual_seed(options.seed * 100_003 + epoch)
        share = 0.5 * (1 + math.cos(math.pi * epoch / options.epochs))
        for group, rate in zip(adam.param_groups, rates, strict=True):
            group["lr"] = rate * share
        net.train()
        losses = []
        for rows in torch.split(torch.randperm(len(groups)), options.batch):
            graphs = together([pairs.molecules[r].graph for r in rows.tolist()])
            seen = net.molecules(parts[rows], graphs if net.size.layers else None)
            same = groups[rows][:, None] == groups[rows][None]
            loss = soft_alignment(seen, net.texts(words[rows]), same, net.scale.exp())
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            losses.append(float(loss.detach()))
        after(epoch + 1, float(np.mean(losses)), adam)
    net.eval()
