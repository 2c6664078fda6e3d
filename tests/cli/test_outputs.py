"""Outputs on request, from the command line with the shipped model."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_series import write_series


@pytest.fixture(scope="module")
def small(head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The head at 4 mm, in LPS order and in a BIDS dataset."""
    image = nibabel.load(head).slicer[::2, ::2, ::2]
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(("L", "P", "S"))
    )
    image = image.as_reoriented(turn)
    image.header.set_xyzt_units("mm")
    path = tmp_path_factory.mktemp("ds") / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    path.parent.mkdir(parents=True)
    nibabel.save(image, path)
    return path


def test_a_dicom_scan_with_all_that_can_be_had(small: Path, tmp_path: Path, mmtool) -> None:
    image = nibabel.load(small)
    write_series(tmp_path / "series", np.asarray(image.dataobj), image.affine)
    flags = ["--rtstruct", "--html", "--format", "classes", "--text", "both thalami"]
    done = mmtool("segment", tmp_path / "series", *flags, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    names = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert "segmentation.nii.gz" not in names
    assert {"rtstruct.dcm", "segmentation.dcm", "view.html", "brain_mask.nii.gz"} <= names
    masks = {}
    for side in ("left", "right"):
        path = tmp_path / "out" / "classes" / f"{side}_thalamus.nii.gz"
        masks[side] = np.asarray(nibabel.load(path).dataobj)
        assert set(np.unique(masks[side])) == {0, 1}
    structures = pydicom.dcmread(tmp_path / "out" / "rtstruct.dcm")
    assert [r.ROIName for r in structures.StructureSetROISequence] == [
        "left thalamus",
        "right thalamus",
    ]
    ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    told = [float(r.ROIVolume) for r in structures.StructureSetROISequence]
    assert told == pytest.approx([masks[s].sum() * ml for s in ("left", "right")], rel=1e-4)
    page = (tmp_path / "out" / "view.html").read_text()
    assert "left thalamus" in page
    assert "Secret" not in page
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["arguments"]["format"] == "classes"


def test_rtstruct_of_a_scan_that_is_no_dicom_is_exit_3(small: Path, tmp_path: Path, mmtool) -> None:
    done = mmtool("segment", small, "--rtstruct", "-o", tmp_path / "out")
    assert done.returncode == 3
    assert "this scan is no DICOM" in done.stderr
    assert "--dicom-seg" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_bids_dataset(small: Path, mmtool) -> None:
    dataset = small.parents[2]
    root = dataset / "derivatives" / "mmtool"
    done = mmtool("segment", small, "--bids", "--text", "both thalami", "-o", root)
    assert done.returncode == 0, done.stderr
    anat = root / "sub-01" / "anat"
    assert done.stdout == f"{anat}\n"
    stem = "sub-01_space-orig_seg-brain_dseg"
    mask = "sub-01_space-orig_desc-brain_mask"
    names = {f"{stem}.nii.gz", f"{stem}.json", f"{stem}.tsv", f"{mask}.nii.gz", f"{mask}.json"}
    assert {p.name for p in anat.iterdir()} == names
    scan, labels = nibabel.load(small), nibabel.load(anat / f"{stem}.nii.gz")
    np.testing.assert_array_equal(labels.affine, scan.affine)
    assert set(np.unique(labels.dataobj)) == {0, 10, 49}
    about = json.loads((anat / f"{mask}.json").read_text())
    assert about["Type"] == "Brain"
    assert about["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    again = mmtool("segment", small, "--bids", "--text", "both thalami", "-o", root, "--resume")
    assert again.stderr.startswith("[1/1] sub-01_T1w: there already\n")
    assert mmtool("segment", small, "--bids", "-o", root).returncode == 2
    validator = shutil.which("bids-validator-deno")
    if validator:
        told = subprocess.run(
            [validator, root, "--format", "json"], capture_output=True, text=True, check=False
        )
        issues = json.loads(told.stdout)["issues"]["issues"]
        assert [i for i in issues if i["severity"] == "error"] == []


def test_a_name_that_is_none_of_bids_is_exit_2(head: Path, tmp_path: Path, mmtool) -> None:
    done = mmtool("segment", head, "--bids", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "--bids needs a name of BIDS" in done.stderr
    assert not (tmp_path / "out").exists()
