"""Pictures for encoders: photographs and films, frames and slices, and volumes in one view."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import GeometryError, InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers import read_volume
from mmtool.io.readers.decoding_child import DecodingChild
from mmtool.io.readers.dicom import read_series
from mmtool.io.readers.dicom_files import BROKEN, Series, image_series, is_dicom, parse
from mmtool.io.readers.picture_dicom import dicom_facts, picture_of_frames, samples_of
from mmtool.io.readers.picture_scale import SOFT_TISSUE, limited, reduced, windowed
from mmtool.retrieval import Picture
from mmtool.types import Volume

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_CHILD = "mmtool.io.readers.picture_decode"
_FLAT_PIXELS = 200_000_000  # of one picture without levels, which is held whole
_FRAMES = 64  # of a video that are read, at even distances
_MIN_SIDE = 8  # pixels: less is no picture
_AIR = -500  # only HU reach so far below zero
_COLOURED = 16 / 255  # difference of channels that is no grey
_COLOURED_SHARE = 0.01  # of the pixels: a coloured mark on a film leaves it a grey picture


@contextmanager
def picture_reader(limits: Limits | None = None) -> Iterator[PictureReader]:
    """A reader for many pictures: one child process decodes all of them."""
    limits = limits or Limits()
    with DecodingChild(_CHILD, limits) as child:
        yield PictureReader(child, limits)


def read_picture(path: Path, limits: Limits | None = None, *, series: str | None = None) -> Picture:
    """One picture; see :meth:`PictureReader.read`."""
    with picture_reader(limits) as reader:
        return reader.read(path, series=series)


class PictureReader:
    """Reads one picture after the other."""

    def __init__(self, child: DecodingChild, limits: Limits) -> None:
        self._child, self._limits = child, limits

    def read(self, path: Path, *, series: str | None = None) -> Picture:
        """Read an image or a volume of any format but slides.

        Args:
            path: PNG, JPEG, BMP, TIFF; NIfTI, MGH, NRRD; DICOM file, folder or zip. The format is
                known by the bytes.
            series: DICOM folder or zip: number, short id or SeriesInstanceUID where there are
                several.

        Returns:
            The picture; its longer side has fewer than 2,048 pixels, larger ones are averaged.

        Raises:
            InputError: Missing, broken, or no image.
            LimitError: Larger than the limits allow.
        """
        if path.is_dir():
            return self._volume(path, series)
        head = _head(path, self._limits)
        if is_dicom(head):
            return self._dicom(path, series)
        if _is_flat(head):
            return self._flat(path)
        if head[:4] == b"PK\x03\x04" or not _is_text(head):
            return self._volume(path, series)
        raise InputError(f"{path}: text, not an image", "name the file by what it is")

    def _flat(self, path: Path) -> Picture:
        pixels = min(_FLAT_PIXELS, self._limits.max_voxels)
        words = {"path": str(path.resolve()), "want": "flat", "pixels": pixels, "frames": _FRAMES}
        (data,) = self._child.ask(words, str(path))[1]
        _check_side(data.shape[1:3], path)
        small, _ = reduced(data)
        notes: tuple[str, ...] = ()
        if data.dtype == np.uint8:
            values = np.asarray(small / np.float32(255), np.float32)
        else:
            values, notes = windowed(small, None, str(path))
        return Picture(values if data.ndim == 3 else grey_if_grey(values), notes=notes)

    def _dicom(self, path: Path, series: str | None) -> Picture:
        dataset = parse(path, self._limits)
        try:
            if _is_stack(dataset):
                return self._volume(path, series)
            samples_of(dataset, str(path), self._limits)
            words = {"path": str(path.resolve()), "want": "dicom", "frames": _FRAMES}
            (data,) = self._child.ask(words, str(path))[1]
            _check_side(data.shape[1:3], path)
            picture = picture_of_frames(data, dataset, str(path))
        except BROKEN as error:
            raise InputError(
                f"{path}: broken DICOM data ({type(error).__name__})", "export it again"
            ) from None
        return replace(picture, pixels=grey_if_grey(picture.pixels)) if picture.colour else picture

    def _volume(self, path: Path, series: str | None) -> Picture:
        try:
            volume = read_volume(path, limits=self._limits, series=series, resample_irregular=True)
        except GeometryError as error:
            picture = self._middle_slice(path, series)
            if picture is None:
                raise
            note = f"no volume ({error.message.partition(': ')[2] or error.message})"
            return replace(
                picture, notes=(*picture.notes, f"{note}; its middle image stands for it")
            )
        return picture_of_volume(volume)

    def read_series(self, series: Series, path: Path) -> Picture:
        """The volume of a DICOM series whose files were found.

        Args:
            series: Its files.
            path: Where they lie, for messages.

        Raises:
            InputError: Broken, or no volume; the images may still be read one by one.
        """
        try:
            volume = read_series(series, path, limits=self._limits, resample_irregular=True)
        except BROKEN as error:
            raise InputError(
                f"{path}: broken DICOM data ({type(error).__name__})", "export it again"
            ) from None
        return picture_of_volume(volume)

    def _middle_slice(self, path: Path, series: str | None) -> Picture | None:
        """The image in the middle of a DICOM folder of one series that fills no box."""
        if series is not None or not path.is_dir():
            return None
        found = image_series(path, self._limits)
        if len(found) != 1:
            return None
        files = sorted(f.path for f in found[0].files)
        return self._dicom(files[len(files) // 2], None)


def _head(path: Path, limits: Limits) -> bytes:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise InputError(f"{path}: can't be read ({type(error).__name__})", "check the path") from (
            error
        )
    if size > limits.max_file_bytes:
        raise LimitError(
            f"{path}: {size:,} bytes are more than the limit",
            "raise MMTOOL_MAX_FILE_BYTES if the file is what you expect",
        )
    if not head:
        raise InputError(f"{path}: the file is empty", "copy it again from its source")
    return head


def _is_flat(head: bytes) -> bool:
    marks = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    return head.startswith(marks)


def _is_text(head: bytes) -> bool:
    return b"\0" not in head and not head.startswith(b"\x1f\x8b") and head[:4] != b"NRRD"


def _is_stack(dataset: Any) -> bool:
    """Whether the frames of one object are the slices of a volume."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    return frames > 2 and bool(per_frame) and "PlanePositionSequence" in per_frame[0]


def _check_side(shape: tuple[int, ...], path: Path) -> None:
    if min(shape) < _MIN_SIDE:
        raise InputError(
            f"{path}: only {shape[1]} x {shape[0]} pixels",
            f"at least {_MIN_SIDE} along each side make a picture",
        )


def grey_if_grey(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(D, H, W) where hardly a pixel of (D, H, W, 3) is coloured; else the same array."""
    apart = pixels.max(-1) - pixels.min(-1) > _COLOURED
    return pixels if apart.mean() > _COLOURED_SHARE else pixels.mean(-1, dtype=np.float32)


def picture_of_volume(volume: Volume) -> Picture:
    """A volume as an encoder takes it.

    Args:
        volume: In any orientation. Oblique axes are named by their nearest direction.

    Returns:
        (D, H, W) from inferior to superior, anterior to posterior, right to left. HU are windowed
        to soft tissue, all else from the percentile 0.5 to 99.5. Volumes of more than 64 million
        voxels are averaged within slices.
    """
    from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

    ornt = ornt_transform(io_orientation(volume.affine), axcodes2ornt("LPS"))
    data = np.transpose(apply_orientation(volume.data, ornt), (2, 1, 0))
    steps = np.linalg.norm(volume.affine[:3, :3], axis=0)
    order = np.empty(3)
    order[ornt[:, 0].astype(int)] = steps
    small, factor = limited(data)
    facts, is_ct = _volume_facts(volume, small)
    values, notes = windowed(small, SOFT_TISSUE if is_ct else None, str(volume.source.path))
    spacing = (float(order[2]), float(order[1]) * factor, float(order[0]) * factor)
    return Picture(values, spacing, facts, (*volume.source.notes, *notes))


def _volume_facts(volume: Volume, data: NDArray[Any]) -> tuple[dict[str, str], bool]:
    source = volume.source
    if source.datasets:
        facts = dicom_facts(source.datasets[0])
        return facts, facts.get("modality") == "CT" and float(data.min()) < 0
    is_ct = float(data.min()) < _AIR
    return ({"modality": "CT"} if is_ct else {}), is_ct
