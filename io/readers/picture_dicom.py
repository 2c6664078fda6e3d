"""DICOM images as pictures: what the header says of them, and the window they are shown in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from mmtool import facts as spelling
from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers.picture_scale import SOFT_TISSUE, reduced, windowed
from mmtool.retrieval import Picture

_PLANES = ("sagittal", "coronal", "axial")  # by the axis that lies across
_NEARLY = 0.8  # cosine to the axis from which on a slice counts as that plane
BURNT_IN = "the patient's name may be written into the picture"
_CAPTURED = ("US", "SC", "OT", "XC", "ES", "")  # kinds that come as screens, often with a name
_NO_IMAGE = ("SEG", "RTDOSE", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN")


def samples_of(dataset: Dataset, name: str, limits: Limits) -> int:
    """Values per pixel, when the header describes an image that may be read.

    Raises:
        InputError: No image, or of a kind that is not known.
        LimitError: Too large.
    """
    if dataset.get("Modality") in _NO_IMAGE or "Rows" not in dataset:
        raise InputError(f"{name}: a DICOM object without an image", "give the images themselves")
    if dataset.get("Modality") == "SM":
        raise InputError(f"{name}: a slide in DICOM", "give it as SVS or TIFF")
    samples = int(dataset.get("SamplesPerPixel") or 1)
    bits = int(dataset.BitsAllocated)
    frames = int(dataset.get("NumberOfFrames") or 1)
    pixels = int(dataset.Rows) * int(dataset.Columns)
    if samples not in (1, 3) or bits not in (1, 8, 16, 32) or pixels < 1 or frames < 1:
        raise InputError(
            f"{name}: {samples} values of {bits} bits a pixel are not supported", "export it again"
        )
    if frames > limits.max_frames:
        raise LimitError(
            f"{name}: {frames:,} frames are more than the limit",
            "raise MMTOOL_MAX_FRAMES if the file is what you expect",
        )
    if pixels * frames * samples > limits.max_voxels:
        raise LimitError(
            f"{name}: {pixels * frames:,} pixels are more than the limit",
            "raise MMTOOL_MAX_VOXELS if the file is what you expect",
        )
    return samples


def picture_of_frames(data: NDArray[Any], dataset: Dataset, name: str) -> Picture:
    """The picture of decoded frames.

    Args:
        data: (D, H, W) stored values or (D, H, W, 3) colours.
        dataset: Header.
        name: File for messages.
    """
    small, factor = reduced(data)
    spacing = _spacing(dataset, factor)
    about = dicom_facts(dataset)
    if data.ndim == 4:
        top = np.float32(255 if data.dtype == np.uint8 else np.iinfo(data.dtype).max)
        return Picture(np.asarray(small / top, np.float32), spacing, about, _burnt_in(dataset))
    values, notes = _grey(small, dataset, about, name)
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        values = 1 - values
    return Picture(values, spacing, about, (*notes, *_burnt_in(dataset)))


def _burnt_in(dataset: Dataset) -> tuple[str, ...]:
    said = dataset.get("BurnedInAnnotation")
    captured = _word(dataset, "Modality") in _CAPTURED and said != "NO"
    return (BURNT_IN,) if said == "YES" or captured else ()


def _grey(
    stored: NDArray[Any], dataset: Dataset, about: dict[str, str], name: str
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    lut = dataset.get("VOILUTSequence")
    if lut and stored.dtype.kind in "iu":
        shown = apply_voi_lut(apply_modality_lut(stored, dataset), dataset, prefer_lut=True)
        top = float((1 << int(lut[0].LUTDescriptor[2])) - 1)
        return np.clip(np.asarray(shown, np.float32) / np.float32(top), 0, 1), ()
    if dataset.get("ModalityLUTSequence") and stored.dtype.kind in "iu":
        values = apply_modality_lut(stored, dataset)
    else:
        slope = float(dataset.get("RescaleSlope") or 1)
        values = stored * np.float32(slope) + np.float32(dataset.get("RescaleIntercept") or 0)
    window = _window(dataset)
    if window is None and about.get("modality") == "CT" and float(values.min()) < 0:
        window = SOFT_TISSUE
    return windowed(values, window, name)


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Centre and width of the first window, the half pixel of PS3.3 C.11.2.1.2 in it."""
    found = []
    for key in ("WindowCenter", "WindowWidth"):
        value = dataset.get(key)
        try:
            found.append(float(value if isinstance(value, int | float | str) else value[0]))
        except (TypeError, ValueError, IndexError):
            return None
    centre, width = found
    if not np.isfinite(found).all() or width < 1:
        return None
    if dataset.get("VOILUTFunction") in (None, "", "LINEAR") and width > 1:
        return centre - 0.5, width - 1
    return centre, width


def _spacing(dataset: Dataset, factor: int) -> tuple[float, float, float] | None:
    for key in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            rows, columns = (float(v) for v in dataset.get(key))
        except (TypeError, ValueError):
            continue
        if 1e-3 < rows < 1e3 and 1e-3 < columns < 1e3:
            return _thickness(dataset), rows * factor, columns * factor
    return None


def _thickness(dataset: Dataset) -> float:
    try:
        thick = float(dataset.get("SliceThickness"))
    except (TypeError, ValueError):
        return 1.0
    return thick if 1e-3 < thick < 1e3 else 1.0


def dicom_facts(dataset: Dataset) -> dict[str, str]:
    """Facts of a header by names of `mmtool.retrieval.FACTS`; what it doesn't tell is absent.

    Of dates only the year: a day may tell who a patient is.
    """
    raw = {
        "modality": _word(dataset, "Modality"),
        "plane": _plane(dataset) or _word(dataset, "ViewPosition"),
        "anatomy": _word(dataset, "BodyPartExamined"),
        "sex": _word(dataset, "PatientSex"),
        "age": _word(dataset, "PatientAge"),
        "date": (_word(dataset, "StudyDate") or _word(dataset, "SeriesDate"))[:4],
    }
    spelled = {name: spelling.spelled(name, value) for name, value in raw.items()}
    return {name: value for name, value in spelled.items() if value}


def _word(dataset: Dataset, key: str) -> str:
    value = dataset.get(key)
    return "" if value is None else str(value)[:64]


def _plane(dataset: Dataset) -> str:
    """Plane of a slice by its direction; "" for films and where it is not told."""
    try:
        cosines = np.array([float(v) for v in dataset.get("ImageOrientationPatient")]).reshape(2, 3)
    except (TypeError, ValueError):
        return ""
    across = np.abs(np.cross(cosines[0], cosines[1]))
    if not np.isfinite(across).all() or not 0.9 < np.linalg.norm(across) < 1.1:
        return ""
    best = int(across.argmax())
    return _PLANES[best] if across[best] > _NEARLY else "oblique"
