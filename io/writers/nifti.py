"""Label maps and maps of shares as NIfTI-1, exactly on the grid of the scan."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from mmtool.io.atomic import replace_into
from mmtool.types import Label, Volume

_GZIP_LEVEL = 4  # label maps shrink 100-fold at any level; higher ones only cost time

_TRANSFORM = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
    "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip


def write_label_nifti(labels: NDArray[np.integer[Any]], like: Volume, path: Path) -> None:
    """Write a label map.

    A NIfTI scan lends its affine with both transforms and their codes, and its units; any other
    format gets a scanner-anatomical transform. The same input gives the same bytes.

    Args:
        labels: (I, J, K) non-negative integers on the grid of ``like``.
        like: The scan.
        path: Target, ``.nii`` or ``.nii.gz``.

    Raises:
        ValueError: Shape differs from the scan, or a label is negative or above 65535.
    """
    if labels.shape != like.data.shape:
        raise ValueError(f"labels {labels.shape} for a scan of {like.data.shape}")
    top = int(labels.max(initial=0))
    if top > 65535 or int(labels.min(initial=0)) < 0:
        raise ValueError(f"labels from {labels.min()} to {top} don't fit into 16 bits")
    kind = np.uint8 if top < 256 else np.uint16
    image = nibabel.Nifti1Image(labels.astype(kind, copy=False), like.affine)
    image.header.set_intent("label")
    image.header["cal_max"], image.header["cal_min"] = top, 0
    _write(image, like, path)


def write_map_nifti(values: NDArray[np.floating[Any]], like: Volume, path: Path) -> None:
    """Write a map of shares, such as an uncertainty, placed as :func:`write_label_nifti` does.

    Args:
        values: (I, J, K) in [0, 1] on the grid of ``like``; stored as float32 to
            three decimals, which is what keeps the packed file small.
        like: The scan.
        path: Target, ``.nii`` or ``.nii.gz``.

    Raises:
        ValueError: Shape differs from the scan, or a value is no share.
    """
    if values.shape != like.data.shape:
        raise ValueError(f"values {values.shape} for a scan of {like.data.shape}")
    if not (values.min(initial=0) >= 0 and values.max(initial=0) <= 1):
        raise ValueError("a map of shares holds values outside [0, 1]")
    image = nibabel.Nifti1Image(values.astype(np.float32).round(3), like.affine)
    image.header["cal_max"], image.header["cal_min"] = 1, 0
    _write(image, like, path)


def _write(image: Any, like: Volume, path: Path) -> None:
    _place(image, like)
    with replace_into(path) as temporary, temporary.open("wb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(raw)


def write_class_niftis(
    labels: NDArray[np.integer[Any]], like: Volume, folder: Path, table: Sequence[Label]
) -> None:
    """Write one binary file for each label, also for those that have no voxels.

    So the names of the files follow from what was asked for alone, and a workflow can expect them.

    Args:
        labels: (I, J, K) label map on the grid of ``like``.
        like: The scan.
        folder: Made if absent; gets ``<name>.nii.gz``, see :func:`class_file_stems`.
        table: Labels to write.
    """
    folder.mkdir(exist_ok=True)
    for label, stem in zip(table, class_file_stems(table), strict=True):
        mask = (labels == label.index).astype(np.uint8)
        write_label_nifti(mask, like, folder / f"{stem}.nii.gz")


def class_file_stems(table: Sequence[Label]) -> list[str]:
    """A file name for each label, safe on any system and unique without regard to case.

    Example:
        >>> class_file_stems([label_of_left_hippocampus])  # doctest: +SKIP
        ['left_hippocampus']
    """
    stems = [re.sub(r"[^a-z0-9]+", "_", label.name.lower()).strip("_")[:80] for label in table]
    numbered = [f"{stem or 'label'}_{x.index}" for stem, x in zip(stems, table, strict=True)]
    names = [
        stem if stem and stems.count(stem) == 1 else number
        for stem, number in zip(stems, numbered, strict=True)
    ]
    return names if len(set(names)) == len(names) else numbered


def _place(image: Any, like: Volume) -> None:
    header = like.source.header
    if like.source.kind != "nifti" or not isinstance(header, nibabel.Nifti1Header):
        image.set_sform(like.affine, code="scanner")
        image.set_qform(like.affine, code="scanner", strip_shears=True)
        image.header.set_xyzt_units("mm")
        return
    # Copied field by field: going through a matrix would round the stored quaternion.
    for name in _TRANSFORM:
        image.header[name] = header[name]
    image.header["pixdim"][:4] = header["pixdim"][:4]
    try:
        space, time = header.get_xyzt_units()
        image.header.set_xyzt_units(space, time)
    except (KeyError, ValueError):
        image.header.set_xyzt_units("mm")
