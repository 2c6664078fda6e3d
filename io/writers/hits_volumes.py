"""``volumes.html``: the volumes among the hits, to page through in any browser with no network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from mmtool.io.atomic import replace_into
from mmtool.io.writers.niivue_source import NiivueSource
from mmtool.io.writers.viewer import nifti_text

_VOXELS = 2_000_000  # of a volume: some 1.5 MB of the page


@dataclass(frozen=True)
class HitVolume:
    """A volume that was found.

    Attributes:
        rank: Of the hit.
        name: That the page shows.
        grey: (D, H, W) uint8 as `mmtool.retrieval.Picture` has its axes.
        spacing: mm along them.
    """

    rank: int
    name: str
    grey: NDArray[np.uint8]
    spacing: tuple[float, float, float]


def write_hits_volumes(path: Path, volumes: Sequence[HitVolume], niivue: NiivueSource) -> None:
    """Write the page: three planes and a rendering of the volume that is chosen.

    It holds each volume in 256 greys; above two million voxels some are left out along the finest
    axes, and the page says so. Its own policy forbids all requests.

    Args:
        path: Target.
        volumes: At least one.
        niivue: The program that draws.
    """
    page = Template(
        (files("mmtool.io") / "writers" / "hits_volumes_page.html").read_text(encoding="utf-8")
    )
    buttons, scans = [], []
    for volume in volumes:
        grey, spacing, thinned = _thinned(volume.grey, volume.spacing)
        note = " (thinned)" if thinned else ""
        buttons.append(
            f'<li><button id="hit-{volume.rank}">{volume.rank}. {escape(volume.name)}{note}'
            "</button></li>"
        )
        scan = nifti_text(np.ascontiguousarray(grey.transpose(2, 1, 0)), _affine(grey, spacing))
        scans.append(f'<script type="text/plain" id="scan-hit-{volume.rank}">{scan}</script>')
    text = page.substitute(
        buttons="\n".join(buttons),
        scans="\n".join(scans),
        version=niivue.version,
        licence=re.sub("--+", "-", niivue.licence),
        niivue=niivue.module,
    )
    with replace_into(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _thinned(
    grey: NDArray[np.uint8], spacing: tuple[float, float, float]
) -> tuple[NDArray[np.uint8], NDArray[np.float64], bool]:
    steps, stride = np.array(spacing), np.ones(3, int)
    while np.prod(-(-np.array(grey.shape) // stride)) > _VOXELS:
        stride[int((steps * stride).argmin())] += 1
    kept = grey[tuple(slice(None, None, int(s)) for s in stride)]
    return kept, steps * stride, bool((stride > 1).any())


def _affine(grey: NDArray[np.uint8], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) to RAS+ mm about the middle: W runs to the left, H to the back, D upwards."""
    steps = spacing[::-1] * (-1, -1, 1)
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = -steps * (np.array(grey.shape[::-1]) - 1) / 2
    return affine
