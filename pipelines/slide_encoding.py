"""Slides to bags: tissue is found, cut into tiles, and each tile is encoded; kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from mmtool.bags import Bags, PatientBag, SlideBag
from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.feature_bags import BagReader, bag_reader, find_bags
from mmtool.io.readers.slide import (
    Pixels,
    Slide,
    SlideReader,
    find_slides,
    hash_slide,
    slide_reader,
)
from mmtool.io.writers.feature_bag import write_bag
from mmtool.models.encoders.tile_encoder import TileEncoder, load_encoder, signature
from mmtool.pipelines.slide_bags import patient_bag, read_bags
from mmtool.pipelines.slide_names import owners
from mmtool.pipelines.slide_tissue import OVERVIEW_MPP, tile_places, tissue_mask

_TISSUE = "1"  # changes when the same slide gives other tiles
_BATCH = 32  # tiles that are read and encoded at a time
_COARSEST = 1.25  # of the encoder's µm a pixel that a slide may have

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Tiling:
    """How a slide is cut.

    Attributes:
        mpp: µm a pixel of slides that don't say it; what a slide says goes before.
        least: Share of tissue in a tile.
        most: Tiles of a slide, drawn at random from its tissue; all when None.
    """

    mpp: float | None = None
    least: float = 0.5
    most: int | None = None


def bags_of(
    folder: Path,
    ids: Sequence[str],
    *,
    cache: Path,
    encoder: str = "stain_texture",
    tiling: Tiling | None = None,
    table: Mapping[str, Sequence[str]] | None = None,
    device: torch.device | None = None,
    limits: Limits | None = None,
) -> Bags:
    """The bags of a folder of features, or else of the slides in it; arguments as below.

    Raises:
        InputError: Neither is there, or as :func:`read_bags` and :func:`encode_slides`.
    """
    if find_bags(folder, limits):
        most = None if tiling is None else tiling.most
        return read_bags(folder, ids, table=table, most=most, limits=limits)
    if not find_slides(folder, limits):
        raise InputError(
            f"{folder}: neither features of slides nor slides are in it",
            "features are .h5, .pt or .npy; of slides, what OpenSlide reads",
        )
    return encode_slides(
        folder,
        ids,
        cache=cache,
        encoder=encoder,
        tiling=tiling,
        table=table,
        device=device,
        limits=limits,
    )


def encode_slides(
    folder: Path,
    ids: Sequence[str],
    *,
    cache: Path,
    encoder: str = "stain_texture",
    tiling: Tiling | None = None,
    table: Mapping[str, Sequence[str]] | None = None,
    device: torch.device | None = None,
    limits: Limits | None = None,
    progress: Callable[[str, int], None] = lambda name, tiles: None,
) -> Bags:
    """Encode the slides of the patients; what is in the cache already is read from there.

    Args:
        folder: Slides; what is below it counts too.
        ids: Of the patients.
        cache: Folder that keeps the bags, by hash of slide and settings. It can be given in place
            of the slides later.
        encoder: Name of a file of ``models/encoders``.
        tiling: How slides are cut; the defaults when None.
        table: Patient -> names of slides; by the names of the files when None.
        device: Of the encoder; the processor when None.
        limits: Bounds; the defaults when None.
        progress: Called with name and number of tiles when a slide is done.

    Returns:
        The bags. A slide that can't be read, or holds no tissue, adds no tile and is told in the
        notes.

    Raises:
        InputError: No folder, no slide of any patient, or none that can be read.
        ModelError: There is no such encoder.
    """
    slides = find_slides(folder, limits)
    owned = owners([s.stem for s in slides], ids, table)
    wanted = sorted(k for own in owned.slides for k in own)
    if not wanted:
        raise InputError(
            f"{folder}: none of {len(slides)} slides belongs to one of {len(ids)} patients",
            "a slide is named by its patient's id, or a column slide_id says whose it is",
        )
    model = load_encoder(encoder, device or torch.device("cpu"))
    bags: dict[int, SlideBag] = {}
    failed: list[InputError] = []
    with slide_reader(limits) as reader, bag_reader(limits) as kept:
        desk = _Desk(model, tiling or Tiling(), cache, reader, kept)
        for k in wanted:
            try:
                bags[k] = desk.bag(slides[k])
            except InputError as error:
                failed.append(error)
            else:
                progress(slides[k].stem, len(bags[k].features))
    if not bags:
        raise failed[0]
    width = len(model.columns)
    patients: tuple[PatientBag, ...] = tuple(
        patient_bag([bags[k] for k in own if k in bags], width) for own in owned.slides
    )
    notes = (*owned.notes, *_told(list(bags.values()), failed))
    return Bags(model.columns, patients, notes)


def _told(bags: Sequence[SlideBag], failed: Sequence[InputError]) -> list[str]:
    empty = [bag.name for bag in bags if not len(bag.features)]
    notes = [f"left out: {error.message} ({error.hint})" for error in failed]
    if empty:
        notes.append(f"{len(empty)} slides hold no tile of tissue: {', '.join(empty[:3])}")
    return notes


@dataclass(frozen=True)
class _Desk:
    """Encodes one slide after the other, or finds it in the cache."""

    encoder: TileEncoder
    tiling: Tiling
    cache: Path
    slides: SlideReader
    kept: BagReader

    def bag(self, path: Path) -> SlideBag:
        """The bag of a slide."""
        place = self.cache / self.encoder.name / self._key(path)[:16] / f"{path.stem}.h5"
        if place.exists():
            return self.kept.read(place)
        found = encode_slide(self.slides.open(path, self.tiling.mpp), self.encoder, self.tiling)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_bag(place, found, signature(self.encoder))
        return found

    def _key(self, path: Path) -> str:
        settings = (hash_slide(path), self.encoder.name, self.encoder.version, _TISSUE)
        return hashlib.sha256(repr((settings, self.tiling)).encode()).hexdigest()


def encode_slide(slide: Slide, encoder: TileEncoder, tiling: Tiling) -> SlideBag:
    """Encode the tiles of an open slide, a batch at a time; the next is read meanwhile.

    Raises:
        InputError: The slide is damaged, or coarser than the encoder needs.
    """
    head = slide.header
    if head.mpp > encoder.mpp * _COARSEST:
        raise InputError(
            f"{head.path}: {head.mpp:.3g} µm a pixel, the encoder needs {encoder.mpp:g}",
            "scan or export the slide at a higher magnification",
        )
    edge = encoder.size * encoder.mpp / head.mpp
    overview, scale = slide.overview(OVERVIEW_MPP)
    mask = tissue_mask(overview, scale * head.mpp)
    places = tile_places(mask, scale, head.sizes[0], edge, tiling.least)
    if tiling.most is not None and len(places) > tiling.most:
        chosen = np.random.default_rng(0).choice(len(places), tiling.most, replace=False)
        places = places[np.sort(chosen)]
    batches = [
        [(float(x), float(y)) for x, y in places[k : k + _BATCH]]
        for k in range(0, len(places), _BATCH)
    ]

    def read(batch: list[tuple[float, float]]) -> Pixels:
        return slide.tiles(batch, edge, encoder.size)

    parts = [np.empty((0, len(encoder.columns)), np.float32)]
    with ThreadPoolExecutor(1) as pool:
        for tiles in _ahead(pool, read, batches):
            parts.append(encoder.encode(torch.tensor(tiles)).float().cpu().numpy())
    return SlideBag(head.path.stem, np.concatenate(parts), places.astype(np.float32), edge)


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Results in order; one item is worked on while the one before is used."""
    waiting: Future[Result] | None = None
    for item in items:
        following = pool.submit(work, item)
        if waiting is not None:
            yield waiting.result()
        waiting = following
    if waiting is not None:
        yield waiting.result()
