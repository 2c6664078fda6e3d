"""Synthetic DICOM series whose geometry is known exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_series(
    folder: Path,
    data: np.ndarray,
    affine: np.ndarray,
    *,
    uid: str | None = None,
    number: int = 1,
    **attributes: object,
) -> list[Path]:
    """Write (I, J, K) int16 data as one file a slice, names in no useful order.

    Args:
        folder: Target, made if absent.
        data: Stored values; I along columns, J along rows.
        affine: (4, 4) voxel to RAS+ mm.
        uid: SeriesInstanceUID.
        number: SeriesNumber.
        attributes: Further DICOM attributes of every file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    matrix = LPS_TO_RAS @ affine
    column, row = (np.linalg.norm(matrix[:3, a]) for a in (0, 1))
    series, study, frame = uid or generate_uid(), generate_uid(), generate_uid()
    out = []
    for k in range(data.shape[2]):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = MRImageStorage
        d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = generate_uid()
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
        d.Modality, d.SeriesNumber, d.InstanceNumber = "MR", number, k + 1
        d.PatientName, d.PatientID = "Secret^Person", "../../../tmp/pwn"
        d.Rows, d.Columns = data.shape[1], data.shape[0]
        d.PixelSpacing = [float(row), float(column)]
        d.SliceThickness = float(np.linalg.norm(matrix[:3, 2]))
        cosines = [*(matrix[:3, 0] / column), *(matrix[:3, 1] / row)]
        d.ImageOrientationPatient = [round(float(v), 10) for v in cosines]
        position = matrix[:3, 3] + k * matrix[:3, 2]
        d.ImagePositionPatient = [round(float(v), 8) for v in position]
        d.BitsAllocated = d.BitsStored = 16
        d.HighBit, d.PixelRepresentation, d.SamplesPerPixel = 15, 1, 1
        d.PhotometricInterpretation = "MONOCHROME2"
        d.PixelData = np.ascontiguousarray(data[:, :, k].T, "<i2").tobytes()
        for name, value in attributes.items():
            setattr(d, name, value)
        path = folder / f"im{(k * 7919) % 1009:04d}.dcm"
        d.save_as(path, enforce_file_format=True)
        out.append(path)
    return out


def grid(codes: str, spacing: tuple[float, float, float], turn_deg: float = 0.0) -> np.ndarray:
    """Affine with axes along ``codes`` (e.g. ``LAS``), turned about an oblique axis."""
    signs = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    matrix = np.zeros((3, 3))
    for axis, letter in enumerate(codes):
        world, sign = signs[letter]
        matrix[world, axis] = sign * spacing[axis]
    angle, axis_of_turn = np.deg2rad(turn_deg), np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.cross(np.eye(3), axis_of_turn)
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    affine = np.eye(4)
    affine[:3, :3] = rotation @ matrix
    affine[:3, 3] = (-31.5, 12.25, 40.0)
    return affine
