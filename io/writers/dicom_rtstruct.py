"""DICOM RT Structure Sets (PS3.3 A.19): outlines in the planes of the source images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid
from scipy import ndimage

from mmtool import __version__
from mmtool.errors import InputError
from mmtool.io.atomic import replace_into
from mmtool.io.writers.dicom_source import lps_matrix, series_number, source_headers
from mmtool.io.writers.planar_contours import outlines
from mmtool.types import AlgorithmId, Code, Label, Volume

_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # what readers expect here, though retired
_NEAR = 0.05  # of the distance of slices that an image may lie off its plane of the grid
_KEPT = (
    "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate",
    "PatientSex", "PatientAge", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID",
    "StudyDescription", "AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID",
    "PositionReferenceIndicator",
)  # fmt: skip


@dataclass(frozen=True)
class _Image:
    """One source image: a file, or a frame of one."""

    sop_class: str
    uid: str
    frame: int | None
    height: float

    def reference(self) -> Dataset:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = self.sop_class, self.uid
        if self.frame is not None:
            item.ReferencedFrameNumber = self.frame
        return item


def write_rtstruct(
    labels: NDArray[np.uint8],
    like: Volume,
    table: Sequence[Label],
    path: Path,
    *,
    algorithm: AlgorithmId,
) -> bool:
    """Write the outlines of each label in each slice.

    Each outline lies in the plane of its source image and names it; where the scan was resampled
    to a regular box and no image lies in a plane of that box, it names none. Holes are keyholes,
    see :func:`outlines`. Implicit VR, since an outline may be longer than the 64 KiB that an
    explicit one can hold.

    Args:
        labels: (I, J, K) label map on the grid of ``like``.
        like: The scan, read from DICOM.
        table: Labels that may occur.
        path: Target ``.dcm``.
        algorithm: Who made the segmentation.

    Returns:
        False, with nothing written, if no label is present.

    Raises:
        InputError: The scan is no DICOM, so there are no images to draw on.
    """
    check_rtstruct_source(like)
    boxes = ndimage.find_objects(labels, max_label=255)
    present = [label for label in table if boxes[label.index - 1] is not None]
    if not present:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about values of the source, which may name a person
        sources = source_headers(like)
        planes = _Planes(like, _images(sources))
        out = _header(sources[0], path, algorithm)
        out.ReferencedFrameOfReferenceSequence = _referenced(sources[0], planes.images)
        out.StructureSetROISequence = DicomSequence()
        out.ROIContourSequence = DicomSequence()
        out.RTROIObservationsSequence = DicomSequence()
        for number, label in enumerate(present, start=1):
            box = boxes[label.index - 1]
            contours = planes.contours(labels[box] == label.index, [s.start for s in box])
            volume = np.count_nonzero(labels[box] == label.index) * planes.voxel_ml
            out.StructureSetROISequence.append(_roi(number, label, volume, out, algorithm))
            out.ROIContourSequence.append(_outlined(number, label, contours))
            out.RTROIObservationsSequence.append(_observed(number, label))
        with replace_into(path) as temporary:
            out.save_as(temporary, enforce_file_format=True)
    return True


def check_rtstruct_source(like: Volume) -> None:
    """Refuse what an RT Structure Set can't refer to.

    Raises:
        InputError: The scan is no DICOM.
    """
    if like.source.kind != "dicom":
        raise InputError(
            f"{like.source.path}: RTSTRUCT is drawn on DICOM images, and this scan is no DICOM",
            "give the DICOM series, or leave out --rtstruct (--dicom-seg works for any scan)",
        )


class _Planes:
    """The slices of the grid and the images that lie in them."""

    def __init__(self, like: Volume, images: list[_Image]) -> None:
        self.images = images
        self.matrix = lps_matrix(like)
        step = float(np.linalg.norm(self.matrix[:3, 2]))
        self.normal = self.matrix[:3, 2] / step
        self.voxel_ml = abs(float(np.linalg.det(self.matrix[:3, :3]))) / 1000
        heights = np.array([image.height for image in images])
        self.by_slice: list[_Image | None] = []
        for k in range(like.shape[2]):
            off = np.abs(heights - self._origin(k) @ self.normal)
            near = int(off.argmin())
            self.by_slice.append(images[near] if off[near] <= _NEAR * step else None)

    def _origin(self, k: int) -> NDArray[np.float64]:
        return np.asarray(self.matrix[:3, 3] + k * self.matrix[:3, 2])

    def contours(self, inside: NDArray[np.bool_], start: Sequence[int]) -> Iterator[Dataset]:
        """Outlines of a mask whose first voxel is ``start``, slice by slice."""
        number = 0
        for slice_in_box in range(inside.shape[2]):
            k = start[2] + slice_in_box
            image = self.by_slice[k]
            origin = self._origin(k)
            if image is not None:
                origin = origin + (image.height - origin @ self.normal) * self.normal
            for ring in outlines(inside[:, :, slice_in_box]):
                number += 1
                points = origin + (ring + start[:2]) @ self.matrix[:3, :2].T
                yield _contour(number, points, image)


def _images(sources: Sequence[Dataset]) -> list[_Image]:
    """Every image with its height along the normal of the slices, mm."""
    first = sources[0]
    groups = first.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        normal = _normal(first.ImageOrientationPatient)
        return [
            _Image(d.SOPClassUID, d.SOPInstanceUID, None, _height(d.ImagePositionPatient, normal))
            for d in sources
        ]
    shared = first.SharedFunctionalGroupsSequence[0]

    def of(frame: Dataset, sequence: str) -> Dataset:
        return (frame.get(sequence) or shared.get(sequence))[0]

    normal = _normal(of(groups[0], "PlaneOrientationSequence").ImageOrientationPatient)
    return [
        _Image(
            first.SOPClassUID,
            first.SOPInstanceUID,
            number,
            _height(of(frame, "PlanePositionSequence").ImagePositionPatient, normal),
        )
        for number, frame in enumerate(groups, start=1)
    ]


def _normal(orientation: Any) -> NDArray[np.float64]:
    row, column = np.array([float(v) for v in orientation]).reshape(2, 3)
    normal = np.cross(row, column)
    return np.asarray(normal / np.linalg.norm(normal))


def _height(position: Any, normal: NDArray[np.float64]) -> float:
    return float(np.array([float(v) for v in position]) @ normal)


def _header(source: Dataset, path: Path, algorithm: AlgorithmId) -> FileDataset:
    """Everything but the structures."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = RTStructureSetStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    out = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    for name in _KEPT:
        if name in source:
            out[name] = source[name]
    now = datetime.now()
    out.SOPClassUID, out.SOPInstanceUID = RTStructureSetStorage, meta.MediaStorageSOPInstanceUID
    out.InstanceCreationDate = out.StructureSetDate = out.SeriesDate = now.strftime("%Y%m%d")
    out.InstanceCreationTime = out.StructureSetTime = out.SeriesTime = now.strftime("%H%M%S")
    out.Modality = "RTSTRUCT"
    out.SeriesInstanceUID = generate_uid()
    out.SeriesNumber = series_number(source) + 1  # the DICOM SEG of the run has the one before
    out.InstanceNumber = 1
    out.SeriesDescription = f"Structures by {algorithm.name}"[:64]
    out.OperatorsName = ""
    out.Manufacturer = "mmtool"
    out.ManufacturerModelName = algorithm.name[:64]
    out.SoftwareVersions = __version__
    out.DeviceSerialNumber = algorithm.weights_sha256[:16]
    out.StructureSetLabel = "SEGMENTATION"
    out.StructureSetName = f"Structures by {algorithm.name}"[:64]
    out.ApprovalStatus = "UNAPPROVED"
    return out


def _referenced(source: Dataset, images: Sequence[_Image]) -> DicomSequence:
    """Frame of reference, study and series; every image once."""
    series = Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID
    whole = {image.uid: _Image(image.sop_class, image.uid, None, 0) for image in images}
    series.ContourImageSequence = DicomSequence(i.reference() for i in whole.values())
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = source.StudyInstanceUID
    study.RTReferencedSeriesSequence = DicomSequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = source.FrameOfReferenceUID
    frame.RTReferencedStudySequence = DicomSequence([study])
    return DicomSequence([frame])


def _roi(number: int, label: Label, volume: float, out: Dataset, algorithm: AlgorithmId) -> Dataset:
    item = Dataset()
    item.ROINumber = number
    item.ReferencedFrameOfReferenceUID = out.FrameOfReferenceUID
    item.ROIName = label.name[:64]
    item.ROIVolume = f"{volume:.6g}"
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    item.ROIGenerationDescription = f"{algorithm.name} {algorithm.version}"[:64]
    return item


def _outlined(number: int, label: Label, contours: Iterator[Dataset]) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = list(label.color)
    item.ContourSequence = DicomSequence(contours)
    return item


def _contour(number: int, points: NDArray[np.float64], image: _Image | None) -> Dataset:
    """One outline of (n, 3) corners, LPS mm."""
    item = Dataset()
    if image is not None:
        item.ContourImageSequence = DicomSequence([image.reference()])
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(points)
    item.ContourNumber = number
    # As bytes: a head has a million numbers, and an object for each would take half a minute.
    text = "\\".join(f"{value:.4f}" for value in (points + 0.0).ravel().tolist()).encode()
    text += b" " * (len(text) % 2)
    tag = Tag("ContourData")
    item[tag] = RawDataElement(tag, "DS", len(text), text, 0, True, True)
    return item


def _observed(number: int, label: Label) -> Dataset:
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.ROIObservationLabel = label.name[:16].strip()
    kind = _coded(label.code)
    if label.laterality is not None:
        kind.SegmentedPropertyTypeModifierCodeSequence = DicomSequence([_coded(label.laterality)])
    item.SegmentedPropertyCategoryCodeSequence = DicomSequence([_coded(label.category)])
    item.RTROIIdentificationCodeSequence = DicomSequence([kind])
    item.RTROIInterpretedType = "ORGAN" if label.category.value == "91723000" else ""
    item.ROIInterpreter = ""
    return item


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme
    item.CodeMeaning = code.meaning[:64]
    return item
