"""DICOM Segmentation objects (PS3.3 A.51) by highdicom."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from mmtool import __version__
from mmtool.io.atomic import replace_into
from mmtool.io.writers.dicom_source import is_moved, lps_matrix, series_number, source_headers
from mmtool.types import AlgorithmId, Code, Label, Volume


def write_dicom_seg(
    labels: NDArray[Any],
    like: Volume,
    table: Sequence[Label],
    path: Path,
    *,
    algorithm: AlgorithmId,
) -> bool:
    """Write a binary segmentation that refers to its source images.

    Each label that is present becomes a coded segment. When the scan was resampled to a regular
    box, the frames carry the positions of that box. A scan that is no DICOM gets a study, series
    and frame of reference of its own, and the series description says so.

    Args:
        labels: (I, J, K) label map on the grid of ``like``.
        like: The scan.
        table: Labels that may occur.
        path: Target ``.dcm``.
        algorithm: Who made the segmentation.

    Returns:
        False, with nothing written, if no label is present: DICOM has no empty segmentation.

    Raises:
        GeometryError: The axes of the scan are not at right angles, so DICOM can't place it.
    """
    present = [label for label in table if (labels == label.index).any()]
    if not present:
        return False
    numbers = np.zeros(int(labels.max()) + 1, np.uint8)
    for number, label in enumerate(present, start=1):
        numbers[label.index] = number
    frames = np.ascontiguousarray(numbers[labels].transpose(2, 1, 0))  # (slice, row, column)
    sources = source_headers(like)
    # highdicom takes the places of single-frame sources from their headers, and only there.
    own_places = like.source.kind == "dicom" and not like.source.frame_order and not is_moved(like)
    places = {} if own_places else _placed(like)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about values of the source, which may name a person
        seg = Segmentation(
            source_images=sources,
            pixel_array=frames,
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _describe(number, label, algorithm) for number, label in enumerate(present, 1)
            ],
            series_instance_uid=generate_uid(),
            series_number=series_number(sources[0]),
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="mmtool",
            manufacturer_model_name=algorithm.name,
            software_versions=__version__,
            device_serial_number=algorithm.weights_sha256[:16],
            content_label="SEGMENTATION",
            series_description=f"Segmentation by {algorithm.name}"
            + ("" if like.source.kind == "dicom" else " (scan was not DICOM)"),
            **places,
        )
        with replace_into(path) as temporary:
            seg.save_as(temporary)
    return True


def _concept(code: Code) -> hd.sr.CodedConcept:
    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)


def _describe(number: int, label: Label, algorithm: AlgorithmId) -> SegmentDescription:
    made_by = hd.AlgorithmIdentificationSequence(
        name=algorithm.name, family=codes.DCM.ArtificialIntelligence, version=algorithm.version
    )
    description = SegmentDescription(
        segment_number=number,
        segment_label=label.name,
        segmented_property_category=_concept(label.category),
        segmented_property_type=_concept(label.code),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=made_by,
        tracking_uid=generate_uid(),
        tracking_id=label.name,
    )
    if label.laterality is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(label.laterality)]
    lab = _cielab(label.color)
    description.RecommendedDisplayCIELabValue = lab
    return description


def _cielab(color: tuple[int, int, int]) -> list[int]:
    """sRGB 0-255 to the three 16-bit numbers of DICOM (PS3.3 C.10.7.1.1), white D65."""
    value = np.array(color, float) / 255
    linear = np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    ratio = to_xyz @ linear / np.array([0.9505, 1.0, 1.089])
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    lightness = 116 * root[1] - 16
    a, b = 500 * (root[0] - root[1]), 200 * (root[1] - root[2])
    scaled = (lightness / 100 * 65535, (a + 128) / 255 * 65535, (b + 128) / 255 * 65535)
    return [int(np.clip(round(s), 0, 65535)) for s in scaled]


def _placed(like: Volume) -> dict[str, Any]:
    """Position, orientation and pixel size of every frame, from the affine."""
    matrix = lps_matrix(like)
    column, row, step = np.linalg.norm(matrix[:3, :3], axis=0)
    patient = hd.CoordinateSystemNames.PATIENT
    orientation = [*(matrix[:3, 0] / column), *(matrix[:3, 1] / row)]
    return {
        "plane_positions": [
            hd.PlanePositionSequence(patient, matrix[:3, 3] + k * matrix[:3, 2])
            for k in range(like.shape[2])
        ],
        "plane_orientation": hd.PlaneOrientationSequence(patient, orientation),
        "pixel_measures": hd.PixelMeasuresSequence(
            pixel_spacing=(row, column), slice_thickness=step
        ),
    }
