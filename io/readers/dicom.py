"""DICOM: a folder in any order, one file, a multi-frame object, or a zip of them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mmtool.errors import GeometryError, InputError, MMToolError
from mmtool.io.geometry import MIN_VOXELS, check_shape, checked_affine
from mmtool.io.limits import Limits
from mmtool.io.readers.archive import unpack
from mmtool.io.readers.dicom_files import BROKEN, DicomFile, Series, image_series
from mmtool.io.readers.dicom_geometry import (
    Plane,
    Stack,
    make_plane,
    plane_of,
    refuse_or_note,
    resample_stack,
    stack_planes,
)
from mmtool.io.readers.dicom_pixels import check_pixels, frames_of, rescaled
from mmtool.types import ScanHeader, Volume, VolumeSource

_LISTED = 20


@dataclass(frozen=True)
class SeriesSummary:
    """One line of a listing; holds nothing that names a person.

    Attributes:
        number: Position in the listing, from 1; usable as ``--series``.
        short_id: Eight hex digits; usable as ``--series``, and stable.
        modality: DICOM modality.
        images: Files, or frames of a multi-frame object.
        rows: Rows of an image.
        columns: Columns of an image.
    """

    number: int
    short_id: str
    modality: str
    images: int
    rows: int
    columns: int

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.number}: {self.modality or '?'}, {self.images} images of "
            f"{self.rows} x {self.columns}, id {self.short_id}"
        )


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[Path]:
    """The path itself, or the unpacked files of a zip for as long as the block lasts.

    pydicom converts values when they are asked for, so a broken one may fail anywhere inside the
    block: that, too, becomes an error of ours.
    """
    try:
        with _unpacked(path, limits) as place:
            yield place
    except MMToolError:
        raise
    except BROKEN as error:
        raise InputError(
            f"{path}: broken DICOM data ({type(error).__name__})", "export it again"
        ) from None


@contextmanager
def _unpacked(path: Path, limits: Limits) -> Iterator[Path]:
    if path.is_file():
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\x03\x04"
        if zipped:
            with tempfile.TemporaryDirectory(prefix="mmtool-") as folder:
                unpack(path, Path(folder), limits)
                yield Path(folder)
            return
    yield path


def read(
    path: Path,
    *,
    limits: Limits,
    series: str | None,
    resample_irregular: bool,
    on_header: Callable[[ScanHeader], None] = lambda header: None,
) -> Volume:
    """Read one series as a volume.

    Args:
        path: Folder, file or zip.
        limits: Bounds.
        series: Which series: number in the listing, short id, or SeriesInstanceUID.
        resample_irregular: Resample gantry tilt, gaps and uneven spacing to a regular box.
        on_header: Called before the voxels are read.

    Returns:
        (columns, rows, slices) in the unit of the file after rescale.

    Raises:
        InputError: No series or several, broken or not a volume.
        GeometryError: The slices fill no regular box.
    """
    with opened(path, limits) as place:
        chosen = _choose(image_series(place, limits), series, path)
        return read_series(
            chosen,
            path,
            limits=limits,
            resample_irregular=resample_irregular,
            on_header=on_header,
        )


def read_series(
    chosen: Series,
    path: Path,
    *,
    limits: Limits,
    resample_irregular: bool,
    on_header: Callable[[ScanHeader], None] = lambda header: None,
) -> Volume:
    """The volume of a series whose files were found; see :func:`read`.

    Args:
        chosen: The series.
        path: Where it lies, for messages.
        limits: Bounds.
        resample_irregular: As there.
        on_header: As there.
    """
    files, notes = _unique(chosen.files)
    check_pixels(files, str(path), limits)
    if len(files) == 1 and int(files[0].dataset.get("NumberOfFrames") or 1) > 1:
        planes = _frame_planes(files[0].dataset, str(path))
    else:
        planes = [plane_of(f.dataset, str(path)) for f in files]
    stack = stack_planes(planes, str(path))
    notes += refuse_or_note(stack, str(path), resample=resample_irregular)
    on_header(_header(files, stack))
    data = _voxels(files, stack, limits, path)
    sha256 = _hash(files)
    if not stack.regular:
        data, stack = resample_stack(data, stack)
    check_shape(data.shape, str(path))
    single = len(files) == 1
    source = VolumeSource(
        path=path,
        kind="dicom",
        sha256=sha256,
        modality=chosen.modality,
        datasets=(files[0].dataset,) if single else tuple(files[k].dataset for k in stack.order),
        series_uid=chosen.uid,
        frame_order=stack.order if single else (),
        notes=notes,
    )
    return Volume(data, checked_affine(stack.affine, str(path)), source)


def _header(files: Sequence[DicomFile], stack: Stack) -> ScanHeader:
    """Frames as stored, and beside them the volume: integers of 16 bits or float32 if need be."""
    dataset = files[0].dataset
    i, j, k = int(dataset.Columns), int(dataset.Rows), len(stack.order)
    stored, voxels = int(dataset.BitsAllocated) // 8, i * j * k
    held = voxels * max(2, stored)
    return ScanHeader((i, j, k), stack.affine, stored * voxels + 4 * voxels, held)


def summaries(found: Sequence[Series]) -> list[SeriesSummary]:
    """Listing of the series at a path."""
    out = []
    for number, item in enumerate(found, start=1):
        dataset = item.files[0].dataset
        frames = sum(int(f.dataset.get("NumberOfFrames") or 1) for f in item.files)
        out.append(
            SeriesSummary(
                number,
                item.short_id,
                item.modality,
                frames,
                int(dataset.Rows),
                int(dataset.Columns),
            )
        )
    return out


def list_series(path: Path, limits: Limits) -> list[SeriesSummary]:
    """Listing of the series at a path."""
    with opened(path, limits) as place:
        return summaries(image_series(place, limits))


def hash_series(path: Path, limits: Limits, series: str | None) -> str:
    """The same hash as :func:`read` gives, without decoding pixels."""
    with opened(path, limits) as place:
        files, _ = _unique(_choose(image_series(place, limits), series, path).files)
        return _hash(files)


def _choose(found: list[Series], wanted: str | None, path: Path) -> Series:
    if not found:
        raise InputError(
            f"{path}: no DICOM images in it",
            "a folder is read as DICOM; name NIfTI or NRRD files one by one",
        )
    listing = summaries(found)
    shown = "; ".join(str(s) for s in listing[:_LISTED])
    if wanted is None:
        if len(found) == 1:
            return found[0]
        raise InputError(
            f"{path}: {len(found)} series in it", f"choose one by --series NUMBER or ID: {shown}"
        )
    for line, item in zip(listing, found, strict=True):
        if wanted in (item.uid, line.short_id):
            return item
    for line, item in zip(listing, found, strict=True):
        if wanted == str(line.number):
            return item
    raise InputError(f"{path}: no series '{wanted}'", f"the series are: {shown}")


def _unique(files: list[DicomFile]) -> tuple[list[DicomFile], tuple[str, ...]]:
    """Drop files that are copies of another (same SOPInstanceUID and position)."""
    seen: dict[tuple[str, str], DicomFile] = {}
    for file in sorted(files, key=lambda f: str(f.path)):
        uid = str(file.dataset.get("SOPInstanceUID", ""))
        position = str(file.dataset.get("ImagePositionPatient", ""))
        key = (uid, position) if uid else (str(file.path), "")
        seen.setdefault(key, file)
    dropped = len(files) - len(seen)
    notes = (f"{dropped} file(s) that are copies of others were passed over",) if dropped else ()
    return list(seen.values()), notes


def _hash(files: Sequence[DicomFile]) -> str:
    digests = []
    for file in files:
        with file.path.open("rb") as raw:
            digests.append(hashlib.file_digest(raw, "sha256").hexdigest())
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _frame_planes(dataset: Dataset, name: str) -> list[Plane]:
    """Plane of every frame of an enhanced multi-frame object."""
    shared = _first(dataset, "SharedFunctionalGroupsSequence")
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    frames = int(dataset.NumberOfFrames)
    if len(per_frame) != frames:
        raise GeometryError(
            f"{name}: a multi-frame image without a position for each frame",
            "only enhanced CT, MR and PET objects can be placed in the patient",
        )
    shape = (int(dataset.Rows), int(dataset.Columns))
    planes = []
    for groups in per_frame:

        def value(
            sequence: str, attribute: str, groups: Dataset = groups, top: Dataset | None = shared
        ) -> Any:
            for place in (groups, top):
                item = None if place is None else _first(place, sequence)
                if item is not None and attribute in item:
                    return item.get(attribute)
            return None

        planes.append(
            make_plane(
                value("PlanePositionSequence", "ImagePositionPatient"),
                value("PlaneOrientationSequence", "ImageOrientationPatient"),
                value("PixelMeasuresSequence", "PixelSpacing"),
                shape,
                name,
            )
        )
    return planes


def _first(dataset: Dataset, sequence: str) -> Dataset | None:
    items = dataset.get(sequence)
    return items[0] if items else None


def _voxels(files: Sequence[DicomFile], stack: Stack, limits: Limits, path: Path) -> NDArray[Any]:
    """(I, J, K) in stack order, rescaled."""
    slices: list[tuple[NDArray[Any], float, float]] = []
    for file, frames in frames_of(files, limits):
        for number, frame in enumerate(frames):
            slices.append((frame, *_rescale(file.dataset, number)))
    if len(slices) != len(stack.order) or len(slices) < MIN_VOXELS:
        raise InputError(f"{path}: {len(slices)} images for {len(stack.order)} positions", "")
    return rescaled([slices[k] for k in stack.order])


def _rescale(dataset: Dataset, frame: int) -> tuple[float, float]:
    """Slope and intercept of one frame."""
    places: list[Dataset | None] = [dataset]
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if per_frame:
        places.append(_first(per_frame[frame], "PixelValueTransformationSequence"))
    shared = _first(dataset, "SharedFunctionalGroupsSequence")
    if shared is not None:
        places.append(_first(shared, "PixelValueTransformationSequence"))
    for place in places:
        if place is not None and place.get("RescaleSlope") is not None:
            try:
                slope = float(place.RescaleSlope)
                intercept = float(place.get("RescaleIntercept") or 0)
            except (TypeError, ValueError):
                raise InputError("rescale slope is no number", "the header is broken") from None
            if slope == 0 or not np.isfinite((slope, intercept)).all():
                raise InputError(f"rescale slope is {slope}", "the header is broken")
            return slope, intercept
    return 1.0, 0.0
