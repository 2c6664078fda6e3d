"""Patients as tokens: every modality a few vectors of one width, with a mask for what is absent.

Clinical columns are one token. Omics are a token a group of genes, or runs of principal components
where no groups are given. Image vectors are a token a kind of feature, told by the first word of
the column's name. Bags are a token a tile. All that is learned here is learned from the features
of the cohort that is given, which is the training part of a fold, and from no outcome.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.survival.scaling import Scaler
from mmtool.survival import Block, Cohort, Floats, Kind

WIDTH = 32  # components of a token
WIDE = 64  # of the one token of a clinical table, and of a tile
MOST_TILES = 512
_RUNS = 6  # tokens of a block without groups
_FEW, _MANY = 2, 8  # kinds of image features that are taken as tokens
_LEAST = 4  # columns of a kind
_TILES_SEEN = 20_000  # tiles that the scale and the components of a bag are learned from
OTHER = "other"

Signatures = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Shape:
    """What a network must know of a modality.

    Attributes:
        name: Of the block.
        kind: Of the block.
        tokens: T; 0 for a bag, whose tiles differ in number and share their weights.
        width: W numbers of a token.
    """

    name: str
    kind: Kind
    tokens: int
    width: int

    @property
    def numbers(self) -> int:
        """Numbers of a patient, a bag taken as its mean."""
        return max(self.tokens, 1) * self.width


@dataclass(frozen=True)
class Part:
    """A modality of B patients.

    Attributes:
        x: (B, T, W) float32, 0 where masked and beyond the width of a token.
        mask: (B, T) bool, True where there is a token.
    """

    x: Tensor
    mask: Tensor

    @property
    def present(self) -> Tensor:
        """(B,) bool, who has the modality."""
        return self.mask.any(dim=1)

    def rows(self, where: Tensor) -> Part:
        """Some of the patients."""
        return Part(self.x[where], self.mask[where])

    def without(self, absent: Tensor) -> Part:
        """The modality taken from the patients that ``absent`` (B,) names."""
        mask = self.mask & ~absent[:, None]
        return Part(self.x * mask[..., None], mask)

    def to(self, device: str) -> Part:
        """On another device."""
        return Part(self.x.to(device), self.mask.to(device))


Parts = dict[str, Part]


@dataclass(frozen=True)
class Group:
    """The columns of a token.

    Attributes:
        name: E.g. of a group of genes.
        places: (F_g,) columns of the modality.
        basis: (F_g, k <= W) float32, from scaled columns to the token.
    """

    name: str
    places: NDArray[np.int64]
    basis: NDArray[np.float32]


@dataclass(frozen=True)
class Tokeniser:
    """Makes the tokens of one modality.

    Attributes:
        name: Of the block.
        kind: Of the block; ``bag`` only where it has tiles.
        columns: F names.
        scaler: Of the columns.
        groups: T, one a token; of a bag one, for all tiles.
    """

    name: str
    kind: Kind
    columns: tuple[str, ...]
    scaler: Scaler
    groups: tuple[Group, ...]

    @property
    def shape(self) -> Shape:
        """For the network."""
        width = max(group.basis.shape[1] for group in self.groups)
        return Shape(self.name, self.kind, 0 if self.kind == "bag" else len(self.groups), width)

    def present(self, cohort: Cohort) -> NDArray[np.bool_]:
        """(P,) who has anything that is asked for."""
        block = cohort.blocks.get(self.name)
        if block is None:
            return np.zeros(len(cohort), np.bool_)
        if self.kind == "bag":
            return np.array([len(t) > 0 for t in block.tiles or ()], np.bool_)
        return np.asarray(~np.isnan(_matched(block.values, block, self.columns)).all(1), np.bool_)

    def scaled(self, cohort: Cohort) -> Floats | None:
        """(P, F) scaled columns, zeros for who has none; None of tiles."""
        if self.kind == "bag":
            return None
        block = cohort.blocks.get(self.name)
        if block is None:
            return np.zeros((len(cohort), len(self.columns)))
        return self.scaler(_matched(block.values, block, self.columns))

    def part(self, cohort: Cohort) -> Part:
        """The tokens of P patients."""
        present = self.present(cohort)
        shape = self.shape
        if not present.any():
            count = max(shape.tokens, 1)
            nothing = torch.zeros((len(cohort), count), dtype=torch.bool)
            return Part(torch.zeros((len(cohort), count, shape.width)), nothing)
        scaled = self.scaled(cohort)
        if scaled is None:
            return self._bags(cohort.blocks[self.name])
        x = np.zeros((len(cohort), shape.tokens, shape.width), np.float32)
        for t, group in enumerate(self.groups):
            x[:, t, : group.basis.shape[1]] = scaled[:, group.places] @ group.basis
        x[~present] = 0
        mask = np.repeat(present[:, None], shape.tokens, axis=1)
        return Part(torch.from_numpy(x), torch.from_numpy(mask))

    def tiles_of(self, block: Block) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Tokens of each patient's tiles and the tiles' places in the bag.

        They are in an order of their own, so that the order they came in says nothing.
        """
        out = []
        for tiles in block.tiles or ():
            scaled = self.scaler(_matched(tiles, block, self.columns))
            token = (scaled @ self.groups[0].basis).astype(np.float32)
            kept = _evenly(np.lexsort(token.T[::-1]), MOST_TILES)
            out.append((token[kept], kept))
        return out

    def _bags(self, block: Block) -> Part:
        bags = [token for token, _ in self.tiles_of(block)]
        most = max(max(map(len, bags)), 1)
        x = np.zeros((len(bags), most, self.shape.width), np.float32)
        mask = np.zeros((len(bags), most), np.bool_)
        for p, token in enumerate(bags):
            x[p, : len(token)], mask[p, : len(token)] = token, True
        return Part(torch.from_numpy(x), torch.from_numpy(mask))


def _matched(
    values: NDArray[np.float32], block: Block, columns: tuple[str, ...]
) -> NDArray[np.float32]:
    """(N, F) columns by name; NaN where the block lacks one."""
    if block.columns == columns:
        return values
    places = {name: i for i, name in enumerate(block.columns)}
    out = np.full((len(values), len(columns)), np.nan, np.float32)
    there = [i for i, name in enumerate(columns) if name in places]
    out[:, there] = values[:, [places[columns[i]] for i in there]]
    return out


def fit_tokenisers(cohort: Cohort, signatures: Signatures) -> tuple[Tokeniser, ...]:
    """Learn the tokens of every block that says anything.

    Args:
        cohort: Training patients.
        signatures: Group -> genes; groups may share genes. Empty for none.
    """
    made = (_fit(block, signatures) for block in cohort.blocks.values())
    return tuple(tokeniser for tokeniser in made if tokeniser is not None)


def _fit(block: Block, signatures: Signatures) -> Tokeniser | None:
    bag = block.kind == "bag" and block.tiles is not None
    values = _seen_tiles(block) if bag else block.values[block.present]
    if not len(values):
        return None
    scaler = Scaler.fit(values, counts=block.kind == "omics")
    varies = np.flatnonzero(scaler.scale > 0)
    if not len(varies):
        return None
    columns = tuple(block.columns[i] for i in varies)
    scaler = scaler.only(varies)
    scaled = scaler(values[:, varies])
    everything = np.arange(len(columns))
    if bag:
        groups = [_group("tiles", everything, scaled, WIDE)]
    elif block.kind == "clinical":
        groups = [_group("clinical", everything, scaled, WIDE)]
    elif block.kind == "omics":
        groups = _genes(columns, scaled, signatures)
    else:
        groups = _morphology(columns, scaled)
    kind: Kind = "image" if block.kind == "bag" and not bag else block.kind
    return Tokeniser(block.name, kind, columns, scaler, tuple(groups))


def _seen_tiles(block: Block) -> NDArray[np.float32]:
    """Tiles of all patients, as many of each as are needed to see enough."""
    bags = [tiles for tiles in block.tiles or () if len(tiles)]
    if not bags:
        return np.empty((0, len(block.columns)), np.float32)
    share = max(1, _TILES_SEEN // len(bags))
    return np.concatenate([_evenly(tiles, share) for tiles in bags])


def _evenly(rows: NDArray[Any], most: int) -> NDArray[Any]:
    """Some of the rows, evenly over their order; all if there are no more than ``most``."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _genes(columns: Sequence[str], scaled: Floats, signatures: Signatures) -> list[Group]:
    """A token a group of genes, and one for genes of none; else runs of components."""
    groups, left = [], set(range(len(columns)))
    for name, genes in signatures.items():
        inside = [i for i, column in enumerate(columns) if column in genes]
        if inside:
            groups.append(_group(name, np.array(inside), scaled, WIDTH))
            left -= set(inside)
    if not groups:
        return _runs(scaled)
    if left:
        groups.append(_group(OTHER, np.array(sorted(left)), scaled, WIDTH))
    return groups


def _morphology(columns: Sequence[str], scaled: Floats) -> list[Group]:
    """A token a first word of the columns' names; else runs of components."""
    words = [re.split(r"[^A-Za-z]", column, maxsplit=1)[0].lower() for column in columns]
    counts = Counter(words)
    kinds = [w for w, n in counts.most_common() if n >= _LEAST and w][: _MANY - 1]
    if len(kinds) < _FEW:
        return _runs(scaled)
    named = [word if word in kinds else OTHER for word in words]
    return [
        _group(kind, np.array([i for i, word in enumerate(named) if word == kind]), scaled, WIDTH)
        for kind in sorted(set(named))
    ]


def _runs(scaled: Floats) -> list[Group]:
    """Principal components in runs, the first ones first; their sizes keep their proportion."""
    basis = components(scaled, WIDTH * _RUNS)
    width = -(-basis.shape[1] // _RUNS)
    places = np.arange(scaled.shape[1])
    starts = range(0, basis.shape[1], width)
    factor = np.sqrt(width / max(float((scaled @ basis[:, :width]).var(axis=0).sum()), 1e-9))
    return [
        Group(f"components {s + 1} to {min(s + width, basis.shape[1])}", places, b)
        for s, b in ((s, (basis[:, s : s + width] * factor).astype(np.float32)) for s in starts)
    ]


def _group(name: str, places: NDArray[np.int64], scaled: Floats, width: int) -> Group:
    """Columns as they are or, if they are too many, their first components of the same variance."""
    own = scaled[:, places]
    if len(places) <= width:
        return Group(name, places, np.eye(len(places), dtype=np.float32))
    basis = components(own, width)
    total = max(float((own @ basis).var(axis=0).sum()), 1e-9)
    return Group(name, places, (basis * np.sqrt(basis.shape[1] / total)).astype(np.float32))


def components(scaled: Floats, most: int) -> Floats:
    """(F, k) orthonormal principal directions of (N, F), by falling variance."""
    centred = scaled - scaled.mean(axis=0)
    wide = centred.shape[1] > len(centred)
    # Of the smaller of the two products, which is much faster than a decomposition of the whole.
    size, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    kept = int((size > 1e-9 * max(size[-1], 1e-12)).sum())
    chosen = vectors[:, ::-1][:, : max(1, min(most, kept))]
    if wide:
        chosen = centred.T @ chosen
        chosen /= np.linalg.norm(chosen, axis=0).clip(min=1e-12)
    # Of the two signs, the one whose largest entry is positive: the same on every machine.
    largest = chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])]
    return np.asarray(chosen * np.where(largest < 0, -1.0, 1.0), np.float64)


def make_parts(tokenisers: Sequence[Tokeniser], cohort: Cohort) -> Parts:
    """Name -> tokens of the cohort's patients."""
    return {t.name: t.part(cohort) for t in tokenisers}
