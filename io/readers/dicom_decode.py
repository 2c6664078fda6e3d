"""Child process that decodes compressed pixels: ``python -m mmtool.io.readers.dicom_decode``.

Native codecs crash on some broken streams. Here a crash costs one child, not a batch. The parent
sends paths on standard input, one a line; for each, this prints one JSON line with shape and type,
then the raw bytes.
"""

from __future__ import annotations

import json
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

_JPEG2000 = (JPEG2000, JPEG2000Lossless, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)
SUPPORTED = (
    *_JPEG2000,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)


def decode_frame(frame: bytes, syntax: str, bits: int) -> NDArray[Any]:
    if syntax in _JPEG2000:
        return imagecodecs.jpeg2k_decode(frame, numthreads=1)
    if syntax in (JPEGLSLossless, JPEGLSNearLossless):
        return imagecodecs.jpegls_decode(frame)
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        return imagecodecs.ljpeg_decode(frame)
    return imagecodecs.jpeg_decode(frame, bitspersample=12 if bits > 8 else 8)


def decode(dataset: Dataset) -> NDArray[Any]:
    """All frames of one object.

    Returns:
        (frames, rows, columns) of the stored integer type.

    Raises:
        ValueError: The stream doesn't hold the image that the header promises.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    frames = int(dataset.get("NumberOfFrames") or 1)
    shape = (int(dataset.Rows), int(dataset.Columns))
    if syntax == RLELossless:
        return np.asarray(dataset.pixel_array).reshape(frames, *shape)
    sign = "i" if dataset.PixelRepresentation else "u"
    dtype = np.dtype(f"{sign}{int(dataset.BitsAllocated) // 8}")
    out = np.empty((frames, *shape), dtype)
    count = 0
    for frame in generate_frames(dataset.PixelData, number_of_frames=frames):
        if count == frames:
            raise ValueError("more frames than promised")
        image = decode_frame(frame, syntax, int(dataset.BitsAllocated))
        if image.shape != shape:
            raise ValueError(f"a frame of {image.shape} where {shape} was promised")
        if image.dtype.itemsize == dtype.itemsize:
            image = image.view(dtype)
        out[count] = image
        count += 1
    if count != frames:
        raise ValueError("fewer frames than promised")
    return out


def main() -> None:
    """Decode every path on standard input."""
    memory, seconds = (int(v) for v in sys.argv[1:3])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        path = Path(json.loads(line))
        data = decode(pydicom.dcmread(path, force=True))
        header = {"shape": data.shape, "dtype": data.dtype.newbyteorder("=").str}
        sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
        sys.stdout.buffer.write(np.ascontiguousarray(data, data.dtype.newbyteorder("=")).data)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
