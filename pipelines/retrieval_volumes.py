"""The volumes among the hits, read again for a page that shows them in three planes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmtool.errors import MMToolError
from mmtool.io.limits import Limits
from mmtool.io.writers.hits_volumes import HitVolume
from mmtool.pipelines.retrieval_query import read_query
from mmtool.retrieval import Hit

_MOST = 6  # so that the page stays below some 15 MB


def volumes_of(hits: Sequence[Hit], limits: Limits) -> tuple[list[HitVolume], list[str]]:
    """The first volumes among the hits, and notes on those that are left out.

    One without a thumbnail is left out, too: a name may be written into its pixels.
    """
    found: list[HitVolume] = []
    notes: list[str] = []
    volumes = [hit for hit in hits if hit.item.source.kind == "volume" and hit.item.thumbnail]
    for hit in volumes[:_MOST]:
        try:
            volume = _volume(hit, limits)
        except MMToolError as error:
            notes.append(f"hit {hit.rank} can't be shown as a volume: {error.message}")
            continue
        if volume is None:
            notes.append(f"hit {hit.rank} can't be shown as a volume: in colour, or of no spacing")
        else:
            found.append(volume)
    if len(volumes) > _MOST:
        notes.append(f"{len(volumes)} hits are volumes; the first {_MOST} can be paged through")
    return found, notes


def _volume(hit: Hit, limits: Limits) -> HitVolume | None:
    source = hit.item.source
    _, _, series = source.key.partition("#")
    picture = read_query(source.path, "image", None, limits, series or None).picture
    if picture is None or picture.colour or picture.spacing is None:
        return None
    grey = np.empty(picture.pixels.shape, np.uint8)
    for k, plane in enumerate(picture.pixels):
        grey[k] = (plane.clip(0, 1) * 255).round()
    name = Path(source.path).name
    return HitVolume(hit.rank, f"{name} {series}".strip(), grey, picture.spacing)
