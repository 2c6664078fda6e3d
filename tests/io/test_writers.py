"""Writers: what they write is read again and lies where it should."""

from __future__ import annotations

import json
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_series import LPS_TO_RAS, grid, write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmtool.anatomy import BRAIN_LABELS
from mmtool.errors import GeometryError
from mmtool.io.atomic import publish_folder, replace_into
from mmtool.io.readers import read_volume
from mmtool.io.writers.dicom_seg import write_dicom_seg
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.nifti import (
    class_file_stems,
    write_class_niftis,
    write_label_nifti,
    write_map_nifti,
)
from mmtool.io.writers.preview import write_preview
from mmtool.io.writers.tables import cell, write_labels_tsv, write_measurements_tsv, write_tsv
from mmtool.types import AlgorithmId, Label, Measurement, Volume, VolumeSource

MADE_BY = AlgorithmId("mmtool test", "0", "ab" * 32)
TABLE = [label for label in BRAIN_LABELS if label.index in (16, 17, 53)]
SHAPE = (14, 12, 9)


def shapes() -> np.ndarray:
    """(14, 12, 9) label map without any symmetry."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 3:9, 1:4] = 17
    labels[9:13, 2:4, 3:8] = 53
    labels[6:8, 6:11, 0:2] = 16
    return labels


def in_memory(affine: np.ndarray) -> Volume:
    data = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    return Volume(data, affine, VolumeSource(Path("x.nrrd"), "nrrd", "00"))


def spots(labels: np.ndarray, index: int, affine: np.ndarray) -> np.ndarray:
    """(n, 3) world positions of a label, in a canonical order."""
    world = np.argwhere(labels == index) @ affine[:3, :3].T + affine[:3, 3]
    return world[np.lexsort(world.round(3).T)]


@pytest.mark.parametrize("codes", ["sform", "qform", "both", "none"])
def test_nifti_keeps_the_grid_of_its_scan(tmp_path: Path, codes: str) -> None:
    affine = grid("LPS", (0.9, 1.1, 3.0), 20.0)
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), affine)
    image.set_sform(affine, code=2 if codes in ("sform", "both") else 0)
    image.set_qform(affine, code=1 if codes in ("qform", "both") else 0)
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / "scan.nii.gz")
    scan = read_volume(tmp_path / "scan.nii.gz")
    write_label_nifti(shapes(), scan, tmp_path / "out.nii.gz")
    source, out = nibabel.load(tmp_path / "scan.nii.gz"), nibabel.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(out.affine, source.affine)
    for name in ("sform_code", "qform_code", "xyzt_units", "quatern_b", "qoffset_x"):
        assert out.header[name] == source.header[name], name
    np.testing.assert_array_equal(out.header["pixdim"][:4], source.header["pixdim"][:4])
    np.testing.assert_array_equal(np.asarray(out.dataobj), shapes())
    assert out.get_data_dtype() == np.uint8
    assert out.header.get_intent()[0] == "label"


def test_the_same_labels_give_the_same_bytes(tmp_path: Path) -> None:
    scan = in_memory(np.eye(4))
    for name in ("a.nii.gz", "b.nii.gz"):
        write_label_nifti(shapes(), scan, tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    scan = in_memory(np.eye(4))
    with pytest.raises(ValueError, match="scan of"):
        write_label_nifti(np.zeros((2, 2, 2), np.uint8), scan, tmp_path / "a.nii")
    with pytest.raises(ValueError, match="16 bits"):
        write_label_nifti(np.full(SHAPE, 70_000), scan, tmp_path / "a.nii")
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["RAS", "LPS", "LAS", "ASR", "PIR", "SLA"]),
    st.floats(-40, 40),
    st.integers(0, 2**32 - 1),
)
def test_any_grid_survives_nifti(
    tmp_path_factory: pytest.TempPathFactory, codes: str, turn: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("n")
    scan = in_memory(grid(codes, (1.0, 0.8, 2.2), turn))
    labels = np.random.default_rng(seed).integers(0, 300, SHAPE).astype(np.uint16)
    write_label_nifti(labels, scan, folder / "a.nii.gz")
    again = read_volume(folder / "a.nii.gz")
    np.testing.assert_array_equal(again.data, labels)
    np.testing.assert_allclose(again.affine, scan.affine, atol=1e-4)


@pytest.mark.parametrize(
    ("codes", "turn"),
    [("RAS", 0), ("LPS", 0), ("LAS", 0), ("ASR", 0), ("LPS", 25), ("ASR", -17), ("RPI", 170)],
)
def test_seg_lies_on_its_scan(tmp_path: Path, codes: str, turn: float) -> None:
    """Voxel by voxel, in world space, to far less than 0.1 voxel; SimpleITK agrees."""
    affine = grid(codes, (0.8, 1.2, 2.5), turn)
    write_series(tmp_path / "s", np.zeros(SHAPE, np.int16), affine)
    scan = read_volume(tmp_path / "s")
    # Labels drawn in world space, on the grid of the reader (which may order slices otherwise).
    back = np.linalg.inv(affine) @ scan.affine
    index = np.argwhere(np.ones(scan.shape, bool)) @ back[:3, :3].T + back[:3, 3]
    labels = shapes()[tuple(index.round().astype(int).T)].reshape(scan.shape)
    assert write_dicom_seg(labels, scan, TABLE, tmp_path / "seg.dcm", algorithm=MADE_BY)
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    got = seg.get_volume(combine_segments=True)
    numbers = {seg.get_segment_description(n).segment_label: n for n in seg.segment_numbers}
    assert set(numbers) == {label.name for label in TABLE}
    for label in TABLE:
        there = spots(got.array, numbers[label.name], LPS_TO_RAS @ got.affine)
        np.testing.assert_allclose(there, spots(shapes(), label.index, affine), atol=0.01)
    image = SimpleITK.ReadImage(str(tmp_path / "seg.dcm"))
    assert image.GetSize()[:2] == (scan.shape[0], scan.shape[1])


def test_seg_is_coded_and_refers_to_its_scan(tmp_path: Path) -> None:
    affine = grid("LPS", (1, 1, 2))
    write_series(tmp_path / "s", np.zeros(SHAPE, np.int16), affine)
    scan = read_volume(tmp_path / "s")
    labels = shapes()
    write_dicom_seg(labels, scan, TABLE, tmp_path / "seg.dcm", algorithm=MADE_BY)
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    first = scan.source.datasets[0]
    assert seg.FrameOfReferenceUID == first.FrameOfReferenceUID
    assert seg.StudyInstanceUID == first.StudyInstanceUID
    assert seg.SeriesInstanceUID != first.SeriesInstanceUID
    assert seg.PatientID == first.PatientID
    referenced = seg.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == first.SeriesInstanceUID
    uids = {d.SOPInstanceUID for d in scan.source.datasets}
    assert {i.ReferencedSOPInstanceUID for i in referenced.ReferencedInstanceSequence} <= uids
    segment = next(s for s in seg.SegmentSequence if s.SegmentLabel == "left hippocampus")
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("5366008", "SCT")
    side = kind.SegmentedPropertyTypeModifierCodeSequence[0]
    assert side.CodeValue == "7771000"
    made_by = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert made_by.AlgorithmName == "mmtool test"
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert "Secret" not in f"{seg.SeriesDescription}{seg.ContentDescription}"


def test_seg_of_a_scan_that_is_no_dicom(tmp_path: Path) -> None:
    affine = grid("ASR", (0.8, 1.2, 2.5), 11.0)
    write_dicom_seg(shapes(), in_memory(affine), TABLE, tmp_path / "a.dcm", algorithm=MADE_BY)
    got = hd.seg.segread(tmp_path / "a.dcm").get_volume(combine_segments=True)
    there = spots(got.array, 1, LPS_TO_RAS @ got.affine)
    np.testing.assert_allclose(there, spots(shapes(), TABLE[0].index, affine), atol=0.01)


def test_seg_on_a_resampled_grid(tmp_path: Path) -> None:
    files = write_series(tmp_path / "s", np.ones(SHAPE, np.int16), grid("LPS", (1, 1, 2)))
    files[4].unlink()
    scan = read_volume(tmp_path / "s", resample_irregular=True)
    write_dicom_seg(shapes(), scan, TABLE, tmp_path / "a.dcm", algorithm=MADE_BY)
    got = hd.seg.segread(tmp_path / "a.dcm").get_volume(combine_segments=True)
    there = spots(got.array, 1, LPS_TO_RAS @ got.affine)
    np.testing.assert_allclose(there, spots(shapes(), TABLE[0].index, scan.affine), atol=0.01)


def test_no_label_no_seg_and_no_shear(tmp_path: Path) -> None:
    scan = in_memory(np.eye(4))
    empty = np.zeros(SHAPE, np.uint8)
    assert not write_dicom_seg(empty, scan, TABLE, tmp_path / "a.dcm", algorithm=MADE_BY)
    sheared = np.eye(4)
    sheared[0, 2] = 0.3
    with pytest.raises(GeometryError, match="right angles"):
        write_dicom_seg(shapes(), in_memory(sheared), TABLE, tmp_path / "a.dcm", algorithm=MADE_BY)
    assert list(tmp_path.iterdir()) == []


def test_tables(tmp_path: Path) -> None:
    write_labels_tsv(tmp_path / "labels.tsv", TABLE)
    lines = (tmp_path / "labels.tsv").read_text().splitlines()
    assert lines[0].split("\t")[:4] == ["index", "name", "scheme", "code"]
    assert lines[2].split("\t")[:4] == ["17", "left hippocampus", "SCT", "5366008"]
    rows = [
        Measurement(TABLE[0], 10, 0.0801, {"note": "x"}),
        Measurement(TABLE[1], 0, 0, {"note": ""}),
    ]
    write_measurements_tsv(tmp_path / "m.tsv", rows)
    assert (tmp_path / "m.tsv").read_text().splitlines()[1].endswith("10\t0.08\tx")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("@x", "'@x"),
        ("-x", "'-x"),
        (-1.5, "-1.5"),
        ("a\tb\nc", "a b c"),
        (float("nan"), ""),
        (None, ""),
        (3, "3"),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert cell(value) == text


@given(st.lists(st.text(), min_size=2, max_size=2))
def test_a_row_stays_one_line_with_its_cells(
    tmp_path_factory: pytest.TempPathFactory, row: list[str]
) -> None:
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    encodable = [c.encode("utf-8", "replace").decode() for c in row]
    write_tsv(path, ("a", "b"), [encodable])
    raw = path.read_bytes().decode()
    assert raw.count("\n") == 2
    assert all(line.count("\t") == 1 for line in raw.split("\n")[:2])


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []
    write_json(tmp_path / "a.json", {"ä": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"ä": [1, None]}


def test_nothing_is_left_of_a_failed_write(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with replace_into(target) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_publishing_into_a_folder_leaves_the_rest_alone(tmp_path: Path) -> None:
    target, staging = tmp_path / "t", tmp_path / "s"
    for folder, names in ((target, ("mine.txt", "a.txt")), (staging, ("a.txt", "run.json"))):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(folder.name)
    publish_folder(staging, target)
    content = {p.name: p.read_text() for p in target.iterdir()}
    assert content == {"mine.txt": "t", "a.txt": "s", "run.json": "s"}
    assert not staging.exists()


@pytest.mark.parametrize("codes", ["RAS", "LPI", "ASR", "PIL"])
def test_preview_shows_the_left_on_the_right(tmp_path: Path, codes: str) -> None:
    """A structure on the patient's left is drawn right of the middle, whatever the axes."""
    affine = grid(codes, (1, 1, 1))
    labels = np.zeros((30, 30, 30), np.uint8)
    world = np.argwhere(labels == 0) @ affine[:3, :3].T
    left = world[:, 0] < np.median(world[:, 0]) - 5
    labels.ravel()[left] = 17
    data = np.random.default_rng(0).random(labels.shape).astype(np.float32)
    volume = Volume(data, affine, VolumeSource(Path("x"), "nifti", "0"))
    write_preview(tmp_path / "p.png", volume, labels, TABLE)
    picture = np.asarray(Image.open(tmp_path / "p.png")).astype(int)
    panel = picture[8:428, 8:428]
    coloured = (panel.max(-1) - panel.min(-1)) > 60
    columns = np.argwhere(coloured)[:, 1]
    assert len(columns) > 200
    assert columns.min() > 220


@pytest.mark.parametrize("case", ["empty", "constant", "nan", "flat", "thick"])
def test_preview_of_odd_volumes(tmp_path: Path, case: str) -> None:
    data = np.random.default_rng(0).random((20, 24, 18)).astype(np.float32)
    labels = np.zeros(data.shape, np.uint8)
    affine = np.diag([1.0, 1.0, 8.0 if case == "thick" else 1.0, 1.0])
    if case == "constant":
        data[:] = 3
    if case == "nan":
        data[::2] = np.nan
    if case == "flat":
        data, labels = data[:, :, :3], labels[:, :, :3]
    if case != "empty":
        labels[5:9, 5:9, 1:3] = 17
    volume = Volume(data, affine, VolumeSource(Path("x"), "nifti", "0"))
    write_preview(tmp_path / "p.png", volume, labels, TABLE)
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size == (1532, 464)


def test_a_file_of_each_class(tmp_path: Path) -> None:
    scan = in_memory(grid("LPS", (0.8, 1.2, 2.5), 12.0))
    first = TABLE[0]
    odd = [
        Label(5, "Left/../Lobe (upper)", first.code, None, first.category, first.color),
        Label(6, "left lobe; upper", first.code, None, first.category, first.color),
        Label(7, "肝", first.code, None, first.category, first.color),
        Label(8, "LEFT LOBE, UPPER", first.code, None, first.category, first.color),
        Label(9, "left lobe upper 6", first.code, None, first.category, first.color),
    ]
    assert class_file_stems(odd[:3]) == ["left_lobe_upper_5", "left_lobe_upper_6", "label_7"]
    write_class_niftis(shapes(), scan, tmp_path / "odd", [*TABLE, *odd])
    names = {p.name.removesuffix(".nii.gz") for p in (tmp_path / "odd").iterdir()}
    assert len({n.lower() for n in names}) == len(TABLE) + len(odd)
    assert all(n.isascii() and n.replace("_", "").isalnum() for n in names)
    write_class_niftis(shapes(), scan, tmp_path / "classes", TABLE)
    assert class_file_stems(TABLE) == ["brainstem", "left_hippocampus", "right_hippocampus"]
    for label, stem in zip(TABLE, class_file_stems(TABLE), strict=True):
        again = read_volume(tmp_path / "classes" / f"{stem}.nii.gz")
        np.testing.assert_array_equal(again.data, shapes() == label.index)
        np.testing.assert_allclose(again.affine, scan.affine, atol=1e-4)


def test_a_map_of_shares_lies_on_its_scan(tmp_path: Path) -> None:
    scan = in_memory(grid("LPS", (0.9, 1.1, 3.0), 20.0))
    values = np.random.default_rng(0).random(SHAPE).astype(np.float16)
    write_map_nifti(values, scan, tmp_path / "map.nii.gz")
    out = nibabel.load(tmp_path / "map.nii.gz")
    np.testing.assert_allclose(out.affine, scan.affine, atol=1e-5)
    np.testing.assert_allclose(np.asarray(out.dataobj), values, atol=5e-4)
    assert out.get_data_dtype() == np.float32
    for wrong in (values + 1, values - 1, np.full(SHAPE, np.nan)):
        with pytest.raises(ValueError, match="outside"):
            write_map_nifti(wrong, scan, tmp_path / "wrong.nii.gz")
    with pytest.raises(ValueError, match="for a scan of"):
        write_map_nifti(values[1:], scan, tmp_path / "wrong.nii.gz")
    assert not (tmp_path / "wrong.nii.gz").exists()
