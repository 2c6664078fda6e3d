"""Checks and conversions of voxel-to-world matrices on disk. World is RAS+ mm inside mmtool."""

from __future__ import annotations

import numpy as np
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

from mmtool.errors import GeometryError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
MIN_VOXELS = 3  # along each axis; fewer is a slice or a strip, not a volume
_MIN_MM, _MAX_MM = 1e-3, 1e3


def checked_affine(affine: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """The same (4, 4) matrix as float64, if it maps voxels to a box.

    Args:
        affine: Voxel index to RAS+ mm.
        name: File name for the message.

    Raises:
        GeometryError: Not finite, singular, or with voxels of impossible size.
    """
    matrix = np.asarray(affine, np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise GeometryError(
            f"{name}: the voxel-to-world matrix holds NaN or infinity",
            "repair the header (e.g. copy sform from the original scan)",
        )
    steps = np.linalg.norm(matrix[:3, :3], axis=0)
    if (steps < _MIN_MM).any() or (steps > _MAX_MM).any():
        shown = " x ".join(f"{s:g}" for s in steps)
        raise GeometryError(
            f"{name}: voxel size {shown} mm is not plausible", "repair pixdim and sform"
        )
    if abs(np.linalg.det(matrix[:3, :3] / steps)) < 0.1:
        raise GeometryError(
            f"{name}: the axes of the voxel-to-world matrix lie in one plane", "repair the header"
        )
    return matrix


def check_shape(shape: tuple[int, ...], name: str) -> None:
    """Refuse what is no volume.

    Raises:
        GeometryError: Not three axes of at least ``MIN_VOXELS``.
    """
    shown = " x ".join(map(str, shape))
    if len(shape) != 3:
        raise GeometryError(
            f"{name}: {len(shape)}-D data ({shown}); a volume has three axes",
            "extract one 3-D frame first (e.g. nib-roi, fslroi, mrconvert)",
        )
    if min(shape) < MIN_VOXELS:
        raise GeometryError(
            f"{name}: only {shown} voxels; at least {MIN_VOXELS} along each axis are needed",
            "give the whole series, not a single slice",
        )


def spacing(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    """Edge lengths of a voxel along I, J, K in mm."""
    i, j, k = np.linalg.norm(affine[:3, :3], axis=0)
    return float(i), float(j), float(k)


def axis_codes(affine: NDArray[np.float64]) -> str:
    """Nearest anatomical direction of each axis, e.g. ``RAS`` or ``LIA``."""
    return "".join(aff2axcodes(affine))
