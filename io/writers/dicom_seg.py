"""DICOM Segmentation objects (PS3.3 A.51) by highdicom."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from mmtool import __version__
from mmtool.errors import GeometryError
from mmtool.io.atomic import replace_into
from mmtool.io.geometry import LPS_TO_RAS
from mmtool.types import AlgorithmId, Code, Label, Volume

_NEAR_MM = 0.01
# Type 2 attributes: they must be there, and may be empty.
_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)


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
    sources = _sources(like)
    # highdicom takes the places of single-frame sources from their headers, and only there.
    own_places = like.source.kind == "dicom" and not like.source.frame_order and not _moved(like)
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
            series_number=_series_number(sources[0]),
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


def _series_number(source: Dataset) -> int:
    """A series number next to that of the source."""
    try:
        return min(9_999, 1_000 + int(source.get("SeriesNumber") or 0))
    except (TypeError, ValueError):
        return 1_000


def _axes(like: Volume) -> NDArray[np.float64]:
    """(4, 4) voxel (column, row, slice) to LPS mm."""
    matrix = LPS_TO_RAS @ like.affine
    unit = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    if np.abs(unit.T @ unit - np.eye(3)).max() > 1e-3:
        raise GeometryError(
            f"{like.source.path}: the axes of the scan are not at right angles",
            "DICOM can't place a sheared grid; resample the scan, or leave out --dicom-seg",
        )
    return matrix


def _moved(like: Volume) -> bool:
    """Whether the grid is another one than that of the source images."""
    if like.source.kind != "dicom":
        return False
    if len(like.source.datasets) != like.shape[2]:
        return True
    matrix = LPS_TO_RAS @ like.affine
    for k, dataset in enumerate(like.source.datasets):
        wanted = matrix[:3, 3] + k * matrix[:3, 2]
        there = np.array([float(v) for v in dataset.ImagePositionPatient])
        if np.abs(wanted - there).max() > max(_NEAR_MM, 0.05 * np.linalg.norm(matrix[:3, 2])):
            return True
    return False


def _placed(like: Volume) -> dict[str, Any]:
    """Position, orientation and pixel size of every frame, from the affine."""
    matrix = _axes(like)
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


def _sources(like: Volume) -> list[Dataset]:
    """Source datasets with everything that the standard wants of them; copies, never originals."""
    if like.source.kind != "dicom":
        return _made_sources(like)
    out = [copy.copy(d) for d in like.source.datasets]
    series, study, frame = (generate_uid() for _ in range(3))
    for number, dataset in enumerate(out, start=1):
        for name in _EMPTY:
            if name not in dataset:
                setattr(dataset, name, "")
        needed = {
            "StudyInstanceUID": study,
            "SeriesInstanceUID": series,
            "FrameOfReferenceUID": frame,
            "SOPInstanceUID": generate_uid(),
            "InstanceNumber": number,
        }
        for name, value in needed.items():
            if not dataset.get(name):
                setattr(dataset, name, value)
        if like.source.frame_order:
            _share_groups(dataset)
        if not dataset.get("SliceThickness") and not like.source.frame_order:
            dataset.SliceThickness = float(np.linalg.norm(like.affine[:3, 2]))
    return out


def _share_groups(dataset: Dataset) -> None:
    """Lift what is the same in all frames to the shared groups, where highdicom looks for it.

    The reader has checked that orientation and pixel size are those of every frame.
    """
    shared = copy.deepcopy(dataset.get("SharedFunctionalGroupsSequence")) or DicomSequence(
        [Dataset()]
    )
    first = dataset.PerFrameFunctionalGroupsSequence[0]
    for name in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        if name not in shared[0] and name in first:
            setattr(shared[0], name, copy.deepcopy(first.get(name)))
    dataset.SharedFunctionalGroupsSequence = shared


def _made_sources(like: Volume) -> list[Dataset]:
    """One MR image header for each slice of a scan that is no DICOM; they carry no pixels."""
    matrix = _axes(like)
    column, row, step = np.linalg.norm(matrix[:3, :3], axis=0)
    study, series, frame = (generate_uid() for _ in range(3))
    out = []
    for k in range(like.shape[2]):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = frame
        dataset.Modality = "MR"
        dataset.SeriesNumber, dataset.InstanceNumber = 1, k + 1
        for name in _EMPTY:
            setattr(dataset, name, "")
        dataset.ImageType = ["DERIVED", "SECONDARY"]
        dataset.Rows, dataset.Columns = like.shape[1], like.shape[0]
        dataset.PixelSpacing = [float(row), float(column)]
        dataset.SliceThickness = float(step)
        dataset.ImageOrientationPatient = [
            *(float(v) for v in matrix[:3, 0] / column),
            *(float(v) for v in matrix[:3, 1] / row),
        ]
        position = matrix[:3, 3] + k * matrix[:3, 2]
        dataset.ImagePositionPatient = [round(float(v), 6) for v in position]
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation, dataset.SamplesPerPixel = 0, 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        out.append(dataset)
    return out
