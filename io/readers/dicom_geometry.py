"""Put the slices of a series in order and prove that they fill one regular box.

Positions are LPS mm here, as DICOM writes them (PS3.3 C.7.6.2); the affine that leaves this file
is RAS+.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mmtool.errors import GeometryError
from mmtool.io.geometry import LPS_TO_RAS, MIN_VOXELS

_COSINE = 1e-3  # largest difference of direction cosines within a series
_SAME_MM = 1e-2  # closer positions are one position
_SHEAR = 0.05  # voxels that a slice may be shifted sideways over the whole stack
_UNEVEN = 0.05  # share of the slice spacing that a slice may lie off its place
_HINT = "--resample-irregular resamples it to a regular box"


@dataclass(frozen=True)
class Plane:
    """Where one slice lies.

    Attributes:
        position: (3,) centre of the first pixel, LPS mm.
        along_row: (3,) unit vector of rising column index.
        along_column: (3,) unit vector of rising row index.
        pixel: Spacing between rows and between columns, mm.
        shape: Rows, columns.
    """

    position: NDArray[np.float64]
    along_row: NDArray[np.float64]
    along_column: NDArray[np.float64]
    pixel: tuple[float, float]
    shape: tuple[int, int]

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) unit vector across the slice."""
        return np.cross(self.along_row, self.along_column)


@dataclass(frozen=True)
class Stack:
    """Slices in order.

    Attributes:
        order: Index of the input plane for each K.
        affine: (4, 4) voxel (column, row, slice) to RAS+ mm, of the regular box.
        heights: (K,) position of each slice along the normal, mm.
        shifts: (K, 2) sideways shift of each slice in pixels (column, row) against the box.
        regular: False when the slices must be resampled to fill the box.
        note: What is irregular, empty otherwise.
    """

    order: tuple[int, ...]
    affine: NDArray[np.float64]
    heights: NDArray[np.float64]
    shifts: NDArray[np.float64]
    regular: bool
    note: str


def plane_of(dataset: Dataset, name: str) -> Plane:
    """Plane of a single-frame object.

    Raises:
        GeometryError: Position, orientation or pixel spacing is absent or impossible.
    """
    kinds = [str(v).upper() for v in dataset.get("ImageType") or ()]
    if "MOSAIC" in kinds or (0x0019, 0x100A) in dataset:
        raise GeometryError(
            f"{name}: a Siemens mosaic (many slices tiled in one image)",
            "convert it with dcm2niix first, then give the NIfTI file",
        )
    if "LOCALIZER" in kinds:
        raise GeometryError(f"{name}: a localiser, not a volume", "choose another series")
    return make_plane(
        dataset.get("ImagePositionPatient"),
        dataset.get("ImageOrientationPatient"),
        dataset.get("PixelSpacing"),
        (int(dataset.Rows), int(dataset.Columns)),
        name,
    )


def make_plane(
    position: Any, orientation: Any, pixel: Any, shape: tuple[int, int], name: str
) -> Plane:
    """Plane from the values of the three attributes, checked."""
    try:
        place = np.array([float(v) for v in position])
        cosines = np.array([float(v) for v in orientation]).reshape(2, 3)
        rows, columns = (float(v) for v in pixel)
    except (TypeError, ValueError):
        raise GeometryError(
            f"{name}: position, orientation or pixel spacing is absent",
            "the image can't be placed in the patient; is it a secondary capture?",
        ) from None
    good = place.shape == (3,) and np.isfinite(place).all() and np.isfinite(cosines).all()
    lengths = np.linalg.norm(cosines, axis=1)
    if (
        not good
        or not (np.abs(lengths - 1) < 1e-2).all()
        or abs(float(cosines[0] @ cosines[1])) > 1e-2
        or not (1e-3 < rows < 1e3 and 1e-3 < columns < 1e3)
    ):
        raise GeometryError(
            f"{name}: position, orientation or pixel spacing is impossible", "the header is broken"
        )
    first = cosines[0] / lengths[0]
    second = cosines[1] - (cosines[1] @ first) * first  # rounding left them a little askew
    return Plane(place, first, second / np.linalg.norm(second), (rows, columns), shape)


def stack_planes(planes: list[Plane], name: str) -> Stack:
    """Sort planes along their normal and find the box that they fill.

    Raises:
        GeometryError: The planes can't be one volume, however they are resampled.
    """
    _check_alike(planes, name)
    first = planes[0]
    if len(planes) < MIN_VOXELS:
        raise GeometryError(
            f"{name}: only {len(planes)} slice(s); at least {MIN_VOXELS} make a volume",
            "give the folder of the whole series",
        )
    positions = np.array([p.position for p in planes])
    heights = positions @ first.normal
    order = np.argsort(heights, kind="stable")
    heights = heights[order]
    steps = np.diff(heights)
    _check_duplicates(steps, heights, name)
    step = float(np.median(steps))
    sideways = positions[order] - np.outer(heights, first.normal)
    sideways = sideways - sideways[0]
    pixel = np.array([first.pixel[1], first.pixel[0]])
    shifts = sideways @ np.array([first.along_row, first.along_column]).T / pixel
    note = _irregular(heights, steps, step, shifts, pixel)
    if not note:
        step = float((heights[-1] - heights[0]) / (len(heights) - 1))
    affine = np.eye(4)
    affine[:3, 0] = first.along_row * first.pixel[1]
    affine[:3, 1] = first.along_column * first.pixel[0]
    affine[:3, 2] = first.normal * step
    affine[:3, 3] = positions[order[0]]
    return Stack(tuple(int(i) for i in order), LPS_TO_RAS @ affine, heights, shifts, not note, note)


def _check_alike(planes: list[Plane], name: str) -> None:
    shapes = sorted({p.shape for p in planes})
    if len(shapes) > 1:
        shown = ", ".join(f"{r} x {c}" for r, c in shapes[:4])
        raise GeometryError(f"{name}: images of different size ({shown})", "choose one series")
    pixels = np.array([p.pixel for p in planes])
    if (np.abs(pixels - pixels[0]) > 1e-3 * pixels[0]).any():
        raise GeometryError(
            f"{name}: pixel spacing changes within the series "
            f"({pixels.min():g} to {pixels.max():g} mm)",
            "split the series",
        )
    cosines = np.array([[*p.along_row, *p.along_column] for p in planes])
    off = np.abs(cosines - cosines[0]).max(1)
    if (off > _COSINE).any():
        raise GeometryError(
            f"{name}: {int((off > _COSINE).sum())} of {len(planes)} images are oriented otherwise "
            "than the first (a localiser or a mixed series)",
            "choose another series, or split this one",
        )


def _check_duplicates(steps: NDArray[np.float64], heights: NDArray[np.float64], name: str) -> None:
    same = int((steps < _SAME_MM).sum())
    if same:
        at = ", ".join(f"{h:.2f}" for h in heights[1:][steps < _SAME_MM][:5])
        raise GeometryError(
            f"{name}: {same} position(s) hold more than one image (at {at} mm): "
            "several time points, echoes or acquisitions in one series",
            "split the series (e.g. by AcquisitionNumber or EchoNumbers)",
        )


def _irregular(
    heights: NDArray[np.float64],
    steps: NDArray[np.float64],
    step: float,
    shifts: NDArray[np.float64],
    pixel: NDArray[np.float64],
) -> str:
    """What keeps the slices from filling a box; empty if nothing does."""
    if np.abs(shifts).max() > _SHEAR:
        slope = shifts[-1] * pixel / (heights[-1] - heights[0])
        angle = math.degrees(math.atan(float(np.hypot(*slope))))
        return f"slices are shifted sideways, as by a gantry tilt of {angle:.1f} degrees"
    even = heights[0] + (heights[-1] - heights[0]) * np.linspace(0, 1, len(heights))
    if np.abs(heights - even).max() <= _UNEVEN * step:
        return ""
    wide = [(a, b) for a, b in pairwise(heights) if abs(b - a - step) > _UNEVEN * step]
    whole = all(abs((b - a) / step - round((b - a) / step)) < _UNEVEN for a, b in wide)
    shown = ", ".join(f"{a:.2f} to {b:.2f}" for a, b in wide[:5])
    more = f" and {len(wide) - 5} more" if len(wide) > 5 else ""
    what = "slices are missing" if whole and wide else "slice spacing is uneven"
    return f"{what}: usual step {step:.3f} mm, but {shown or 'it drifts'} mm{more}"


def refuse_or_note(stack: Stack, name: str, *, resample: bool) -> tuple[str, ...]:
    """Notes on an irregular stack that may be resampled; otherwise an error."""
    if stack.regular:
        return ()
    if not resample:
        raise GeometryError(f"{name}: {stack.note}", _HINT)
    return (f"resampled to a regular box: {stack.note}",)


def resample_stack(data: NDArray[Any], stack: Stack) -> tuple[NDArray[np.float32], Stack]:
    """Fill the regular box by linear interpolation between the true positions.

    Args:
        data: (I, J, K) in stack order.
        stack: An irregular stack.

    Returns:
        (I', J', K') float32, and the stack with the affine of that box. Voxels that no slice
        covers hold the lowest value.
    """
    from scipy import ndimage

    step = float(np.median(np.diff(stack.heights)))
    count = round((stack.heights[-1] - stack.heights[0]) / step) + 1
    lowest = float(data.min())
    # The box is as wide as all slices together: nothing is cut off by straightening a tilt.
    low = np.floor(stack.shifts.min(0) + 1e-3).astype(int)
    high = np.ceil(stack.shifts.max(0) - 1e-3).astype(int)
    size = (data.shape[0] + high[0] - low[0], data.shape[1] + high[1] - low[1])
    out = np.empty((*size, count), np.float32)
    straight: dict[int, NDArray[np.float32]] = {}

    def slice_at(k: int) -> NDArray[np.float32]:
        if k not in straight:
            wide = np.full(size, lowest, np.float32)
            wide[: data.shape[0], : data.shape[1]] = data[:, :, k]
            amount = stack.shifts[k] - low
            if np.abs(amount).max() > 1e-6:
                wide = ndimage.shift(wide, amount, order=1, cval=lowest)
            straight[k] = wide
        return straight[k]

    for target in range(count):
        height = stack.heights[0] + target * step
        upper = int(np.searchsorted(stack.heights, height).clip(1, len(stack.heights) - 1))
        below, above = stack.heights[upper - 1], stack.heights[upper]
        share = float(np.clip((height - below) / (above - below), 0, 1))
        out[:, :, target] = (1 - share) * slice_at(upper - 1) + share * slice_at(upper)
        for done in [k for k in straight if k < upper - 1]:
            del straight[done]
    affine = stack.affine.copy()
    affine[:3, 3] += affine[:3, :2] @ low
    return out, replace(stack, affine=affine)
