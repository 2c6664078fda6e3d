"""Find and parse the DICOM files of a folder, archive or single path, and group them by series."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits

# pydicom logs the values that it finds odd, and those may name a patient.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

# What pydicom throws at broken files, found by mutation tests.
BROKEN = (
    InvalidDicomError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    RuntimeError,
    TypeError,
    UnicodeError,
    ValueError,
    ZeroDivisionError,
    pydicom.errors.BytesLengthException,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class DicomFile:
    """One parsed file: its path and its dataset without pixel data."""

    path: Path
    dataset: Dataset


@dataclass
class Series:
    """The image files that share a SeriesInstanceUID.

    Attributes:
        uid: SeriesInstanceUID. Never log it.
        files: In no particular order.
    """

    uid: str
    files: list[DicomFile] = field(default_factory=list)

    @property
    def short_id(self) -> str:
        """Eight hex digits that name the series without showing its UID."""
        return hashlib.sha256(self.uid.encode()).hexdigest()[:8]

    @property
    def modality(self) -> str:
        """DICOM modality, or an empty string."""
        return str(self.files[0].dataset.get("Modality") or "")

    def number(self) -> int:
        """SeriesNumber for sorting; a large number when absent."""
        try:
            return int(self.files[0].dataset.get("SeriesNumber"))
        except (TypeError, ValueError):
            return 1 << 30


def is_dicom(head: bytes) -> bool:
    """Whether the first bytes look like DICOM, with or without a preamble."""
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8:
        return False
    group, element = struct.unpack("<HH", head[:4])
    return group in (0x0002, 0x0008) and element in (0x0000, 0x0001, 0x0005, 0x0008, 0x0016)


def candidates(path: Path, limits: Limits) -> Iterator[Path]:
    """Regular files below a folder (links are not followed), or the file itself."""
    if path.is_file():
        yield path
        return
    count = 0
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            info = file.lstat()
            # A link to a file is how many pipelines stage their inputs; one to a folder may loop.
            if not (stat.S_ISREG(info.st_mode) or (file.is_symlink() and file.is_file())):
                continue
            count += 1
            if count > limits.max_frames:
                raise LimitError(
                    f"{path}: more than {limits.max_frames:,} files",
                    "name the folder of one study, or raise MMTOOL_MAX_FRAMES",
                )
            yield file


def parse(path: Path, limits: Limits, *, pixels: bool = False) -> Dataset:
    """Parse one file.

    Args:
        path: The file.
        limits: Bounds.
        pixels: Keep the pixel data.

    Raises:
        InputError: Broken or over a limit; never another exception.
    """
    size = path.stat().st_size
    if size > limits.max_file_bytes:
        raise LimitError(f"{path}: {size:,} bytes are more than the limit", "is this the file?")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns about values; those may name a person
            source = _inflate_if_deflated(path, limits)
            dataset = pydicom.dcmread(
                source or path, stop_before_pixels=not pixels, force=source is None
            )
            _check_depth(dataset, limits.max_sequence_depth)
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(
            f"{path}: broken DICOM file ({type(error).__name__})", "export it again"
        ) from None
    return dataset


def _inflate_if_deflated(path: Path, limits: Limits) -> BytesIO | None:
    """A deflated file as explicit little endian, inflated no further than the limit.

    pydicom inflates such files whole before it looks at anything, without a bound.
    """
    with path.open("rb") as file:
        if read_preamble(file, force=True) is None:
            return None
        meta = pydicom.filereader._read_file_meta_info(file)
        if str(meta.get("TransferSyntaxUID", "")) != DeflatedExplicitVRLittleEndian:
            return None
        packed = file.read()
    cap = min(limits.max_inflated_bytes, max(64 << 20, limits.max_inflation * len(packed)))
    body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, cap + 1)
    if len(body) > cap:
        raise LimitError(
            f"{path}: {len(packed):,} bytes inflate to more than {cap:,}",
            "raise MMTOOL_MAX_INFLATION if the file is what you expect",
        )
    out = BytesIO()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.filewriter.write_file_meta_info(out, meta)
    return BytesIO(bytes(128) + b"DICM" + out.getvalue() + body)


def _check_depth(dataset: Dataset, left: int) -> None:
    if left < 0:
        raise InputError("DICOM sequences are nested too deeply", "the file is broken")
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _check_depth(item, left - 1)


def image_series(path: Path, limits: Limits) -> list[Series]:
    """All series of images at a path, lowest SeriesNumber first.

    Files that are no DICOM are passed over, as are objects without pixels (reports, contours) and
    segmentations. A broken DICOM file is an error: it may be a slice of the scan.
    """
    found: dict[str, Series] = {}
    total = 0
    for file in candidates(path, limits):
        with file.open("rb") as raw:
            if not is_dicom(raw.read(132)):
                continue
        total += file.stat().st_size
        if total > limits.max_file_bytes:
            raise LimitError(f"{path}: the files are larger than the limit together", "")
        dataset = parse(file, limits)
        if "Rows" not in dataset or dataset.get("Modality") in ("SEG", "RTDOSE", "SM"):
            continue
        uid = str(dataset.get("SeriesInstanceUID", ""))
        found.setdefault(uid, Series(uid)).files.append(DicomFile(file, dataset))
    return sorted(found.values(), key=lambda s: (s.number(), s.short_id))
