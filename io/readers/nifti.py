"""NIfTI-1/2 (.nii, .nii.gz, .hdr/.img) and FreeSurfer .mgh/.mgz."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.fileholders import FileHolder
from nibabel.freesurfer.mghformat import MGHError, MGHImage
from nibabel.spatialimages import HeaderDataError, HeaderTypeError
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from mmtool.errors import InputError, LimitError
from mmtool.io.geometry import check_shape, checked_affine
from mmtool.io.limits import Limits
from mmtool.types import ScanHeader, Volume, VolumeSource

# What the parsers below throw at broken files, found by mutation tests.
_BROKEN = (
    ImageFileError,
    HeaderDataError,
    HeaderTypeError,
    MGHError,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    TypeError,
    KeyError,
    IndexError,
    ZeroDivisionError,
    struct.error,
    zlib.error,
)
_INFLATION_FLOOR = 64 << 20  # bytes; below this a high ratio harms nobody


def sniff(head: bytes) -> str:
    """``nifti``, ``mgh`` or an empty string, from the first (inflated) bytes of a file."""
    if len(head) >= 348 and head[344:348] in (b"n+1\0", b"ni1\0"):
        return "nifti"
    if len(head) >= 8 and head[4:8] in (b"n+2\0", b"ni2\0"):
        return "nifti"
    # MGH: big-endian version 1, then four positive dimensions and a known type.
    if len(head) >= 284:
        version, *dims, kind = struct.unpack(">6i", head[:24])
        if version == 1 and all(0 < d < 1 << 20 for d in dims) and kind in (0, 1, 3, 4, 10):
            return "mgh"
    if len(head) >= 348 and struct.unpack("<i", head[:4])[0] == 348 and head[344:348] == bytes(4):
        return "nifti"  # Analyze 7.5, read by nibabel's NIfTI pair class
    return ""


def read(
    path: Path,
    kind: str,
    *,
    sha256: str,
    limits: Limits,
    on_header: Callable[[ScanHeader], None] = lambda header: None,
) -> Volume:
    """Read one volume.

    Args:
        path: The file.
        kind: What :func:`sniff` said.
        sha256: Hash of the file.
        limits: Bounds.
        on_header: Called before the voxels are read.

    Returns:
        Data as integers where the file has unscaled integers, else float32.

    Raises:
        InputError: Broken, not a volume, or over a limit.
    """
    return read_several(path, kind, 1, sha256=sha256, limits=limits, on_header=on_header)[0]


def read_several(
    path: Path,
    kind: str,
    count: int,
    *,
    sha256: str,
    limits: Limits,
    on_header: Callable[[ScanHeader], None] = lambda header: None,
) -> tuple[Volume, ...]:
    """Read the volumes that a file holds along its fourth axis; arguments as of :func:`read`.

    Args:
        count: How many there must be; a file of three axes is one.
    """
    try:
        with _opened(path, kind) as image:
            _check_size(image, path, limits, count)
            affine = checked_affine(image.affine, path.name)
            on_header(_header(image, affine, count))
            data = _voxels(image, path, count)
            header = image.header.copy()
    except _BROKEN as error:
        raise InputError(
            f"{path}: broken {kind} file ({type(error).__name__})",
            "copy it again from its source, or check it with 'nib-ls'",
        ) from error
    notes = _orientation_notes(header) if kind == "nifti" else ()
    source = VolumeSource(path, kind, sha256, header=header, notes=notes)
    return tuple(Volume(data[..., n], affine, source) for n in range(count))


def count_volumes(path: Path, kind: str) -> int:
    """How many volumes a file says it holds along its further axes.

    Raises:
        InputError: The header cannot be read.
    """
    try:
        with _opened(path, kind) as image:
            return prod(int(n) for n in image.shape[3:])
    except _BROKEN as error:
        raise InputError(
            f"{path}: broken {kind} file ({type(error).__name__})",
            "copy it again from its source, or check it with 'nib-ls'",
        ) from error


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[Any]:
    if path.suffix.lower() in (".hdr", ".img"):
        yield nibabel.load(path)
        return
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
        if kind == "mgh":
            yield MGHImage.from_file_map({"image": FileHolder(fileobj=file)})
        else:
            size = struct.unpack("<i", file.read(4))[0]
            file.seek(0)
            newer = size in (540, struct.unpack(">i", struct.pack("<i", 540))[0])
            cls = nibabel.Nifti2Image if newer else nibabel.Nifti1Image
            yield cls.from_stream(file)


def _check_size(image: Any, path: Path, limits: Limits, count: int) -> None:
    shape = tuple(int(n) for n in image.shape)
    if not shape or min(shape) < 1:
        raise InputError(f"{path}: the header says {shape} voxels", "the file is broken")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if count > 1 and prod(shape[3:]) == count:
        shape = shape[:3]
    check_shape(shape, str(path))
    voxels = prod(shape) * count
    if voxels > limits.max_voxels:
        raise LimitError(
            f"{path}: {voxels:,} voxels are more than the limit of {limits.max_voxels:,}",
            "raise MMTOOL_MAX_VOXELS if the file is what you expect",
        )
    size = voxels * int(image.get_data_dtype().itemsize)
    stored = path.stat().st_size
    if size > limits.max_inflated_bytes:
        raise LimitError(
            f"{path}: {size:,} bytes of voxels are more than the limit",
            "raise MMTOOL_MAX_INFLATED_BYTES if the file is what you expect",
        )
    if size > _INFLATION_FLOOR and size > limits.max_inflation * stored:
        raise LimitError(
            f"{path}: {stored:,} bytes on disk claim to hold {size:,}",
            "raise MMTOOL_MAX_INFLATION if the file is what you expect",
        )


def _header(image: Any, affine: NDArray[np.float64], count: int) -> ScanHeader:
    i, j, k = (int(n) for n in image.shape[:3])
    dtype, voxels = image.get_data_dtype(), i * j * k * count
    stored = voxels * int(dtype.itemsize)
    if _is_scaled(image) or dtype.itemsize > 4:
        return ScanHeader((i, j, k), affine, stored + 4 * voxels, 4 * voxels)
    swapped = 0 if dtype.isnative else stored
    return ScanHeader((i, j, k), affine, stored + swapped, stored)


def _is_scaled(image: Any) -> bool:
    return (image.dataobj.slope, image.dataobj.inter) != (1, 0)


def _voxels(image: Any, path: Path, count: int) -> NDArray[Any]:
    """(I, J, K, count) integers as stored, or float32."""
    dtype = image.get_data_dtype()
    if dtype.kind not in "iufb" or dtype.names:
        raise InputError(
            f"{path}: voxels of type {dtype} are no intensities",
            "convert the scan to one grey value for each voxel",
        )
    data: NDArray[Any] = np.asarray(image.dataobj.get_unscaled())
    data = data.reshape((*data.shape[:3], count), order="F")
    if _is_scaled(image):
        scaled: NDArray[np.float32] = np.empty(data.shape, np.float32, "F")
        for k in range(scaled.shape[2]):  # in float64, which a whole volume need not be
            plane = apply_read_scaling(data[:, :, k], image.dataobj.slope, image.dataobj.inter)
            scaled[:, :, k] = plane
        return scaled
    if data.dtype.kind == "f":
        return np.asarray(data, np.float32)
    if data.dtype.itemsize > 4:
        return data.astype(np.float32)
    return np.asarray(data, data.dtype.newbyteorder("="))


def _orientation_notes(header: Any) -> tuple[str, ...]:
    """Say so when a file stores no orientation: left and right are then a convention."""
    try:
        codes = int(header["sform_code"]), int(header["qform_code"])
    except (KeyError, ValueError):
        codes = (0, 0)
    if any(codes):
        return ()
    return ("the file stores no orientation; left and right follow a convention only",)
