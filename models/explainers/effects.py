"""What explainers share: the parts of a patient that they judge, and what they say of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import UsageError
from mmtool.survival import Block, Cohort, Floats

METHODS = ("shap", "sensitivity", "saliency", "masking", "attention")
REST = "other columns"
Level = Literal["modality", "group", "feature", "token", "tile", "pair"]
Groups = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class Item:
    """A part of a patient.

    Attributes:
        modality: Its name.
        name: Of a group, a feature, a tile, or of the modality itself.
        places: Columns of the modality, as the model orders them; of a tile, its place in the
            bag. None: the whole modality, which is then missing.
    """

    modality: str
    name: str
    places: tuple[int, ...] | None


@dataclass(frozen=True)
class Effects:
    """What a method says of P patients.

    Attributes:
        level: Of the items.
        items: K.
        values: (P, K); NaN where a patient lacks the item.
        signed: Whether a value above 0 says that the item raises the patient's risk.
        error: (P, K) standard errors, or None of what is exact.
    """

    level: Level
    items: tuple[Item, ...]
    values: Floats
    signed: bool
    error: Floats | None = None


class Explainable(Protocol):
    """A model that can be explained."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names."""
        ...

    def columns(self, name: str) -> tuple[str, ...]:
        """F columns of a modality."""
        ...

    def risk(self, cohort: Cohort) -> Floats:
        """(P,) NaN where nothing is known."""
        ...

    def middle(self, name: str) -> Floats | None:
        """(F,) values of the median training patient; None of bags of tiles."""
        ...

    def slopes(self, cohort: Cohort, name: str) -> Floats | None:
        """(P, F) gradient of the risk by each column, in its sd; None of bags of tiles."""
        ...

    def shifts(self, cohort: Cohort, name: str) -> Floats | None:
        """(P, F) change of the risk by one sd of each column, NaN where it is not computed."""
        ...

    def attention(self, cohort: Cohort) -> list[Effects]:
        """What the model looks at; empty where it has no such thing."""
        ...

    def own_fits(self) -> Sequence[Explainable]:
        """Models of the same kind, each of another part of the training patients."""
        ...


def explain(
    method: str, model: Explainable, cohort: Cohort, groups: Groups, seed: int
) -> list[Effects]:
    """Explain risks by a method.

    Args:
        method: One of `METHODS`.
        model: The model.
        cohort: P patients, as :func:`aligned` gives them.
        groups: Modality -> group -> columns.
        seed: Of what is drawn.

    Raises:
        UsageError: There is no such method, or the model has nothing that it could show.
    """
    if method not in METHODS:
        raise UsageError(f"--explain {method}: not known", f"one of {', '.join(METHODS)}")
    module = importlib.import_module(f"mmtool.models.explainers.{method}")
    found: list[Effects] = module.explain(model, cohort, groups, seed)
    return found


def aligned(model: Explainable, cohort: Cohort) -> Cohort:
    """The cohort with the model's modalities alone, their columns in the model's order."""
    blocks = {n: cohort.blocks[n] for n in model.modalities if n in cohort.blocks}
    return replace(cohort, blocks={n: _ordered(b, model.columns(n)) for n, b in blocks.items()})


def _ordered(block: Block, columns: tuple[str, ...]) -> Block:
    if block.tiles is not None or block.columns == columns:
        return block
    place = {name: i for i, name in enumerate(block.columns)}
    values = np.full((len(block.values), len(columns)), np.nan, np.float32)
    for i, column in enumerate(columns):
        if column in place:
            values[:, i] = block.values[:, place[column]]
    return replace(block, columns=columns, values=values)


def present(cohort: Cohort, items: Sequence[Item]) -> NDArray[np.bool_]:
    """(P, K) which patients have the modality of each item."""
    return np.stack([cohort.blocks[i.modality].present for i in items], axis=1)


def units(model: Explainable, cohort: Cohort, groups: Groups) -> tuple[Item, ...]:
    """Disjoint groups that together are all columns; a modality without groups is one of them.

    A column of several groups counts in the first of them.
    """
    out = []
    for name in cohort.blocks:
        left = {column: i for i, column in enumerate(model.columns(name))}
        own = groups.get(name, {}) if model.middle(name) is not None else {}
        for group, columns in own.items():
            places = tuple(left.pop(c) for c in columns if c in left)
            if places:
                out.append(Item(name, group, places))
        if len(left) == len(model.columns(name)):
            places = tuple(left.values())
            out.append(Item(name, name, None if model.middle(name) is None else places))
        elif left:
            out.append(Item(name, REST, tuple(left.values())))
    return tuple(out)


def without(
    model: Explainable, cohort: Cohort, items: Sequence[Item], chosen: NDArray[np.bool_]
) -> Cohort:
    """The cohort with some items taken from each patient.

    Columns become those of the median training patient, tiles leave their bag, and a modality
    without places is missing.

    Args:
        model: For its median patient.
        cohort: P patients, as :func:`aligned` gives them.
        items: K.
        chosen: (P, K) which are taken from whom.
    """
    blocks = dict(cohort.blocks)
    for name in {item.modality for item in items}:
        own = [(item, chosen[:, k]) for k, item in enumerate(items) if item.modality == name]
        if any(rows.any() for _, rows in own):
            blocks[name] = _taken(blocks[name], own, model.middle(name))
    return replace(cohort, blocks=blocks)


def _taken(
    block: Block, own: Sequence[tuple[Item, NDArray[np.bool_]]], middle: Floats | None
) -> Block:
    values, there = block.values.copy(), block.present.copy()
    tiles = None if block.tiles is None else list(block.tiles)
    gone: dict[int, set[int]] = {}
    for item, rows in own:
        if item.places is None:
            values[rows], there[rows] = np.nan, False
            if tiles is not None:
                gone |= {int(p): set(range(len(tiles[p]))) for p in np.flatnonzero(rows)}
        elif middle is None:
            for p in np.flatnonzero(rows):
                gone.setdefault(int(p), set()).update(item.places)
        else:
            places = np.array(item.places)
            values[np.ix_(np.flatnonzero(rows), places)] = middle[places]
    if tiles is None:
        return replace(block, values=values, present=there)
    for who, out in gone.items():
        left = [i for i in range(len(tiles[who])) if i not in out]
        tiles[who], there[who] = tiles[who][left], bool(left)
    return replace(block, values=values, present=there, tiles=tuple(tiles))
