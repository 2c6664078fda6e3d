"""Bags of tile features of a cohort, from files that others wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmtool.bags import Bags, PatientBag, SlideBag
from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.feature_bags import bag_reader, find_bags, same_width
from mmtool.models.encoders.tile_encoder import columns_of
from mmtool.pipelines.slide_names import owners
from mmtool.survival import Block


def read_bags(
    folder: Path,
    ids: Sequence[str],
    *,
    table: Mapping[str, Sequence[str]] | None = None,
    most: int | None = None,
    seed: int = 0,
    limits: Limits | None = None,
) -> Bags:
    """Read the bags of the patients' slides.

    Args:
        folder: Files of features, one a slide; what is below it counts too.
        ids: Of the patients.
        table: Patient -> names of slides; by the names of the files when None
            (:func:`mmtool.pipelines.slide_names.owners`).
        most: Tiles that are kept of a patient, drawn at random; all when None.
        seed: Of that draw.
        limits: Bounds; the defaults when None.

    Raises:
        InputError: No folder, no file of any patient, a broken file, or features of different
            encoders.
    """
    files = find_bags(folder, limits)
    owned = owners([f.stem for f in files], ids, table)
    if not any(owned.slides):
        raise InputError(
            f"{folder}: none of {len(files)} files belongs to one of {len(ids)} patients",
            "a file is named by its patient's id, or a column slide_id says whose it is",
        )
    slides: dict[int, SlideBag] = {}
    with bag_reader(limits) as reader:
        for k in sorted(k for own in owned.slides for k in own):
            slides[k] = reader.read(files[k])
    width = same_width(list(slides.values()), folder)
    notes = list(owned.notes)
    empty = [bag.name for bag in slides.values() if not len(bag.features)]
    if empty:
        notes.append(f"{len(empty)} slides have no tiles: {', '.join(empty[:3])}")
    rng = np.random.default_rng(seed)
    patients = tuple(
        thinned(patient_bag([slides[k] for k in own], width), most, rng) for own in owned.slides
    )
    made = next((bag.encoder for bag in slides.values() if bag.encoder), None)
    return Bags(columns_of(made, width), patients, tuple(notes))


def patient_bag(slides: Sequence[SlideBag], width: int) -> PatientBag:
    """All slides of a patient in one bag, in their order.

    Args:
        slides: May be none.
        width: Features of a tile.
    """
    counts = [len(s.features) for s in slides]
    places = [
        np.full((len(s.features), 2), np.nan, np.float32) if s.coords is None else s.coords
        for s in slides
    ]
    return PatientBag(
        tuple(s.name for s in slides),
        np.concatenate([np.empty((0, width), np.float32), *(s.features for s in slides)]),
        np.concatenate([np.empty((0, 2), np.float32), *places]),
        np.repeat(np.arange(len(slides)), counts),
        tuple(float("nan") if s.tile is None else float(s.tile) for s in slides),
    )


def thinned(bag: PatientBag, most: int | None, rng: np.random.Generator) -> PatientBag:
    """The bag, or a random part of so many tiles of it, in their order."""
    if most is None or len(bag) <= most:
        return bag
    kept = np.sort(rng.choice(len(bag), most, replace=False))
    return replace(bag, features=bag.features[kept], coords=bag.coords[kept], slide=bag.slide[kept])


def block_of(bags: Bags, name: str = "slides") -> Block:
    """The bags as a block of a cohort; the value of a patient is the mean over the tiles."""
    width = len(bags.columns)
    means = [
        bag.features.mean(0, dtype=np.float64) if len(bag) else np.full(width, np.nan)
        for bag in bags.patients
    ]
    return Block(
        name=name,
        kind="bag",
        columns=bags.columns,
        values=np.array(means, np.float32).reshape(-1, width),
        present=np.array([len(bag) > 0 for bag in bags.patients], bool),
        tiles=tuple(bag.features for bag in bags.patients),
    )
