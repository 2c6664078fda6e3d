"""``mmtool segment`` and ``mmtool evaluate segment`` with a model of two channels."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from tumor_models import write_case, write_tumor_model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model and two cases, one of them moved off."""
    folder = tmp_path_factory.mktemp("tumor")
    write_tumor_model(folder / "model")
    write_case(folder / "a")
    write_case(folder / "b")
    return folder


@pytest.fixture(scope="module")
def done(place: Path, mmtool) -> Path:
    """Outputs of the example of the help text."""
    run = mmtool(
        "segment", "a/flair.nii.gz", "--channel", "T1c=a/t1c.nii.gz", "--model", "model",
        "-o", "out", cwd=place,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return place / "out"


def labels(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def test_both_channels_are_read_and_recorded(done: Path) -> None:
    record = json.loads((done / "run.json").read_text())
    assert [Path(i["path"]).name for i in record["inputs"]] == ["flair.nii.gz", "t1c.nii.gz"]
    assert record["arguments"]["inputs"] == ["../a/flair.nii.gz"]
    assert record["arguments"]["channel"] == ["t1c=../a/t1c.nii.gz"]
    assert record["expected_memory_mb"] >= 1
    image = nibabel.load(done / "segmentation.nii.gz")
    assert image.shape == (32, 36, 30)
    assert set(np.unique(image.dataobj)) <= {0, 1, 2, 3, 4}


def test_a_record_replays_with_its_channels(done: Path, place: Path, mmtool) -> None:
    run = mmtool("segment", "--config", done / "run.json", "-o", "again", cwd=place)
    assert run.returncode == 0, run.stderr
    again = place / "again/segmentation.nii.gz"
    np.testing.assert_array_equal(labels(again), labels(done / "segmentation.nii.gz"))


def test_resume_sees_another_channel(done: Path, place: Path, mmtool) -> None:
    arguments = ("--model", "model", "-o", done, "--resume")
    same = mmtool(
        "segment", "a/flair.nii.gz", "--channel", "t1c=a/t1c.nii.gz", *arguments, cwd=place
    )
    assert "there already" in same.stderr
    write_case(place / "other")
    image = nibabel.load(place / "other/t1c.nii.gz")
    brighter = np.asarray(image.dataobj) * 2
    nibabel.save(nibabel.Nifti1Image(brighter, image.affine), place / "other/t1c.nii.gz")
    other = mmtool(
        "segment", "a/flair.nii.gz", "--channel", "t1c=other/t1c.nii.gz", *arguments, cwd=place
    )
    assert other.returncode == 0, other.stderr
    assert "there already" not in other.stderr


def test_sheet_folder_and_numbers_give_the_same(done: Path, place: Path, mmtool) -> None:
    sheet = place / "cases.csv"
    sheet.write_text("id,flair,t1c\none,a/flair.nii.gz,a/t1c.nii.gz\ntwo,b/flair.nii.gz,\n")
    run = mmtool("segment", "--samplesheet", sheet, "--model", "model", "-o", "s", cwd=place)
    assert run.returncode == 6
    assert "'t1c' is missing" in (place / "s/failures.tsv").read_text()
    folder = mmtool("segment", "a", "--model", "model", "-o", "f", cwd=place)
    assert folder.returncode == 0, folder.stderr
    numbered = place / "im"
    numbered.mkdir()
    for number, name in enumerate(("flair", "t1c")):
        (numbered / f"x_{number:04d}.nii.gz").write_bytes((place / f"a/{name}.nii.gz").read_bytes())
    run = mmtool("segment", "im", "--model", "model", "-o", "n", cwd=place)
    assert run.returncode == 0, run.stderr
    expected = labels(done / "segmentation.nii.gz")
    for path in ("s/one", "f", "n"):
        np.testing.assert_array_equal(labels(place / path / "segmentation.nii.gz"), expected)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("a/flair.nii.gz",), 3, "the channel 't1c' is missing"),
        (("a/flair.nii.gz", "--dry-run"), 3, "the channel 't1c' is missing"),
        (("a/flair.nii.gz", "--channel", "t1c"), 2, "not NAME=FILE"),
        (("a/flair.nii.gz", "--channel", "dwi=a/t1c.nii.gz"), 3, "'dwi' is no further channel"),
        (("a", "b", "--channel", "t1c=a/t1c.nii.gz"), 2, "--channel goes with one scan"),
        (("a/flair.nii.gz", "--channel", "t1c=absent.nii.gz"), 3, "absent.nii.gz: no such file"),
        (("a/flair.nii.gz", "--channel", "t1c=far.nii.gz"), 3, "'t1c' does not lie where"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    place: Path, mmtool, arguments: tuple[str, ...], code: int, words: str
) -> None:
    image = nibabel.load(place / "a/t1c.nii.gz")
    moved = image.affine.copy()
    moved[0, 3] += 900
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), moved), place / "far.nii.gz")
    run = mmtool("segment", *arguments, "--model", "model", "-o", place / "wrong", cwd=place)
    assert run.returncode == code
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_dry_run_names_all_files(place: Path, mmtool) -> None:
    run = mmtool("segment", "a", "--model", "model", "--dry-run", "--json", cwd=place)
    (item,) = json.loads(run.stdout)["items"]
    assert item["input"] == "a/flair.nii.gz a/t1c.nii.gz"


def test_evaluate_scores_regions_of_cases_in_folders(done: Path, place: Path, mmtool) -> None:
    cases = place / "cases"
    write_case(cases / "a")
    truth = (cases / "a/label.nii.gz").write_bytes((done / "segmentation.nii.gz").read_bytes())
    assert truth
    run = mmtool(
        "evaluate", "segment", "--images", cases, "--labels", cases, "--model", "model",
        "--region", "whole=1,2,3,4", "--region", "core=1,3,4", "--json", cwd=place,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    summary = json.loads(run.stdout)["summary"]["model"]
    assert [row["name"] for row in summary] == ["mean of structures", "whole", "core"]
    assert all(row["measures"]["dice"]["mean"] == 1 for row in summary)
    arguments = ("--truth", cases, "--predicted", cases, "--region", "whole")
    wrong = mmtool("evaluate", "segment", *arguments, cwd=place)
    assert (wrong.returncode, "not NAME=I,J" in wrong.stderr) == (2, True)
