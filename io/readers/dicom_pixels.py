"""Pixels of a series: native ones here, compressed ones in a child process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers.dicom_files import BROKEN, DicomFile, parse

_CHILD = "mmtool.io.readers.dicom_decode"


def check_pixels(files: Sequence[DicomFile], name: str, limits: Limits) -> None:
    """Refuse, by headers alone, what is no grey image or would not fit.

    Raises:
        InputError: Colour, odd bit depth, or over a limit.
    """
    total = 0
    for file in files:
        dataset = file.dataset
        try:
            bits = int(dataset.BitsAllocated)
            stored = int(dataset.get("BitsStored") or bits)
            samples = int(dataset.get("SamplesPerPixel") or 1)
            int(dataset.PixelRepresentation)
            frames = int(dataset.get("NumberOfFrames") or 1)
            voxels = int(dataset.Rows) * int(dataset.Columns) * frames
        except (AttributeError, TypeError, ValueError):
            raise InputError(
                f"{file.path}: the header doesn't describe its pixels", "export it again"
            ) from None
        if samples != 1:
            raise InputError(
                f"{name}: a colour image holds no scan intensities", "choose the original series"
            )
        if bits not in (8, 16, 32) or not 0 < stored <= bits or voxels < 1 or frames < 1:
            raise InputError(
                f"{file.path}: {stored} of {bits} bits and {voxels} pixels are not supported",
                "export it again",
            )
        if frames > limits.max_frames:
            raise LimitError(
                f"{file.path}: {frames:,} frames are more than the limit",
                "raise MMTOOL_MAX_FRAMES if the file is what you expect",
            )
        total += voxels
    if total > limits.max_voxels:
        raise LimitError(
            f"{name}: {total:,} voxels are more than the limit of {limits.max_voxels:,}",
            "raise MMTOOL_MAX_VOXELS if the series is what you expect",
        )


def frames_of(
    files: Sequence[DicomFile], limits: Limits
) -> Iterator[tuple[DicomFile, NDArray[Any]]]:
    """Stored values of each file, in the order given.

    Yields:
        The file and its (frames, rows, columns) integers, sign and unused bits put right.
    """
    packed = [f for f in files if _syntax(f.dataset).is_compressed]
    decoded = _decoded(packed, limits) if packed else iter(())
    for file in files:
        if _syntax(file.dataset).is_compressed:
            data = next(decoded)
            shape = _shape(file.dataset)
            if data.shape != shape:
                raise InputError(f"{file.path}: decodes to {data.shape}, not {shape}", "")
        else:
            data = _native(file, limits)
        yield file, stored_bits(data, file.dataset)


def _syntax(dataset: Dataset) -> Any:
    from pydicom.uid import ImplicitVRLittleEndian

    meta = getattr(dataset, "file_meta", None)
    syntax = meta.get("TransferSyntaxUID") if meta is not None else None
    return syntax or ImplicitVRLittleEndian


def _shape(dataset: Dataset) -> tuple[int, int, int]:
    return int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns)


def _native(file: DicomFile, limits: Limits) -> NDArray[Any]:
    dataset = parse(file.path, limits, pixels=True)
    try:
        shape = _shape(dataset)
        sign = "i" if dataset.PixelRepresentation else "u"
        order = "<" if dataset.is_little_endian else ">"
        dtype = np.dtype(f"{order}{sign}{int(dataset.BitsAllocated) // 8}")
        raw = dataset.PixelData
        wanted = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if raw is None or len(raw) < wanted:
            raise InputError(
                f"{file.path}: {0 if raw is None else len(raw):,} of {wanted:,} bytes of pixels "
                "are there",
                "the file is cut short; copy it again",
            )
        return np.frombuffer(raw, dtype, wanted // dtype.itemsize).reshape(shape)
    except BROKEN as error:
        raise InputError(
            f"{file.path}: pixels can't be read ({type(error).__name__})", "export it again"
        ) from None


def stored_bits(data: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Clear bits above BitsStored: old files keep overlays there."""
    allocated, stored = int(dataset.BitsAllocated), int(dataset.get("BitsStored") or 0)
    native = data.astype(data.dtype.newbyteorder("="), copy=False)
    if not 0 < stored < allocated:
        return native
    spare = allocated - stored
    unsigned = native.view(f"u{native.dtype.itemsize}") << spare
    if dataset.PixelRepresentation:
        return unsigned.view(native.dtype) >> spare
    return unsigned >> spare


def _decoded(files: Sequence[DicomFile], limits: Limits) -> Iterator[NDArray[Any]]:
    """Decode files one after the other in one child."""
    command = [
        sys.executable,
        "-m",
        _CHILD,
        str(limits.decode_memory_bytes),
        str(limits.decode_seconds),
    ]
    with (
        tempfile.TemporaryFile() as paths,
        tempfile.TemporaryFile() as words,
    ):
        for file in files:
            paths.write(json.dumps(str(file.path)).encode() + b"\n")
        paths.seek(0)
        with subprocess.Popen(command, stdin=paths, stdout=subprocess.PIPE, stderr=words) as child:
            try:
                if child.stdout is None:
                    raise InputError("the decoder did not start", "")
                for file in files:
                    yield _one(child.stdout, file, limits)
            finally:
                child.kill()


def _one(pipe: IO[bytes], file: DicomFile, limits: Limits) -> NDArray[Any]:
    line = pipe.readline(1000)
    data = b""
    if line:
        header = json.loads(line)
        shape, dtype = tuple(header["shape"]), np.dtype(header["dtype"])
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if size > limits.max_inflated_bytes:
            raise LimitError(f"{file.path}: decodes to {size:,} bytes", "is this the file?")
        data = pipe.read(size)
        if len(data) == size:
            return np.frombuffer(data, dtype).reshape(shape)
    raise InputError(
        f"{file.path}: the compressed pixels can't be decoded",
        "decompress the series first (e.g. gdcmconv --raw, dcmdjpeg), or export it again",
    )


def rescaled(frames: Sequence[tuple[NDArray[Any], float, float]]) -> NDArray[Any]:
    """Stack slices into (I, J, K) and apply slope and intercept of each.

    Args:
        frames: (rows, columns) stored values with slope and intercept, in order of K.

    Returns:
        int16 or int32 where that is exact, else float32.
    """
    first = frames[0][0]
    whole = all(float(s).is_integer() and float(b).is_integer() for _, s, b in frames)
    low = min(min(s * float(f.min()), s * float(f.max())) + b for f, s, b in frames)
    high = max(max(s * float(f.min()), s * float(f.max())) + b for f, s, b in frames)
    if not np.isfinite((low, high)).all():
        raise InputError("rescale slope or intercept is not finite", "the header is broken")
    dtype: Any = np.float32
    if whole:
        fits = [
            t for t in (np.int16, np.int32) if np.iinfo(t).min <= low <= high <= np.iinfo(t).max
        ]
        dtype = fits[0] if fits else np.float32
    out = np.empty((first.shape[1], first.shape[0], len(frames)), dtype)
    wide = np.float64 if dtype is np.float32 else np.int64
    for k, (frame, slope, intercept) in enumerate(frames):
        if slope == 1 and intercept == 0:
            out[:, :, k] = frame.T
        else:
            out[:, :, k] = (frame.T * wide(slope) + wide(intercept)).astype(dtype)
    return out
