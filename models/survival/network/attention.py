"""Maps of attention and transport plans of fusion networks, under the names of their tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mmtool.models.explainers.effects import Effects, Item
from mmtool.models.survival.network.hazard_net import HazardNet
from mmtool.models.survival.network.tokens import Tokeniser, make_parts
from mmtool.survival import Cohort, Floats


@torch.no_grad()
def attention_of(
    tokenisers: Sequence[Tokeniser], members: Sequence[HazardNet], cohort: Cohort, device: str
) -> list[Effects]:
    """Share of each token in what is looked at, the mean over members and over who asks.

    Tokens and, of a map, pairs of the token that asks and the one that is seen; tiles apart, by
    their places in the bag. Empty if the networks have neither map nor attention.
    """
    parts = {n: p.to(device) for n, p in make_parts(tokenisers, cohort).items()}
    traces = [network(parts).trace for network in members]
    key = next((k for k in ("map", "attention") if k in traces[0]), None)
    if key is None:
        return []
    maps = torch.stack([t[key].reshape(len(cohort), -1, t[key].shape[-1]) for t in traces])
    weights = maps.mean(dim=0).cpu().double().numpy()  # (P, G, T)
    asking, seen = members[0].seen()
    by_name = {t.name: t for t in tokenisers}
    out: list[Effects] = []
    total = np.maximum(weights.sum(axis=(1, 2)), 1e-12)
    start = 0
    for name in seen:
        width = parts[name].mask.shape[1]
        own = weights[:, :, start : start + width] / total[:, None, None]
        there = parts[name].mask.cpu().numpy()
        out += _of_modality(by_name[name], own, there, [by_name[n] for n in asking], cohort)
        start += width
    return out


def _of_modality(
    tokeniser: Tokeniser,
    weights: Floats,
    there: np.ndarray,
    asking: Sequence[Tokeniser],
    cohort: Cohort,
) -> list[Effects]:
    values = np.where(there, weights.sum(axis=1), np.nan)
    if tokeniser.kind == "bag":
        return [_of_tiles(tokeniser, values, cohort)] if tokeniser.name in cohort.blocks else []
    items = tuple(
        Item(tokeniser.name, g.name, tuple(int(p) for p in g.places)) for g in tokeniser.groups
    )
    out = [Effects("token", items, values, signed=False)]
    askers = [f"{t.name} {g.name}" for t in asking if t.kind != "bag" for g in t.groups]
    if len(askers) == weights.shape[1]:
        pairs = tuple(
            Item(tokeniser.name, f"{who} looks at {g.name}", ())
            for who in askers
            for g in tokeniser.groups
        )
        told = np.where(there[:, None, :], weights, np.nan).reshape(len(weights), -1)
        out.append(Effects("pair", pairs, told, signed=False))
    return out


def _of_tiles(tokeniser: Tokeniser, values: Floats, cohort: Cohort) -> Effects:
    block = cohort.blocks[tokeniser.name]
    most = max((len(tiles) for tiles in block.tiles or ()), default=0)
    told = np.full((len(values), most), np.nan)
    for p, (_, places) in enumerate(tokeniser.tiles_of(block)):
        told[p, places] = values[p, : len(places)]
    items = tuple(Item(tokeniser.name, str(i), (i,)) for i in range(most))
    return Effects("tile", items, told, signed=False)
