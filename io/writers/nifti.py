"""Label maps as NIfTI-1, exactly on the grid of the scan."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from mmtool.io.atomic import replace_into
from mmtool.types import Volume

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
    _place(image, like)
    image.header.set_intent("label")
    image.header["cal_max"], image.header["cal_min"] = top, 0
    with replace_into(path) as temporary, temporary.open("wb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(raw)


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
