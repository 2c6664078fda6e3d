"""RT Structure Sets: read back and filled, the outlines give the mask they were drawn around."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_series import LPS_TO_RAS, grid, write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage
from scipy import ndimage

from mmtool.anatomy import BRAIN_LABELS
from mmtool.errors import InputError
from mmtool.io.readers import read_volume
from mmtool.io.writers.dicom_rtstruct import write_rtstruct
from mmtool.io.writers.planar_contours import outlines
from mmtool.types import AlgorithmId, Label, Volume, VolumeSource

MADE_BY = AlgorithmId("mmtool test", "0", "ab" * 32)
TABLE = [label for label in BRAIN_LABELS if label.index in (16, 17, 53)]
SHAPE = (26, 23, 9)


def shapes() -> np.ndarray:
    """(26, 23, 9) label map: holes, an island in a hole, single voxels, the edge of the image."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:20, 3:20, 1:7] = 17
    labels[5:9, 5:8, 2:6] = 0
    labels[11:18, 5:8, 2:6] = 53
    labels[5:15, 11:18, 3:5] = 0
    labels[8:11, 13:15, 3:5] = 17
    labels[0, :, 8], labels[25, 22, 0], labels[24, 21, 0] = 16, 16, 16
    return labels


def filled(rings: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Pixel centres inside by the even-odd rule, over all rings together."""
    x, y = np.indices(shape)
    inside = np.zeros(shape, bool)
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, 0), strict=True):
            if y1 == y2:
                continue
            spans = (y >= min(y1, y2)) & (y < max(y1, y2))
            inside ^= spans & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    return inside


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95), st.booleans())
def test_outlines_hold_exactly_the_mask(seed: int, share: float, smooth: bool) -> None:
    noise = np.random.default_rng(seed).random((17, 14))
    noise = ndimage.uniform_filter(noise, 3) if smooth else noise
    mask = noise > np.quantile(noise, share)
    rings = outlines(mask)
    np.testing.assert_array_equal(filled(rings, mask.shape), mask)
    # A program that fills each polygon for itself comes to the same.
    alone = [filled([ring], mask.shape) for ring in rings]
    np.testing.assert_array_equal(np.sum(alone, axis=0), mask)
    assert len(rings) >= ndimage.label(mask)[1] - mask.size * (1 - smooth)


def test_straight_sides_have_no_corners_and_a_hole_is_one_ring_more() -> None:
    mask = np.zeros((12, 12), bool)
    mask[1:11, 2:9] = True
    (ring,) = outlines(mask)
    assert len(ring) == 8
    mask[4:6, 4:6] = False
    (ring,) = outlines(mask)
    assert len(ring) == 8 + 8 + 3  # both ends of the channel twice; one of them is a corner anyway
    assert outlines(np.zeros((3, 3), bool)) == []


def drawn(path: Path, scan: Volume) -> dict[str, np.ndarray]:
    """Masks on the grid of a scan, from the file alone."""
    data = pydicom.dcmread(path)
    back = np.linalg.inv(LPS_TO_RAS @ scan.affine)
    names = {int(r.ROINumber): str(r.ROIName) for r in data.StructureSetROISequence}
    out = {}
    for roi in data.ROIContourSequence:
        slices: dict[int, list[np.ndarray]] = {}
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            assert len(points) == contour.NumberOfContourPoints
            voxel = points @ back[:3, :3].T + back[:3, 3]
            k = voxel[:, 2].round()
            assert np.ptp(k) == 0
            assert np.abs(voxel[:, 2] - k).max() < 0.05
            rings = slices.setdefault(int(k[0]), [])
            rings.append((voxel[:, :2] * 2).round() / 2)  # 0.1 micrometre was cut off
            assert np.abs(rings[-1] - voxel[:, :2]).max() < 1e-3
        mask = np.zeros(scan.shape, bool)
        for k, rings in slices.items():
            mask[:, :, k] = filled(rings, scan.shape[:2])
        out[names[int(roi.ReferencedROINumber)]] = mask
    return out


@pytest.mark.parametrize(
    ("codes", "turn"),
    [("RAS", 0), ("LPS", 0), ("LPI", 0), ("ASR", 0), ("LPS", 25), ("ASR", -17), ("RPI", 170)],
)
def test_the_outlines_give_the_mask_back(tmp_path: Path, codes: str, turn: float) -> None:
    write_series(tmp_path / "s", np.zeros(SHAPE, np.int16), grid(codes, (0.8, 1.2, 2.5), turn))
    scan = read_volume(tmp_path / "s")
    assert write_rtstruct(shapes(), scan, TABLE, tmp_path / "rt.dcm", algorithm=MADE_BY)
    masks = drawn(tmp_path / "rt.dcm", scan)
    assert set(masks) == {label.name for label in TABLE}
    for label in TABLE:
        np.testing.assert_array_equal(masks[label.name], shapes() == label.index)


def test_each_outline_lies_in_the_image_it_names(tmp_path: Path) -> None:
    """Slice places off the even grid by less than the reader minds: outlines follow the images."""
    files = write_series(tmp_path / "s", np.zeros(SHAPE, np.int16), grid("LPS", (1, 1, 2.5), 25))
    moved = pydicom.dcmread(files[4])
    normal = np.cross(*np.array(moved.ImageOrientationPatient, float).reshape(2, 3))
    moved.ImagePositionPatient = [
        round(float(v), 8) for v in np.array(moved.ImagePositionPatient, float) + 0.1 * normal
    ]
    moved.save_as(files[4])
    scan = read_volume(tmp_path / "s")
    write_rtstruct(shapes(), scan, TABLE, tmp_path / "rt.dcm", algorithm=MADE_BY)
    images = {d.SOPInstanceUID: d for d in scan.source.datasets}
    data = pydicom.dcmread(tmp_path / "rt.dcm")
    seen = set()
    for roi in data.ROIContourSequence:
        for contour in roi.ContourSequence:
            (reference,) = contour.ContourImageSequence
            image = images[reference.ReferencedSOPInstanceUID]
            seen.add(image.SOPInstanceUID)
            first = np.array(image.ImagePositionPatient, float)
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            np.testing.assert_allclose((points - first) @ normal, 0, atol=2e-4)
    assert len(seen) == 8
    frame = data.ReferencedFrameOfReferenceSequence[0]
    (study,) = frame.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    any_image = scan.source.datasets[0]
    assert frame.FrameOfReferenceUID == any_image.FrameOfReferenceUID == data.FrameOfReferenceUID
    assert study.ReferencedSOPInstanceUID == any_image.StudyInstanceUID == data.StudyInstanceUID
    assert series.SeriesInstanceUID == any_image.SeriesInstanceUID != data.SeriesInstanceUID
    assert {i.ReferencedSOPInstanceUID for i in series.ContourImageSequence} == set(images)


def test_names_colours_and_codes(tmp_path: Path) -> None:
    write_series(tmp_path / "s", np.zeros(SHAPE, np.int16), grid("LPS", (1, 1, 2)))
    scan = read_volume(tmp_path / "s")
    write_rtstruct(shapes(), scan, TABLE, tmp_path / "rt.dcm", algorithm=MADE_BY)
    data = pydicom.dcmread(tmp_path / "rt.dcm")
    assert data.PatientID == scan.source.datasets[0].PatientID
    assert "Secret" not in f"{data.SeriesDescription}{data.StructureSetName}"
    triples = zip(
        data.StructureSetROISequence,
        data.ROIContourSequence,
        data.RTROIObservationsSequence,
        strict=True,
    )
    for label, (roi, contour, observation) in zip(TABLE, triples, strict=True):
        assert roi.ROIName == label.name
        assert roi.ROIGenerationAlgorithm == "AUTOMATIC"
        voxels = int((shapes() == label.index).sum())
        assert float(roi.ROIVolume) == pytest.approx(voxels * 0.002, rel=1e-5)
        assert tuple(contour.ROIDisplayColor) == label.color
        assert roi.ROINumber == contour.ReferencedROINumber == observation.ReferencedROINumber
        (code,) = observation.RTROIIdentificationCodeSequence
        assert (code.CodeValue, code.CodingSchemeDesignator) == (label.code.value, "SCT")
        if label.laterality:
            (side,) = code.SegmentedPropertyTypeModifierCodeSequence
            assert side.CodeValue == label.laterality.value


def test_a_resampled_grid_names_the_images_that_lie_in_it(tmp_path: Path) -> None:
    files = write_series(tmp_path / "s", np.ones(SHAPE, np.int16), grid("LPS", (1, 1, 2)))
    files[4].unlink()
    scan = read_volume(tmp_path / "s", resample_irregular=True)
    assert scan.shape == SHAPE
    write_rtstruct(shapes(), scan, TABLE, tmp_path / "rt.dcm", algorithm=MADE_BY)
    data = pydicom.dcmread(tmp_path / "rt.dcm")
    contours = [c for roi in data.ROIContourSequence for c in roi.ContourSequence]
    assert {len(c.get("ContourImageSequence", [])) for c in contours} == {0, 1}
    masks = drawn(tmp_path / "rt.dcm", scan)
    np.testing.assert_array_equal(masks["left hippocampus"], shapes() == 17)


def test_frames_of_an_enhanced_object(tmp_path: Path) -> None:
    """Frames in another order than their places: each outline names its frame."""
    files = write_series(tmp_path / "s", np.zeros((20, 18, 4), np.int16), grid("LPS", (1, 1, 2)))
    slices = sorted((pydicom.dcmread(f) for f in files), key=lambda d: d.InstanceNumber)
    order = (2, 0, 3, 1)
    data = slices[0]
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = data.PixelSpacing, 2
    orientation.ImageOrientationPatient = data.ImageOrientationPatient
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    data.PerFrameFunctionalGroupsSequence = Sequence()
    for k in order:
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = slices[k].ImagePositionPatient
        frame.PlanePositionSequence = Sequence([place])
        data.PerFrameFunctionalGroupsSequence.append(frame)
    data.NumberOfFrames, data.PixelData = 4, data.PixelData * 4
    data.save_as(tmp_path / "e.dcm")
    scan = read_volume(tmp_path / "e.dcm")
    labels = np.zeros(scan.shape, np.uint8)
    labels[4:9, 3:12, 1], labels[4:9, 3:12, 2] = 17, 53
    write_rtstruct(labels, scan, TABLE, tmp_path / "rt.dcm", algorithm=MADE_BY)
    masks = drawn(tmp_path / "rt.dcm", scan)
    np.testing.assert_array_equal(masks["left hippocampus"], labels == 17)
    out = pydicom.dcmread(tmp_path / "rt.dcm")
    for roi, k in zip(out.ROIContourSequence, (1, 2), strict=True):
        (reference,) = roi.ContourSequence[0].ContourImageSequence
        assert reference.ReferencedSOPInstanceUID == data.SOPInstanceUID
        assert reference.ReferencedFrameNumber == order.index(k) + 1
    study = out.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    assert len(study.RTReferencedSeriesSequence[0].ContourImageSequence) == 1


def test_an_outline_longer_than_an_explicit_length(tmp_path: Path) -> None:
    """A comb whose outline has more than 64 KiB of numbers."""
    write_series(tmp_path / "s", np.zeros((300, 300, 3), np.int16), grid("LPS", (0.7, 0.7, 2), 9))
    scan = read_volume(tmp_path / "s")
    labels = np.zeros(scan.shape, np.uint8)
    labels[::2, 1:, 1] = 17
    labels[:, 0, 1] = 17
    labels[1::4, 5:290:3, 1] = 17
    write_rtstruct(labels, scan, TABLE, tmp_path / "rt.dcm", algorithm=MADE_BY)
    mask = drawn(tmp_path / "rt.dcm", scan)["left hippocampus"]
    np.testing.assert_array_equal(mask, labels == 17)
    longest = max(
        len(c.ContourData)
        for c in pydicom.dcmread(tmp_path / "rt.dcm").ROIContourSequence[0].ContourSequence
    )
    assert longest * 6 > 65_536


def test_what_can_not_be_drawn(tmp_path: Path) -> None:
    write_series(tmp_path / "s", np.zeros(SHAPE, np.int16), grid("LPS", (1, 1, 2)))
    scan = read_volume(tmp_path / "s")
    empty = np.zeros(SHAPE, np.uint8)
    assert not write_rtstruct(empty, scan, TABLE, tmp_path / "rt.dcm", algorithm=MADE_BY)
    nifti = Volume(scan.data, scan.affine, VolumeSource(Path("x.nii"), "nifti", "00"))
    with pytest.raises(InputError, match="no DICOM"):
        write_rtstruct(shapes(), nifti, TABLE, tmp_path / "rt.dcm", algorithm=MADE_BY)
    assert not (tmp_path / "rt.dcm").exists()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is absent")
def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    write_series(tmp_path / "s", np.zeros(SHAPE, np.int16), grid("LPS", (1, 1, 2), 12))
    scan = read_volume(tmp_path / "s")
    write_rtstruct(shapes(), scan, TABLE, tmp_path / "rt.dcm", algorithm=MADE_BY)
    done = subprocess.run(
        ["dciodvfy", tmp_path / "rt.dcm"], capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    assert "RTStructureSet" in told
    assert "Error" not in told, told


def test_a_name_of_any_length_fits(tmp_path: Path) -> None:
    write_series(tmp_path / "s", np.zeros(SHAPE, np.int16), grid("LPS", (1, 1, 2)))
    scan = read_volume(tmp_path / "s")
    first = TABLE[1]
    long = Label(17, "left " + "very " * 30, first.code, None, first.category, first.color)
    write_rtstruct(shapes(), scan, [long], tmp_path / "rt.dcm", algorithm=MADE_BY)
    (roi,) = pydicom.dcmread(tmp_path / "rt.dcm").StructureSetROISequence
    assert 0 < len(roi.ROIName) <= 64
