"""Readers, one file a format: sniff by bytes, then read."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers import dicom, nifti, nrrd
from mmtool.io.readers.dicom import SeriesSummary
from mmtool.io.readers.dicom_files import is_dicom
from mmtool.types import ScanHeader, Volume

__all__ = [
    "SeriesSummary",
    "count_volumes",
    "hash_input",
    "list_series",
    "read_header",
    "read_volume",
    "read_volumes",
    "sniff_volume",
]

_HEAD = 512


def read_volume(
    path: Path,
    *,
    limits: Limits | None = None,
    series: str | None = None,
    resample_irregular: bool = False,
    on_header: Callable[[ScanHeader], None] = lambda header: None,
) -> Volume:
    """Read a scan of any supported format.

    Args:
        path: NIfTI, MGH or NRRD file; DICOM file, folder or zip.
        limits: Bounds; the defaults when None.
        series: DICOM only: number in the listing, short id or SeriesInstanceUID.
        resample_irregular: DICOM only: resample slices that fill no regular box.
        on_header: Called before the voxels are read; what it raises ends the reading.

    Returns:
        The volume with its affine in RAS+ mm.

    Raises:
        InputError: Missing, broken, hostile or not a volume.

    Example:
        >>> read_volume(Path("scan.nii.gz")).shape  # doctest: +SKIP
        (256, 256, 176)
    """
    limits = limits or Limits()
    kind = sniff_volume(path, limits)
    if kind == "dicom":
        return dicom.read(
            path,
            limits=limits,
            series=series,
            resample_irregular=resample_irregular,
            on_header=on_header,
        )
    return _read_file(path, kind, hash_input(path, limits=limits), limits, on_header)[0]


def read_header(
    path: Path,
    *,
    limits: Limits | None = None,
    series: str | None = None,
    resample_irregular: bool = False,
    volumes: int = 1,
) -> ScanHeader:
    """What is known of a scan before its voxels are read; arguments and errors as there.

    ``volumes`` is how many a NIfTI must hold along its fourth axis, as in :func:`read_volumes`.
    """
    limits = limits or Limits()
    kind = sniff_volume(path, limits)
    seen: list[ScanHeader] = []

    def stop(header: ScanHeader) -> None:
        seen.append(header)
        raise _Enough

    with suppress(_Enough):
        if kind == "dicom":
            dicom.read(
                path,
                limits=limits,
                series=series,
                resample_irregular=resample_irregular,
                on_header=stop,
            )
        else:
            _read_file(path, kind, "", limits, stop, volumes)
    return seen[0]


class _Enough(Exception):  # noqa: N818
    """Ends a reading once the header is known."""


def _read_file(
    path: Path,
    kind: str,
    sha256: str,
    limits: Limits,
    on_header: Callable[[ScanHeader], None],
    volumes: int = 1,
) -> tuple[Volume, ...]:
    if kind == "nrrd":
        return (nrrd.read(path, sha256=sha256, limits=limits, on_header=on_header),)
    return nifti.read_several(
        path, kind, volumes, sha256=sha256, limits=limits, on_header=on_header
    )


def count_volumes(path: Path, *, limits: Limits | None = None) -> int:
    """How many volumes a file holds along a fourth axis; 1 for all that is no NIfTI.

    Raises:
        InputError: Missing, broken or not a volume.
    """
    kind = sniff_volume(path, limits or Limits())
    return nifti.count_volumes(path, kind) if kind == "nifti" else 1


def read_volumes(
    path: Path,
    count: int,
    *,
    limits: Limits | None = None,
    on_header: Callable[[ScanHeader], None] = lambda header: None,
) -> tuple[Volume, ...]:
    """Read a NIfTI file whose fourth axis holds ``count`` volumes of one patient.

    Args:
        path: The file.
        count: How many it must hold.
        limits: Bounds; the defaults when None.
        on_header: Called before the voxels are read, with the memory that all of them take.

    Raises:
        InputError: Missing, broken, or with another number of volumes.
    """
    limits = limits or Limits()
    kind = sniff_volume(path, limits)
    sha256 = hash_input(path, limits=limits)
    return _read_file(path, kind, sha256, limits, on_header, count)


def sniff_volume(path: Path, limits: Limits) -> str:
    """``nifti``, ``mgh``, ``nrrd`` or ``dicom``, by the bytes of the file.

    Raises:
        InputError: Missing, empty, too large or of no supported format.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder", "check the path")
    if path.is_dir():
        return "dicom"
    if not path.is_file():
        raise InputError(f"{path}: neither a file nor a folder", "give a scan")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path}: the file is empty", "copy it again from its source")
    if size > limits.max_file_bytes:
        raise LimitError(
            f"{path}: {size:,} bytes are more than the limit",
            "raise MMTOOL_MAX_FILE_BYTES if the file is what you expect",
        )
    try:
        kind = _kind_by_content(path)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path}: can't be read ({type(error).__name__})", "copy it again from its source"
        ) from error
    if not kind and path.suffix.lower() == ".img" and path.with_suffix(".hdr").is_file():
        kind = "nifti"
    if not kind:
        raise InputError(
            f"{path}: not a NIfTI, MGH, NRRD or DICOM file",
            "the format is known by the content, not by the name",
        )
    return kind


def _kind_by_content(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[:4] == b"PK\x03\x04" or is_dicom(head):
        return "dicom"
    if nrrd.sniff(head):
        return "nrrd"
    if head[:2] == b"\x1f\x8b":
        with gzip.open(path) as packed:
            head = packed.read(_HEAD)
    return nifti.sniff(head)


def hash_input(path: Path, *, limits: Limits | None = None, series: str | None = None) -> str:
    """SHA-256 of what :func:`read_volume` would read, without decoding it."""
    limits = limits or Limits()
    if sniff_volume(path, limits) == "dicom":
        return dicom.hash_series(path, limits, series)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_series(path: Path, *, limits: Limits | None = None) -> list[SeriesSummary]:
    """The DICOM series at a path, as ``--series`` counts them."""
    return dicom.list_series(path, limits or Limits())
