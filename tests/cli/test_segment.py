"""``mmtool segment`` with the shipped model on a real scan: what a user types, sees and keeps."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from dicom_series import write_series
from scipy import ndimage

from mmtool.models.store import resolve_model

PROMPT = "left hippocampus and both thalami"
ALWAYS = {
    "segmentation.nii.gz",
    "brain_mask.nii.gz",
    "labels.tsv",
    "measurements.tsv",
    "objects.json",
    "preview.png",
    "run.json",
    "ro-crate-metadata.json",
}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def labels_of(folder: Path) -> np.ndarray:
    """Label map in RAS order."""
    image = nibabel.as_closest_canonical(nibabel.load(folder / "segmentation.nii.gz"))
    return np.asarray(image.dataobj)


@pytest.fixture(scope="module")
def prompted(head: Path, tmp_path_factory: pytest.TempPathFactory, mmtool) -> Path:
    """Outputs of the example of the help text."""
    out = tmp_path_factory.mktemp("prompted") / "out"
    done = mmtool("segment", head, "--text", PROMPT, "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    assert done.stderr.startswith("[1/1] head: done in ")
    assert done.stderr.count("\n") == 1
    return out


@pytest.fixture(scope="module")
def series(head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same scan as a DICOM folder in LPS order."""
    image = nibabel.load(head)
    lps = nibabel.orientations.axcodes2ornt(("L", "P", "S"))
    turned = image.as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), lps)
    )
    folder = tmp_path_factory.mktemp("dicom") / "series"
    write_series(folder, np.asarray(turned.dataobj), turned.affine)
    return folder


def test_what_was_asked_for_is_in_the_mask(prompted: Path, head: Path) -> None:
    assert {p.name for p in prompted.iterdir()} == ALWAYS | {"text_audit.json"}
    scan, mask = nibabel.load(head), nibabel.load(prompted / "segmentation.nii.gz")
    np.testing.assert_array_equal(mask.affine, scan.affine)
    assert mask.shape == scan.shape
    assert set(np.unique(mask.dataobj)) == {0, 10, 17, 49}
    table = rows(prompted / "labels.tsv")
    assert [(r["name"], r["code"], r["laterality"]) for r in table] == [
        ("left thalamus", "119406000", "Left"),
        ("left hippocampus", "5366008", "Left"),
        ("right thalamus", "119406000", "Right"),
    ]
    audit = json.loads((prompted / "text_audit.json").read_text())
    assert audit["kind"] == "prompt"
    assert audit["disagreements"] == []


def test_measurements_are_those_of_the_mask_and_of_an_adult(prompted: Path) -> None:
    mask = nibabel.load(prompted / "segmentation.nii.gz")
    ml = abs(np.linalg.det(mask.affine[:3, :3])) / 1000
    table = {r["name"]: r for r in rows(prompted / "measurements.tsv")}
    assert list(table) == ["brain", "left thalamus", "left hippocampus", "right thalamus"]
    for index, name in ((10, "left thalamus"), (17, "left hippocampus"), (49, "right thalamus")):
        voxels = int((np.asarray(mask.dataobj) == index).sum())
        assert int(table[name]["voxels"]) == voxels
        assert float(table[name]["volume_ml"]) == pytest.approx(voxels * ml, abs=1e-3)
        left = name.startswith("left")
        assert (float(table[name]["centroid_r_mm"]) < -5) == left
    # This template is about 1.3 times the size of a head.
    assert 1500 < float(table["brain"]["volume_ml"]) < 2100
    assert 7 < float(table["left thalamus"]["volume_ml"]) < 12
    assert 3 < float(table["left hippocampus"]["volume_ml"]) < 7.5


def test_objects_are_those_of_the_mask(prompted: Path) -> None:
    mask = np.asarray(nibabel.load(prompted / "segmentation.nii.gz").dataobj)
    stored = json.loads((prompted / "objects.json").read_text())
    assert [s["name"] for s in stored["structures"]] == [
        r["name"] for r in rows(prompted / "labels.tsv")
    ]
    for structure in stored["structures"]:
        sizes = [o["voxels"] for o in structure["objects"]]
        assert sum(sizes) + structure["specks"]["voxels"] == (mask == structure["index"]).sum()
        for item in structure["objects"]:
            assert mask[tuple(item["point"]["voxel"])] == structure["index"]


def test_uncertainty_is_highest_where_structures_meet(head: Path, tmp_path: Path, mmtool) -> None:
    out = tmp_path / "out"
    done = mmtool("segment", head, "-o", out, "--uncertainty")
    assert done.returncode == 0, done.stderr
    image = nibabel.load(out / "uncertainty.nii.gz")
    np.testing.assert_array_equal(image.affine, nibabel.load(head).affine)
    doubt, labels = (
        np.asarray(image.dataobj),
        np.asarray(nibabel.load(out / "segmentation.nii.gz").dataobj),
    )
    assert doubt.min() >= 0
    assert doubt.max() <= 1
    found = labels > 0
    inner = found & (labels == ndimage.minimum_filter(labels, 3))
    inner &= labels == ndimage.maximum_filter(labels, 3)
    assert doubt[found & ~inner].mean() > 1.5 * doubt[inner].mean()
    table = {r["name"]: r for r in rows(out / "measurements.tsv")}
    mean = doubt[labels == 10].mean()
    assert float(table["left thalamus"]["mean_uncertainty"]) == pytest.approx(mean, abs=1e-3)
    assert {r["unlike_training"] for r in table.values()} == {"no"}


def test_nifti_dicom_folder_and_zip_give_the_same_mask(
    prompted: Path, series: Path, tmp_path: Path, mmtool
) -> None:
    archive = shutil.make_archive(str(tmp_path / "sent"), "zip", series)
    done = mmtool("segment", series, archive, "--text", PROMPT, "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    items = json.loads(done.stdout)["items"]
    assert [i["status"] for i in items] == ["ok", "ok"]
    folder, zipped = (Path(i["output"]) for i in items)
    assert {p.name for p in folder.iterdir()} == ALWAYS | {"text_audit.json", "segmentation.dcm"}
    np.testing.assert_array_equal(labels_of(folder), labels_of(prompted))
    np.testing.assert_array_equal(labels_of(zipped), labels_of(prompted))
    seg = pydicom.dcmread(folder / "segmentation.dcm")
    named = {s.SegmentLabel: s.SegmentNumber for s in seg.SegmentSequence}
    assert set(named) == {"left thalamus", "left hippocampus", "right thalamus"}
    assert seg.pixel_array.astype(bool).sum() == (labels_of(prompted) > 0).sum()
    for file in folder.iterdir():  # the name lives in DICOM alone, where it belongs
        assert file.suffix == ".dcm" or b"Secret" not in file.read_bytes()
    assert "Secret" not in done.stdout + done.stderr


def test_a_record_replays_to_the_same_bytes(prompted: Path, tmp_path: Path, mmtool) -> None:
    done = mmtool("segment", "--config", prompted / "run.json", "-o", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    for name in ("segmentation.nii.gz", "measurements.tsv", "text_audit.json", "preview.png"):
        assert (tmp_path / "again" / name).read_bytes() == (prompted / name).read_bytes(), name


REPORT = """FINDINGS: The left hippocampus is surgically absent. The right amygdala is enlarged.
The pituitary gland is enlarged. Both thalami are unremarkable."""


@pytest.mark.parametrize(("strict", "code"), [(False, 0), (True, 3)])
def test_text_and_image_may_disagree(
    head: Path, tmp_path: Path, mmtool, strict: bool, code: int
) -> None:
    (tmp_path / "report.txt").write_text(REPORT)
    flags = ["--strict-text"] if strict else []
    done = mmtool(
        "segment", head, "--text", tmp_path / "report.txt", "-o", tmp_path / "out", *flags
    )
    assert done.returncode == code, done.stderr
    assert set(np.unique(labels_of(tmp_path / "out"))) == {0, 54}
    audit = json.loads((tmp_path / "out/text_audit.json").read_text())
    assert [d["structure"] for d in audit["disagreements"]] == ["left hippocampus"]
    assert audit["disagreements"][0]["kind"] == "said absent, found"
    assert "pituitary gland" in audit["unknown"]
    ignored = {i["what"]: i["why"] for s in audit["sentences"] for i in s["ignored"]}
    assert "unremarkable" in ignored["thalamus"]
    if strict:
        first, hint = done.stderr.splitlines()[-2:]
        assert first.startswith("mmtool: error: text and image disagree: left hippocampus: said")
        assert hint.startswith("hint: ")


def test_a_text_without_anything_known_is_refused_and_leaves_nothing(
    head: Path, tmp_path: Path, mmtool
) -> None:
    done = mmtool("segment", head, "--text", "liver and spleen", "-o", tmp_path / "out")
    assert done.returncode == 3
    assert "asks for nothing that the model knows (it names: liver, spleen)" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_exit_2(prompted: Path, head: Path, mmtool) -> None:
    assert mmtool("segment").returncode == 2
    assert mmtool("segment", head, "--nonsense").returncode == 2
    before = (prompted / "run.json").stat().st_mtime_ns
    done = mmtool("segment", head, "-o", prompted)
    assert done.returncode == 2
    assert "--overwrite" in done.stderr
    assert (prompted / "run.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("what", ["missing", "text", "noise", "air", "CT"])
def test_bad_scans_are_exit_3(head: Path, tmp_path: Path, mmtool, what: str) -> None:
    scan, message = tmp_path / "scan.nii.gz", "no brain was found"
    if what == "missing":
        message = "no such file"
    elif what == "text":
        scan.write_text("not a scan")
        message = "not a NIfTI"
    elif what == "CT":
        scan = tmp_path / "ct"
        write_series(scan, np.zeros((8, 8, 8), np.int16), np.eye(4), Modality="CT")
        message = "the scan is CT"
    else:
        noise = np.random.default_rng(0).normal(100, 20, (60, 60, 60)).astype(np.float32)
        image = noise if what == "noise" else np.zeros_like(noise)
        nibabel.save(nibabel.Nifti1Image(image, np.diag([3.0, 3.0, 3.0, 1.0])), scan)
    done = mmtool("segment", scan, "-o", tmp_path / "out")
    assert done.returncode == 3, done.stderr
    lines = done.stderr.splitlines()
    assert lines[-2].startswith("mmtool: error: ")
    assert message in lines[-2]
    assert lines[-1].startswith("hint: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_altered_weights_are_exit_4(head: Path, tmp_path: Path, mmtool) -> None:
    model = tmp_path / "brain"
    shutil.copytree(resolve_model("segment", "brain").folder, model)
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    done = mmtool("segment", head, "--model", model, "-o", tmp_path / "out")
    assert done.returncode == 4
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_an_absent_device_is_exit_5(head: Path, tmp_path: Path, mmtool) -> None:
    done = mmtool("segment", head, "--device", "cuda", "-o", tmp_path / "out")
    assert done.returncode == 5
    assert not (tmp_path / "out").exists()


def test_a_broken_scan_in_a_batch_is_exit_6(head: Path, tmp_path: Path, mmtool) -> None:
    whole = head.read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    sheet = tmp_path / "samples.csv"
    sheet.write_text(f"id,input,text\ngood,{head},left putamen\nbad,cut.nii.gz,\n")
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    done = mmtool("segment", "--samplesheet", sheet, "-o", tmp_path / "out", HOME=str(home))
    assert done.returncode == 6, done.stderr
    assert done.stdout == f"{tmp_path / 'out/good'}\n"
    assert set(np.unique(labels_of(tmp_path / "out/good"))) == {0, 12}
    (failure,) = rows(tmp_path / "out/failures.tsv")
    assert (failure["name"], failure["exit_code"]) == ("bad", "3")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["failures.tsv", "good"]
    assert list(home.iterdir()) == []


def start(arguments: list[object]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mmtool.cli", "segment", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_records(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        if len(list(out.glob("*/run.json"))) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"the batch did not come to item {count}")


def copies(head: Path, folder: Path, count: int) -> list[Path]:
    """The same head several times, small."""
    image = nibabel.load(head).slicer[::2, ::2, ::2]
    scans = [folder / f"p{i:02d}.nii.gz" for i in range(count)]
    for scan in scans:
        nibabel.save(image, scan)
    return scans


def test_interrupted_is_exit_130_and_leaves_whole_scans_only(head: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start([*copies(head, tmp_path, 4), "-o", out])
    wait_for_records(out, 1, process)
    time.sleep(0.5)  # into the next scan
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "mmtool: error: interrupted" in told
    assert "Traceback" not in told
    left = sorted(os.listdir(out))
    assert left
    assert all((out / name / "run.json").exists() for name in left)


@pytest.mark.slow
def test_twenty_scans_killed_in_the_middle_and_resumed(head: Path, tmp_path: Path) -> None:
    """Nothing is lost, nothing that was whole is done again, all results are the same."""
    scans = copies(head, tmp_path, 20)
    names = [scan.name.split(".")[0] for scan in scans]
    out = tmp_path / "out"
    common = [*scans, "--text", "both putamina", "-o", out]
    process = start(common)
    wait_for_records(out, 7, process)
    time.sleep(0.5)
    process.kill()
    process.communicate(timeout=60)
    whole = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("*/run.json")}
    assert 7 <= len(whole) < 20
    visible = {p.name for p in out.iterdir() if not p.name.startswith(".")}
    assert visible == set(whole)  # nothing is there by half
    again = start([*common, "--resume", "--json"])
    printed, _ = again.communicate(timeout=500)
    assert again.returncode == 0
    items = json.loads(printed)["items"]
    assert [i["name"] for i in items] == names
    assert {i["name"] for i in items if i["status"] == "skipped"} == set(whole)
    assert sorted(os.listdir(out)) == names
    for name, written in whole.items():
        assert (out / name / "run.json").stat().st_mtime_ns == written
    first = (out / "p00/segmentation.nii.gz").read_bytes()
    assert all((out / n / "segmentation.nii.gz").read_bytes() == first for n in names)


def test_more_memory_than_allowed_is_exit_5_before_the_voxels_are_read(
    head: Path, tmp_path: Path, mmtool
) -> None:
    import gzip

    cut = tmp_path / "cut.nii"
    cut.write_bytes(gzip.decompress(head.read_bytes())[:352])  # a header, and not one voxel
    done = mmtool("segment", cut, "--max-memory", "300M", "-o", tmp_path / "out")
    assert done.returncode == 5, done.stderr
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith(f"mmtool: error: {cut} needs about 0.")
    assert error.endswith("the limit is 0.29 GiB (--max-memory)")
    assert hint.startswith("hint: give the job more memory")
    again = mmtool("segment", cut, "-o", tmp_path / "out", MMTOOL_MAX_MEMORY="300MB")
    assert again.returncode == 5, again.stderr
    assert not (tmp_path / "out").exists()


def test_no_size_of_memory_is_exit_2(head: Path, tmp_path: Path, mmtool) -> None:
    done = mmtool("segment", head, "--max-memory", "lots", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "'lots' is no size of memory" in done.stderr


def test_the_estimate_is_true_and_recorded(prompted: Path) -> None:
    record = json.loads((prompted / "run.json").read_text())
    expected, peak = record["expected_memory_mb"], record["peak_memory_mb"]["cpu"]
    assert peak <= expected <= 2 * peak
    assert "max_memory" not in record["arguments"]


def test_a_dry_run_states_the_memory_and_refuses_as_the_run_would(
    head: Path, prompted: Path, tmp_path: Path, mmtool
) -> None:
    import gzip

    cut = tmp_path / "cut.nii"
    cut.write_bytes(gzip.decompress(head.read_bytes())[:352])
    done = mmtool("segment", cut, "--dry-run", "--json", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["items"]
    recorded = json.loads((prompted / "run.json").read_text())["expected_memory_mb"]
    assert row["expected_memory_mb"] == pytest.approx(recorded, rel=0.1)
    assert row["refused"] is None
    alone = mmtool("segment", cut, "-n", "--max-memory", "300M", "-o", tmp_path / "out")
    assert alone.returncode == 5
    assert "the limit is 0.29 GiB (--max-memory)" in alone.stderr
    both = mmtool("segment", cut, tmp_path / "no.nii", "-n", "-o", tmp_path / "out")
    assert both.returncode == 6
    header, first, second = (line.split("\t") for line in both.stdout.splitlines())
    assert header[-2:] == ["expected_memory_mb", "refused"]
    assert float(first[-2]) == pytest.approx(recorded, rel=0.1)
    assert second[-2:] == ["", f"{tmp_path / 'no.nii'}: no such file or folder"]
    assert not (tmp_path / "out").exists()
