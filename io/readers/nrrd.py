"""NRRD (.nrrd, and .nhdr with its data beside it)."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import IO, Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from mmtool.errors import GeometryError, InputError, LimitError, MMToolError
from mmtool.io.geometry import LPS_TO_RAS, check_shape, checked_affine
from mmtool.io.limits import Limits
from mmtool.types import ScanHeader, Volume, VolumeSource

_SPACES = {
    "right-anterior-superior": np.eye(4),
    "ras": np.eye(4),
    "left-posterior-superior": LPS_TO_RAS,
    "lps": LPS_TO_RAS,
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "las": np.diag([-1.0, 1.0, 1.0, 1.0]),
}
_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    "float": "f4",
    "double": "f8",
}
_MAX_HEADER = 1 << 20


def sniff(head: bytes) -> bool:
    """Whether the first bytes are those of a NRRD."""
    return head[:4] == b"NRRD"


def read(
    path: Path,
    *,
    sha256: str,
    limits: Limits,
    on_header: Callable[[ScanHeader], None] = lambda header: None,
) -> Volume:
    """Read one volume.

    Args:
        path: The file.
        sha256: Hash of the file.
        limits: Bounds.
        on_header: Called before the voxels are read.

    Returns:
        Data as stored (64-bit floats become float32).

    Raises:
        InputError: Broken, not a volume in a known space, or over a limit.
    """
    try:
        with path.open("rb") as file:
            header = nrrd.read_header(_bounded_lines(file, path))
            shape = tuple(int(n) for n in header["sizes"])
            check_shape(shape, str(path))
            dtype = _dtype(header, path)
            size = prod(shape) * dtype.itemsize
            if prod(shape) > limits.max_voxels or size > limits.max_inflated_bytes:
                raise LimitError(
                    f"{path}: {prod(shape):,} voxels are more than the limit",
                    "raise MMTOOL_MAX_VOXELS if the file is what you expect",
                )
            affine = _affine(header, path)
            i, j, k = shape
            held = prod(shape) * min(dtype.itemsize, 4)
            packed = path.stat().st_size if header["encoding"] != "raw" else 0
            on_header(ScanHeader((i, j, k), affine, size + max(packed, held), held))
            data = _data(header, file, path, size)
    except MMToolError:
        raise
    except (
        nrrd.NRRDError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        OSError,
        EOFError,
        zlib.error,
        OverflowError,
        UnicodeDecodeError,
    ) as error:
        raise InputError(
            f"{path}: broken NRRD file ({type(error).__name__})", "copy it again from its source"
        ) from error
    voxels = np.frombuffer(data, dtype).reshape(shape, order="F")
    voxels = voxels.astype(np.float32 if dtype.kind == "f" else dtype.newbyteorder("="))
    return Volume(voxels, affine, VolumeSource(path, "nrrd", sha256, header=dict(header)))


def _bounded_lines(file: IO[bytes], path: Path) -> list[bytes]:
    """Header lines up to the blank one; the file is left at the first byte of data."""
    lines: list[bytes] = []
    total = 0
    while True:
        line = file.readline(_MAX_HEADER)
        total += len(line)
        if total >= _MAX_HEADER:
            raise LimitError(f"{path}: NRRD header of more than 1 MiB", "the file is broken")
        if line in (b"\n", b"\r\n", b""):
            return lines
        lines.append(line.rstrip(b"\r\n"))


def _dtype(header: dict[str, Any], path: Path) -> np.dtype[Any]:
    kind = _TYPES.get(str(header["type"]))
    if kind is None:
        raise InputError(
            f"{path}: voxels of type '{header['type']}' are not supported",
            "convert to 16-bit integers or float",
        )
    order = ">" if header.get("endian", "little") == "big" else "<"
    return np.dtype(order + kind)


def _affine(header: dict[str, Any], path: Path) -> NDArray[np.float64]:
    space = str(header.get("space", "")).lower()
    if space not in _SPACES or "space directions" not in header:
        raise GeometryError(
            f"{path}: no anatomical space is stored, so left and right are unknown",
            "write 'space' and 'space directions' (e.g. save again from 3D Slicer)",
        )
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(header["space directions"], float).T
    affine[:3, 3] = np.asarray(header.get("space origin", (0, 0, 0)), float)
    return checked_affine(_SPACES[space] @ affine, str(path))


def _data(header: dict[str, Any], file: IO[bytes], path: Path, size: int) -> bytes:
    """Exactly ``size`` bytes of voxels; never inflates more than that."""
    detached = header.get("data file") or header.get("datafile")
    if detached:
        place = path.parent / str(detached)
        if Path(str(detached)).name != str(detached) or not place.is_file():
            raise InputError(
                f"{path}: the data file must lie beside the header", "keep both in one folder"
            )
        with place.open("rb") as other:
            return _inflated(header, other, path, size)
    return _inflated(header, file, path, size)


def _inflated(header: dict[str, Any], file: IO[bytes], path: Path, size: int) -> bytes:
    encoding = str(header["encoding"]).lower()
    if encoding == "raw":
        data = file.read(size)
    elif encoding in ("gzip", "gz"):
        data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(file.read(), size)
    elif encoding in ("bzip2", "bz2"):
        data = bz2.BZ2Decompressor().decompress(file.read(), size)
    else:
        raise InputError(
            f"{path}: NRRD encoding '{encoding}' is not supported", "save it with gzip encoding"
        )
    if len(data) != size:
        raise InputError(
            f"{path}: {len(data):,} of {size:,} bytes of voxels are there", "the file is cut short"
        )
    return data
