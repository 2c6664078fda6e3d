"""Label maps on disk: which belongs to which, and whether both lie on one grid."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmtool.errors import GeometryError, InputError
from mmtool.io.limits import Limits
from mmtool.io.readers import read_volume
from mmtool.io.readers.text import read_text
from mmtool.pipelines.samplesheet import stem_of

_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mgh", ".mgz")
_IMAGE_ENDS = ("_image", "_img", "_scan", "_0000")
_LABEL_ENDS = ("_label", "_labels", "_seg", "_segmentation", "_mask", "_gt", "_gtv")
_OWN = "segmentation.nii.gz"  # in an output folder of mmtool segment
_TOP = 65535
_MOVED = 0.01  # share of a voxel by which corners of one grid may differ: rounding of headers


@dataclass(frozen=True)
class LabelMap:
    """Labels with their grid.

    Attributes:
        labels: (I, J, K) uint16.
        affine: (4, 4) voxel to RAS+ mm.
        path: Where it was read from.
    """

    labels: NDArray[np.uint16]
    affine: NDArray[np.float64]
    path: Path


def find_cases(place: Path, *, images: bool = False) -> dict[str, Path]:
    """Files of a folder by the name of their case, sorted.

    The name is the file's stem without an ending such as ``_label`` or ``_image``. A folder in it
    counts when it holds the ``segmentation.nii.gz`` of ``mmtool segment`` or one file such as
    ``label.nii.gz`` or ``case_seg.nii.gz`` (for images: always, as DICOM or a case of several
    images).

    Args:
        place: A folder, or one file, whose case has no name to match.
        images: Look for scans and not for label maps.

    Raises:
        InputError: Nothing is there, or two files have the name of one case.
    """
    if not place.exists():
        raise InputError(f"{place}: no such file or folder", "check the path")
    if place.is_file():
        return {_case_of(place)[0]: place}
    wrong = _LABEL_ENDS if images else _IMAGE_ENDS
    cases: dict[str, Path] = {}
    for path in sorted(place.iterdir()):
        case, end = _case_of(path)
        file = _file_of(path, images)
        if file is None or end in wrong or path.name.startswith("."):
            continue
        if case in cases:
            raise InputError(
                f"{cases[case].name} and {path.name} in {place} have the name of one case",
                "keep one of them in the folder",
            )
        cases[case] = file
    if not cases:
        what = "scans" if images else "label maps"
        raise InputError(f"{place}: no {what} (*.nii.gz, *.nii, *.nrrd, *.mgz)", "check the folder")
    return cases


def _file_of(path: Path, images: bool) -> Path | None:
    if path.is_dir():
        return path if images else _map_in(path)
    return path if path.name.lower().endswith(_SUFFIXES) else None


def _map_in(folder: Path) -> Path | None:
    """The label map of a folder that is a case; None if there is none or more than one."""
    if (folder / _OWN).is_file():
        return folder / _OWN
    files = [p for p in sorted(folder.iterdir()) if p.name.lower().endswith(_SUFFIXES)]
    found = [p for p in files if f"_{stem_of(p).lower()}".endswith(_LABEL_ENDS)]
    return found[0] if len(found) == 1 else None


def _case_of(path: Path) -> tuple[str, str]:
    """Name of the case, and the ending that was taken off."""
    stem = stem_of(path)
    for end in (*_IMAGE_ENDS, *_LABEL_ENDS):
        if stem.lower().endswith(end) and len(stem) > len(end):
            return stem[: -len(end)], end
    return stem, ""


def read_label_map(path: Path, limits: Limits | None = None) -> LabelMap:
    """Read a label map of any volume format.

    Raises:
        InputError: Unreadable, or its values are no whole numbers from 0 to 65535.
    """
    volume = read_volume(path, limits=limits)
    data = volume.data
    if not np.issubdtype(data.dtype, np.integer):
        with np.errstate(invalid="ignore"):
            whole = np.isfinite(data).all() and (data == np.rint(data)).all()
        if not whole:
            raise InputError(
                f"{path}: not a label map, its values are no whole numbers",
                "give segmentations, not scans or probabilities",
            )
    if data.min() < 0 or data.max() > _TOP:
        raise InputError(
            f"{path}: not a label map, its values run from {data.min():g} to {data.max():g}",
            f"labels are whole numbers from 0 to {_TOP}",
        )
    return LabelMap(data.astype(np.uint16), volume.affine, path)


def on_grid_of(truth: LabelMap, other: LabelMap, *, resample: bool) -> NDArray[np.uint16]:
    """Labels of ``other`` on the grid of ``truth``.

    Args:
        truth: Gives the grid.
        other: Labels to bring there.
        resample: Take the nearest voxel where grids differ; what lies outside is 0.

    Raises:
        GeometryError: The grids differ, and that is not to be mended.
    """
    if same_grid(truth, other):
        return other.labels
    if not resample:
        raise GeometryError(
            f"{other.path}: not on the grid of {truth.path} ({_difference(truth, other)})",
            "--resample brings it there by nearest neighbour",
        )
    step = np.linalg.inv(other.affine) @ truth.affine
    moved: NDArray[np.uint16] = ndimage.affine_transform(
        other.labels,
        step[:3, :3],
        step[:3, 3],
        output_shape=truth.labels.shape,
        order=0,
        mode="constant",
    )
    return moved


def same_grid(one: LabelMap, two: LabelMap) -> bool:
    """Whether the corners of both lie at one place, up to the rounding of headers."""
    return one.labels.shape == two.labels.shape and _moved(one, two) <= _MOVED


def _moved(one: LabelMap, two: LabelMap) -> float:
    """Largest distance between corners, in voxels."""
    corners = np.array(np.meshgrid(*([0, n - 1] for n in one.labels.shape))).reshape(3, -1)
    corners = np.vstack([corners, np.ones(8)])
    apart = np.linalg.norm(((one.affine - two.affine) @ corners)[:3], axis=0).max()
    return float(apart / np.linalg.norm(one.affine[:3, :3], axis=0).min())


def _difference(truth: LabelMap, other: LabelMap) -> str:
    shapes = [" x ".join(map(str, m.labels.shape)) for m in (truth, other)]
    if shapes[0] != shapes[1]:
        return f"{shapes[1]} voxels against {shapes[0]}"
    return f"the affine differs by up to {_moved(truth, other):.3g} voxels"


def read_names(path: Path) -> dict[int, str]:
    """Label index -> name from a ``labels.tsv`` with the columns ``index`` and ``name``.

    Raises:
        InputError: It has no such columns, or an index is no number from 1 to 65535.
    """
    table = csv.DictReader(read_text(path).splitlines(), delimiter="\t")
    if not {"index", "name"} <= set(table.fieldnames or ()):
        raise InputError(f"{path}: no columns 'index' and 'name'", "give a labels.tsv of mmtool")
    names: dict[int, str] = {}
    for number, row in enumerate(table, start=2):
        index = str(row["index"] or "").strip()
        if not (index.isascii() and index.isdigit() and 0 < int(index) <= _TOP) or not row["name"]:
            raise InputError(
                f"{path}: line {number} names no label", "index is a number from 1 to 65535"
            )
        names[int(index)] = " ".join(str(row["name"]).split())
    return names


def names_beside(place: Path, cases: Mapping[str, Path]) -> dict[int, str]:
    """Names from a ``labels.tsv`` in the folder or beside any of the label maps, or nothing."""
    folders = [place, *(p.parent for p in cases.values())] if place.is_dir() else [place.parent]
    names: dict[int, str] = {}
    for folder in dict.fromkeys(folders):
        table = folder / "labels.tsv"
        if table.is_file():
            names |= read_names(table)
    return names
