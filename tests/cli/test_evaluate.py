"""``mmtool evaluate`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reference labels, and predictions that are moved by a voxel of 1.5 mm."""
    base = tmp_path_factory.mktemp("evaluate")
    for case in ("a", "b", "c"):
        labels = np.zeros((12, 12, 12), np.uint8)
        labels[3:8, 3:8, 3:8], labels[3:8, 3:8, 8:10] = 1, 2
        for folder, moved in (("truth", 0), ("near", 1), ("far", 2)):
            (base / folder).mkdir(exist_ok=True)
            image = nibabel.Nifti1Image(np.roll(labels, moved, 0), np.diag([1.5, 1, 1, 1]))
            nibabel.save(image, base / folder / f"{case}.nii.gz")
    return base


def test_two_folders_of_predictions(folders: Path, tmp_path: Path, mmtool) -> None:
    out = tmp_path / "scores"
    words = ["--truth", folders / "truth", "--predicted", folders / "far", "-o", out]
    done = mmtool("evaluate", "segment", *words, "--compare", folders / "near")
    assert done.returncode == 0, done.stderr
    header, first, *_ = (line.split("\t") for line in done.stdout.splitlines())
    row = dict(zip(header, first, strict=True))
    assert (row["structure"], row["measure"]) == ("mean of structures", "dice")
    assert (row["reference_mean"], row["other_mean"], row["difference"]) == ("0.6", "0.8", "0.2")
    names = {p.name for p in out.iterdir()}
    assert names == {"cases.tsv", "summary.tsv", "comparison.tsv", "summary.json"}
    again = mmtool("evaluate", "segment", *words)
    assert again.returncode == 2
    assert "not empty" in again.stderr
    assert mmtool("evaluate", "segment", *words, "--overwrite", "-q").stderr == ""


def test_json_holds_the_summary(folders: Path, mmtool) -> None:
    near = folders / "near"
    words = ["--truth", folders / "truth", "--predicted", near, "--json", "-q"]
    done = mmtool("evaluate", "segment", *words)
    assert done.returncode == 0, done.stderr
    mean = json.loads(done.stdout)["summary"][str(near)][0]
    assert mean["measures"]["hd95_mm"]["mean"] == 1.5
    assert mean["cases"] == 3


def test_a_model_on_a_scan_and_its_own_labels(head: Path, tmp_path: Path, mmtool) -> None:
    first = mmtool("segment", head, "-o", tmp_path / "out", "-q")
    assert first.returncode == 0, first.stderr
    labels = tmp_path / "out/segmentation.nii.gz"
    words = ["--images", head, "--labels", labels, "--model", "brain"]
    done = mmtool("evaluate", "segment", *words, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)["summary"]["brain"]
    assert len(summary) == 33
    assert {s["measures"]["dice"]["mean"] for s in summary} == {1.0}
    assert "left hippocampus" in {s["name"] for s in summary}


@pytest.mark.parametrize(
    "words",
    [
        ["--truth", "a"],
        ["--images", "a", "--model", "brain"],
        ["--truth", "a", "--predicted", "b", "--data", "c"],
        ["--data", "a", "--compare", "b"],
    ],
)
def test_what_is_not_clear_is_a_usage_error(words: list[str], mmtool) -> None:
    done = mmtool("evaluate", "segment", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("mmtool: error: ")
    assert done.stderr.count("\n") == 2


def test_the_critic_prefers_a_mask_that_is_not_mirrored(head: Path, tmp_path: Path, mmtool) -> None:
    first = mmtool("segment", head, "-o", tmp_path / "out", "-q")
    assert first.returncode == 0, first.stderr
    good, bad = tmp_path / "out/segmentation.nii.gz", tmp_path / "mirrored.nii.gz"
    image = nibabel.load(good)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj)[::-1], image.affine), bad)
    done = mmtool("evaluate", "critic", head, "--mask", bad, "--mask", good, "--json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["structures"], verdict["better"]) == ("brain", "B")
    assert "left and right hippocampus are swapped" in verdict["doubts"]["A"]
    assert verdict["rules"]["side"]["A"] == 0
    single = mmtool("evaluate", "critic", head, "--mask", good)
    assert single.stdout.startswith("rule\tweight\tA\n")
    wrong = mmtool("evaluate", "critic", head, "--mask", good, "--structures", "liver")
    assert wrong.returncode == 2
