"""The images of a study, read and checked to be of one patient."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mmtool.errors import GeometryError, InputError
from mmtool.io.limits import Limits
from mmtool.io.readers import list_series, read_volume, sniff_volume
from mmtool.io.readers.dicom_files import image_series, is_dicom, parse
from mmtool.io.readers.picture import PictureReader, picture_of_volume, picture_reader
from mmtool.io.readers.slide import SLIDES, hash_slide, slide_reader
from mmtool.pipelines.slide_tissue import OVERVIEW_MPP
from mmtool.pipelines.task import input_sha256
from mmtool.retrieval import Picture
from mmtool.studies import ImageKind, Instance
from mmtool.types import Volume

_HINT = "give images of one study"
_MOST_SERIES = 40  # of one folder
_EVEN = 1.8  # thickest by thinnest spacing up to which a volume has no plane of its own
_PLANES = ("axial", "coronal", "sagittal")
_SHOWN = 5  # slices of a volume that are looked at
_MIDDLE = (0.3, 0.7)  # part of a volume that they come from


@dataclass(frozen=True)
class Seen:
    """One image of the study.

    Attributes:
        number: From 1.
        name: Of the file or folder, without where it lies.
        sha256: Of what was read.
        kind: What it is.
        picture: As encoders take it.
        headers: DICOM objects that it was read from, without pixels; in the order of slices
            where there are several.
        volume: Of a volume on a regular grid, for measurements.
        size: Columns and rows of a slide's finest level.
    """

    number: int
    name: str
    sha256: str
    kind: ImageKind
    picture: Picture
    headers: tuple[Dataset, ...] = ()
    volume: Volume | None = None
    size: tuple[int, int] | None = None

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Identifiers of the DICOM objects."""
        return tuple(
            Instance(str(h.get("SOPClassUID", "")), str(h.get("SOPInstanceUID", "")))
            for h in self.headers
        )

    def uid(self, name: str) -> str:
        """An identifier of the header, or ""."""
        return str(self.headers[0].get(name, "")) if self.headers else ""

    @property
    def plane(self) -> str:
        """Plane of the slices of a volume by its spacing; "" where it has none of its own."""
        if self.kind != "volume" or self.picture.spacing is None:
            return ""
        spacing = self.picture.spacing
        return _PLANES[int(np.argmax(spacing))] if max(spacing) > _EVEN * min(spacing) else ""


def read_study(
    paths: Sequence[Path], limits: Limits, *, series: str | None = None
) -> tuple[Seen, ...]:
    """Read all images of one study.

    Args:
        paths: Files and folders; each series of a folder is an image of its own.
        limits: Of the readers.
        series: Only this series of a folder.

    Raises:
        InputError: One of them can't be read, or they are of several patients.
    """
    found = read_images(paths, limits, series=series)
    check_one_patient(found)
    return found


def read_images(
    paths: Sequence[Path], limits: Limits, *, series: str | None = None
) -> tuple[Seen, ...]:
    """The same of any patients.

    Raises:
        InputError: One of them can't be read.
    """
    found: list[Seen] = []
    with picture_reader(limits) as reader:
        for path in paths:
            for chosen in _series_of(path, limits, series):
                found.append(_see(path, chosen, reader, limits, len(found) + 1))
    return tuple(found)


def check_one_patient(images: Sequence[Seen]) -> None:
    """Refuse images of several patients.

    Patients are compared by the hash of what names them, and never named.

    Raises:
        InputError: There are several.
    """
    people = {
        hashlib.sha256(f"{h.get('IssuerOfPatientID', '')}|{h.PatientID}".encode()).digest()
        for image in images
        for h in image.headers
        if str(h.get("PatientID", "")).strip()
    }
    if len(people) > 1:
        raise InputError(
            f"the images are of {len(people)} patients by their PatientID",
            "give the images of one patient, or one study at a time",
        )


def _series_of(path: Path, limits: Limits, series: str | None) -> list[str | None]:
    """Series of a folder or zip; None for all that is one image."""
    if series is not None or not (path.is_dir() or _is_zip(path)):
        return [series]
    listed = list_series(path, limits=limits)
    if len(listed) > _MOST_SERIES:
        raise InputError(f"{path}: {len(listed)} series in it", "choose one by --series")
    return [line.short_id for line in listed] or [None]


def _is_zip(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _see(
    path: Path, series: str | None, reader: PictureReader, limits: Limits, number: int
) -> Seen:
    if path.suffix.lower() in SLIDES and path.is_file():
        return _slide(path, limits, number)
    volume = _volume(path, series, limits)
    if volume is not None:
        picture = picture_of_volume(volume)
        headers = tuple(volume.source.datasets)
        return Seen(number, path.name, volume.source.sha256, "volume", picture, headers, volume)
    if path.is_dir():
        return _single(path, series, reader, limits, number)
    picture = _still(reader.read(path, series=series))
    headers = (parse(path, limits),) if _is_dicom_file(path) else ()
    return Seen(number, path.name, input_sha256(path, _HINT), "image", picture, headers)


def _slide(path: Path, limits: Limits, number: int) -> Seen:
    """The whole slide, small."""
    with slide_reader(limits) as reader:
        slide = reader.open(path)
        pixels, scale = slide.overview(OVERVIEW_MPP)
    mm = slide.header.mpp * scale / 1000
    picture = Picture(
        np.asarray(pixels[None] / np.float32(255), np.float32), (1.0, mm, mm), {"modality": "SM"}
    )
    size = slide.header.sizes[0]
    return Seen(number, path.name, hash_slide(path), "slide", picture, size=size)


def _single(
    path: Path, series: str | None, reader: PictureReader, limits: Limits, number: int
) -> Seen:
    """The middle image of a series that fills no regular box."""
    for found in image_series(path, limits):
        if series in (None, found.uid, found.short_id):
            files = sorted(f.path for f in found.files)
            chosen = files[len(files) // 2]
            picture = _still(reader.read(chosen))
            if len(files) > 1:
                note = f"its {len(files)} images fill no regular box; the middle one was looked at"
                picture = replace(picture, notes=(*picture.notes, note))
            headers = tuple(f.dataset for f in found.files if f.path == chosen)
            digest = input_sha256(chosen, _HINT)
            return Seen(number, chosen.name, digest, "image", picture, headers)
    raise InputError(f"{path}: no DICOM images in it", _HINT)


def _volume(path: Path, series: str | None, limits: Limits) -> Volume | None:
    """The path as a volume on a regular grid, or None."""
    if path.is_file() and not _maybe_volume(path, limits):
        return None
    try:
        volume = read_volume(path, limits=limits, series=series, resample_irregular=True)
    except GeometryError:
        return None
    return volume if min(volume.shape) > 1 else None


def _maybe_volume(path: Path, limits: Limits) -> bool:
    if _is_dicom_file(path):
        header = parse(path, limits)
        per_frame = header.get("PerFrameFunctionalGroupsSequence")
        return bool(per_frame) and len(per_frame) > 2 and "PlanePositionSequence" in per_frame[0]
    try:
        return bool(sniff_volume(path, limits))
    except InputError:
        return False  # a picture, or nothing: its reader says what is wrong


def _is_dicom_file(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return is_dicom(file.read(132))


def _still(picture: Picture) -> Picture:
    """Of a video the frame in the middle."""
    frames = len(picture.pixels)
    if frames == 1:
        return picture
    middle = frames // 2
    note = f"{frames} frames of a film; the middle one was looked at"
    return replace(
        picture, pixels=picture.pixels[middle : middle + 1], notes=(*picture.notes, note)
    )


def slices_of(image: Seen) -> list[tuple[int, Picture]]:
    """The slices that are looked at, each with its place along the plane's axis.

    Args:
        image: An image, or a volume: slices of its own plane, else axial ones.

    Returns:
        Pictures as a radiologist sees them: anterior or superior at the top, the patient's right
        on the left.
    """
    pixels = image.picture.pixels
    if image.kind != "volume":
        return [(0, image.picture)]
    axis = _PLANES.index(image.plane or "axial")
    count = pixels.shape[axis]
    first, last = (round(share * (count - 1)) for share in _MIDDLE)
    places = sorted({int(p) for p in np.linspace(first, last, _SHOWN).round()})
    return [(place, slice_at(image.picture, axis, place)) for place in places]


def slice_at(picture: Picture, axis: int, place: int) -> Picture:
    """One slice of a volume as a picture, see `slices_of`."""
    cut = np.take(picture.pixels, place, axis=axis)
    if axis > 0:
        cut = cut[::-1]  # superior at the top
    spacing = picture.spacing
    if spacing is not None:
        rest = [s for i, s in enumerate(spacing) if i != axis]
        spacing = (spacing[axis], rest[0], rest[1])
    return replace(picture, pixels=np.ascontiguousarray(cut[None]), spacing=spacing, notes=())


def key_slice(picture: Picture) -> tuple[NDArray[np.float32], float]:
    """(H, W) or (H, W, 3) of a single slice, and height of a pixel by its width."""
    ratio = 1.0
    if picture.spacing is not None:
        ratio = picture.spacing[1] / picture.spacing[2]
    return picture.pixels[0], ratio
