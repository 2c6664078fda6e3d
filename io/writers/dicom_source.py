"""What a DICOM object that is made from a scan takes over from the images of that scan."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from mmtool.errors import GeometryError
from mmtool.io.geometry import LPS_TO_RAS
from mmtool.types import Volume

_NEAR_MM = 0.01
# Type 2 attributes: they must be there, and may be empty.
EMPTY = (
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


def series_number(source: Dataset) -> int:
    """A series number next to that of the source."""
    try:
        return min(9_999, 1_000 + int(source.get("SeriesNumber") or 0))
    except (TypeError, ValueError):
        return 1_000


def lps_matrix(like: Volume) -> NDArray[np.float64]:
    """(4, 4) voxel (column, row, slice) to LPS mm."""
    matrix = LPS_TO_RAS @ like.affine
    unit = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    if np.abs(unit.T @ unit - np.eye(3)).max() > 1e-3:
        raise GeometryError(
            f"{like.source.path}: the axes of the scan are not at right angles",
            "DICOM can't place a sheared grid; resample the scan, or leave out --dicom-seg",
        )
    return matrix


def is_moved(like: Volume) -> bool:
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


def source_headers(like: Volume) -> list[Dataset]:
    """Source datasets with everything that the standard wants of them; copies, never originals."""
    if like.source.kind != "dicom":
        return _made_sources(like)
    out = [copy.copy(d) for d in like.source.datasets]
    series, study, frame = (generate_uid() for _ in range(3))
    for number, dataset in enumerate(out, start=1):
        for name in EMPTY:
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
    matrix = lps_matrix(like)
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
        for name in EMPTY:
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
