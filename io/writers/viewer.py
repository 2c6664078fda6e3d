"""One HTML file that shows a scan and its structures in any browser, with no network."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmtool.io.atomic import replace_into
from mmtool.io.writers.niivue_source import NiivueSource
from mmtool.io.writers.preview import grey_window
from mmtool.types import Label, Volume

_MAX_VOXELS = 12_000_000  # a page of some 15 MB, which browsers open at once
_MARGIN_MM = 20.0


def write_viewer(
    path: Path,
    volume: Volume,
    labels: NDArray[np.uint8],
    table: Sequence[Label],
    niivue: NiivueSource,
) -> None:
    """Write the page: three planes and a rendering, legend, opacity, jump to a structure.

    It holds the scan in 256 greys and the label map; no file name and nothing of the header. A
    scan of more than 12 million voxels is cut to what was found with 20 mm around it, and if that
    is still too large, voxels are left out along the finest axes; the page says so.

    Args:
        path: Target ``.html``.
        volume: The scan.
        labels: (I, J, K) label map on its grid.
        table: Labels that were looked for, with their colours.
        niivue: The program that draws.
    """
    shown, notes = _shown(labels, volume.affine)
    affine = _affine_of(shown, volume.affine)
    grey = _grey(volume.data[shown], grey_window(volume.data, volume.source.modality))
    part = labels[shown]
    places = _places(part, affine)
    present = [label for label in table if label.index in places]
    middle = affine @ [*(np.array(part.shape) // 2), 1]
    page = _template().substitute(
        legend="".join(_entry(label, places[label.index]) for label in present),
        notes=html.escape(" ".join(notes)),
        scan=nifti_text(grey, affine),
        labels=nifti_text(part, affine),
        colours=_json(_colours(present)),
        centre=_json(_rounded(_centre(part, affine) if places else middle[:3])),
        version=niivue.version,
        licence=re.sub("--+", "-", niivue.licence),
        niivue=niivue.module,
    )
    with replace_into(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _template() -> Template:
    file = resources.files(__package__).joinpath("viewer_page.html")
    return Template(file.read_text(encoding="utf-8"))


def _shown(
    labels: NDArray[np.uint8], affine: NDArray[np.float64]
) -> tuple[tuple[slice, slice, slice], list[str]]:
    """Which voxels are shown, and what to say of it."""
    notes = ["256 greys, for looking and not for measuring."]
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    start, stop = np.zeros(3, int), np.array(labels.shape)
    if labels.size > _MAX_VOXELS:
        (box,) = ndimage.find_objects(labels > 0, max_label=1)
        if box is not None:
            margin = np.ceil(_MARGIN_MM / steps).astype(int)
            start = np.maximum(0, [s.start for s in box] - margin)
            stop = np.minimum(stop, [s.stop for s in box] + margin)
            notes.append(f"Cut to what was found and {_MARGIN_MM:.0f} mm around it.")
    stride = np.ones(3, int)
    while np.prod(-(-(stop - start) // stride)) > _MAX_VOXELS:
        stride[int((steps * stride).argmin())] += 1
    if (stride > 1).any():
        ways = " x ".join(map(str, stride))
        notes.append(f"Only one voxel in {ways} is shown; the files have all.")
    i, j, k = (slice(int(a), int(b), int(s)) for a, b, s in zip(start, stop, stride, strict=True))
    return (i, j, k), notes


def _affine_of(
    shown: tuple[slice, slice, slice], affine: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(4, 4) affine of a part of the grid."""
    part = np.eye(4)
    part[:3, :3] = np.diag([s.step for s in shown])
    part[:3, 3] = [s.start for s in shown]
    return np.asarray(affine @ part)


def _grey(data: NDArray[Any], window: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = window
    out = np.empty(data.shape, np.uint8)
    for k in range(data.shape[2]):  # slice by slice: no second copy of the scan in floats
        shade = np.nan_to_num(data[:, :, k].astype(np.float32), nan=low)
        out[:, :, k] = ((shade - low) / (high - low)).clip(0, 1) * 255
    return out


def _places(
    labels: NDArray[np.uint8], affine: NDArray[np.float64]
) -> dict[int, NDArray[np.float64]]:
    """Label index -> a point inside the structure, RAS+ mm."""
    out = {}
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        spots = np.argwhere(labels[box] == index)
        # The voxel nearest to the centroid: that of a bent structure may lie outside it.
        inside = spots[((spots - spots.mean(0)) ** 2).sum(1).argmin()]
        voxel = inside + [s.start for s in box]
        out[index] = affine[:3, :3] @ voxel + affine[:3, 3]
    return out


def _centre(labels: NDArray[np.uint8], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middle of the box around everything that was found, RAS+ mm."""
    (box,) = ndimage.find_objects(labels > 0, max_label=1)
    voxel = np.array([(s.start + s.stop - 1) / 2 for s in box])
    return np.asarray(affine[:3, :3] @ voxel + affine[:3, 3])


def nifti_text(data: NDArray[np.uint8], affine: NDArray[np.float64]) -> str:
    """A NIfTI file with a bare header, compressed and in base 64."""
    image = nibabel.Nifti1Image(np.ascontiguousarray(data), affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner", strip_shears=True)
    image.header.set_xyzt_units("mm")
    return base64.b64encode(gzip.compress(image.to_bytes(), 6, mtime=0)).decode()


def _colours(present: Sequence[Label]) -> dict[str, list[Any]]:
    """Colour table as niivue takes it; index 0 is transparent."""
    columns: dict[str, list[Any]] = {"I": [0], "A": [0], "labels": [""]}
    for number, name in enumerate("RGB"):
        columns[name] = [0, *(label.color[number] for label in present)]
    columns["I"] += [label.index for label in present]
    columns["A"] += [255] * len(present)
    columns["labels"] += [label.name for label in present]
    return columns


def _entry(label: Label, mm: NDArray[np.float64]) -> str:
    color = "#{:02x}{:02x}{:02x}".format(*label.color)
    return (
        f'<li><button data-mm="{_json(_rounded(mm))}"><i style="background:{color}"></i>'
        f"<span>{html.escape(label.name)}</span></button></li>"
    )


def _rounded(mm: NDArray[np.float64]) -> list[float]:
    return [round(float(x), 2) for x in mm]


def _json(value: Any) -> str:
    """JSON that can stand in a script of a page."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")
