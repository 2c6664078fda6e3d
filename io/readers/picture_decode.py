"""Child process that decodes pictures: ``python -m mmtool.io.readers.picture_decode MEMORY``.

PNG, JPEG, BMP and TIFF by Pillow, and the frames of DICOM images, grey or in colour, packed or not.
All of it is native code on untrusted bytes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, convert_color_space, iter_pixels
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, RLELossless

from mmtool.io.readers.decoding_child import Refusal, serve
from mmtool.io.readers.dicom_decode import decode_frame
from mmtool.io.readers.dicom_pixels import stored_bits

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_WIDE = {"I;16": np.uint16, "I;16L": np.uint16, "I;16B": np.uint16, "I": np.int32, "F": np.float32}
_NO_PICTURE = "PNG, JPEG, BMP and TIFF pictures can be read"
_AS_PNG = "save it as PNG"
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def _flat(request: dict[str, Any]) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """(D, H, W) or (D, H, W, 3) of a file; D counts the pages of a TIFF of equal pages."""
    path, most = request["path"], int(request["pixels"])
    Image.MAX_IMAGE_PIXELS = None  # the bound is checked here
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_size(image.width * image.height, most)
            pages = [_page(image)]
            for number in _chosen(getattr(image, "n_frames", 1), int(request["frames"]))[1:]:
                image.seek(number)
                if (image.height, image.width) == pages[0].shape[:2]:
                    pages.append(_page(image))
    except _BROKEN as error:
        pages = [_tiff(path, most, error)]
    same = [p for p in pages if p.shape == pages[0].shape and p.dtype == pages[0].dtype]
    return {}, [np.stack(same)]


def _check_size(pixels: int, most: int) -> None:
    if pixels > most:
        raise Refusal(
            f"{pixels:,} pixels are more than a picture may have",
            "is it a slide? Write it as a tiled pyramid (vips tiffsave --tile --pyramid)",
        )


def _page(image: Image.Image) -> NDArray[Any]:
    """(H, W) or (H, W, 3), turned as its EXIF says, on black where it is transparent."""
    if image.mode in _WIDE:
        return np.asarray(image).astype(_WIDE[image.mode])
    image = ImageOps.exif_transpose(image)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        page = Image.new("RGB", image.size)
        page.paste(image, mask=image.getchannel("A"))
        return np.asarray(page)
    return np.asarray(image.convert("RGB"))


def _tiff(path: str, most: int, error: Exception) -> NDArray[Any]:
    """First page of a TIFF that Pillow has no mode for, such as three times 16 bits."""
    raw = Path(path).read_bytes()
    if raw[:2] not in (b"II", b"MM"):
        cut = "cut short or broken" if raw[:2] in (b"\x89P", b"\xff\xd8", b"BM") else "no picture"
        raise Refusal(cut, "copy it again from its source" if "cut" in cut else _NO_PICTURE)
    try:
        with Image.open(BytesIO(raw)) as image:
            _check_size(image.width * image.height, most)
    except _BROKEN:
        pass
    try:
        pixels = np.asarray(imagecodecs.tiff_decode(raw, index=0))
    except Exception:  # noqa: BLE001  native bindings raise anything
        raise Refusal(f"a TIFF that can't be read ({type(error).__name__})", _AS_PNG) from error
    _check_size(pixels.shape[0] * pixels.shape[1], most)
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        return pixels[:, :, :3]
    return pixels if pixels.ndim == 2 else pixels[:, :, 0]


def _dicom(request: dict[str, Any]) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """(D, H, W) stored values, or (D, H, W, 3) sRGB of 8 or 16 bits."""
    dataset = pydicom.dcmread(request["path"], force=True)
    count = int(dataset.get("NumberOfFrames") or 1)
    chosen = _chosen(count, int(request["frames"]))
    if int(dataset.get("SamplesPerPixel") or 1) == 3:
        return {}, [np.stack(_colours(dataset, chosen))]
    if str(dataset.PhotometricInterpretation) == "PALETTE COLOR":
        stored = np.stack(_native(dataset, chosen))
        wide = apply_color_lut(stored, dataset)
        return {}, [wide[..., :3]]
    packed = _syntax(dataset).is_compressed and _syntax(dataset) != RLELossless
    frames = _packed(dataset, chosen) if packed else _native(dataset, chosen)
    return {}, [stored_bits(np.stack(frames), dataset)]


def _chosen(count: int, most: int) -> list[int]:
    """Numbers of the frames that are read: all, or so many at even distances."""
    return (
        list(range(count))
        if count <= most
        else [round(k * (count - 1) / (most - 1)) for k in range(most)]
    )


def _syntax(dataset: Dataset) -> Any:
    return dataset.file_meta.TransferSyntaxUID


def _native(dataset: Dataset, chosen: Sequence[int]) -> list[NDArray[Any]]:
    """Frames that no codec beyond run lengths is needed for."""
    if "file_meta" not in dataset.__dict__ or "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    return [np.array(frame) for frame in iter_pixels(dataset, raw=True, indices=list(chosen))]


def _packed(dataset: Dataset, chosen: Sequence[int]) -> list[NDArray[Any]]:
    """Grey frames of a codec."""
    wanted, found = set(chosen), []
    shape = (int(dataset.Rows), int(dataset.Columns))
    sign = "i" if dataset.PixelRepresentation else "u"
    dtype = np.dtype(f"{sign}{int(dataset.BitsAllocated) // 8}")
    count = int(dataset.get("NumberOfFrames") or 1)
    for number, frame in enumerate(generate_frames(dataset.PixelData, number_of_frames=count)):
        if number in wanted:
            image = decode_frame(frame, str(_syntax(dataset)), int(dataset.BitsAllocated))
            if image.shape != shape:
                raise Refusal(f"a frame of {image.shape} where {shape} was promised")
            same = image.dtype.itemsize == dtype.itemsize
            found.append(image.view(dtype) if same else image.astype(dtype))
    if len(found) != len(wanted):
        raise Refusal("fewer frames than promised", "the file is cut short; copy it again")
    return found


def _colours(dataset: Dataset, chosen: Sequence[int]) -> list[NDArray[Any]]:
    """Frames in red, green and blue."""
    syntax, kind = _syntax(dataset), str(dataset.PhotometricInterpretation)
    if not syntax.is_compressed or syntax == RLELossless:
        frames = _native(dataset, chosen)
        return [_rgb(frame, kind) for frame in frames]
    wanted, found = set(chosen), []
    count = int(dataset.get("NumberOfFrames") or 1)
    for number, frame in enumerate(generate_frames(dataset.PixelData, number_of_frames=count)):
        if number in wanted:
            found.append(_packed_colour(frame, str(syntax), kind, int(dataset.BitsAllocated)))
    return found


def _packed_colour(frame: bytes, syntax: str, kind: str, bits: int) -> NDArray[Any]:
    """(H, W, 3) of one packed frame; its codec has undone its own transform of colours."""
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        # Of a stream that says nothing itself, the header tells whether it is RGB.
        said = b"JFIF" in frame[:32] or b"Adobe" in frame[:512]
        if kind == "RGB" and not said:
            return imagecodecs.jpeg8_decode(frame, colorspace="RGB", outcolorspace="RGB")
        return imagecodecs.jpeg8_decode(frame, outcolorspace="RGB")
    return _rgb(decode_frame(frame, syntax, bits), kind)


def _rgb(frame: NDArray[Any], kind: str) -> NDArray[Any]:
    return convert_color_space(frame, kind, "RGB") if kind.startswith("YBR_FULL") else frame


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    warnings.simplefilter("ignore")
    return _dicom(request) if request["want"] == "dicom" else _flat(request)


if __name__ == "__main__":
    serve(_answer)
