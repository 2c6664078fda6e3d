"""Scores of cases, their means, comparisons, and what is read from folders."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mmtool.errors import GeometryError, InputError, UsageError
from mmtool.pipelines.evaluation.label_maps import find_cases, read_label_map, read_names
from mmtool.pipelines.evaluation.scoring import MEAN, compare, score_case, summarise
from mmtool.pipelines.evaluation.segment import FolderEvaluation

AFFINE = np.diag([1.0, 2.0, 1.0, 1.0])
NAMES = {1: "front", 2: "back", 3: "rare"}


def cube(shift: int = 0, front: int = 1) -> np.ndarray:
    labels = np.zeros((16, 12, 16), np.uint8)
    labels[4 + shift : 10 + shift, 3:9, 4:7] = front
    labels[4:10, 3:9, 7:10] = 2
    return labels


def save(path: Path, labels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_scores_of_a_shifted_cube() -> None:
    front, back, rare = score_case(cube(), cube(1), AFFINE, NAMES, "a")
    assert front.dice == pytest.approx(5 / 6)
    assert front.truth_ml == pytest.approx(6 * 6 * 3 * 2 / 1000)
    assert (front.volume_error_ml, front.abs_volume_error_percent) == (0.0, 0.0)
    assert front.hd95_mm == pytest.approx(1.0)
    assert back.dice == back.nsd_1mm == 1.0
    assert math.isnan(rare.dice)
    assert math.isnan(rare.volume_error_ml)


def test_what_only_one_map_has() -> None:
    labels = {1: "front"}
    lost = score_case(cube(), cube(front=0), AFFINE, labels)[0]
    assert (lost.dice, lost.nsd_2mm, lost.hd95_mm) == (0.0, 0.0, math.inf)
    assert lost.abs_volume_error_percent == pytest.approx(100)
    made_up = score_case(cube(front=0), cube(), AFFINE, labels)[0]
    assert (made_up.dice, made_up.hd95_mm) == (0.0, math.inf)
    assert math.isnan(made_up.abs_volume_error_percent)


def test_a_sheared_grid_is_refused() -> None:
    sheared = AFFINE.copy()
    sheared[0, 2] = 0.2
    with pytest.raises(GeometryError, match="right angles"):
        score_case(cube(), cube(), sheared, NAMES)


def test_the_summary_names_the_worst_case_and_counts_the_missing() -> None:
    rows = [
        *score_case(cube(), cube(), AFFINE, NAMES, "good"),
        *score_case(cube(), cube(2), AFFINE, NAMES, "poor"),
        *score_case(cube(), cube(front=0), AFFINE, NAMES, "lost"),
    ]
    mean, front, back, rare = summarise(rows)
    assert (mean.name, mean.cases, mean.worst_case) == (MEAN, 3, "lost")
    assert (front.cases, front.hd95_missing, front.worst_case) == (3, 1, "lost")
    assert front.measures["dice"].mean == pytest.approx((1 + 4 / 6 + 0) / 3)
    assert front.measures["hd95_mm"].n == 2
    assert mean.measures["dice"].mean == pytest.approx((1 + 5 / 6 + 1 / 2) / 3)
    assert mean.hd95_missing == 1
    assert (back.worst_dice, rare.cases, rare.worst_case) == (1.0, 0, "")
    assert rare.to_json()["measures"]["dice"]["mean"] is None
    low, high = front.measures["dice"].low, front.measures["dice"].high
    assert low < front.measures["dice"].mean < high


def test_comparison_is_paired_and_swaps_its_sign() -> None:
    cases = [str(i) for i in range(8)]
    worse = [r for c in cases for r in score_case(cube(), cube(1 + int(c) % 2), AFFINE, NAMES, c)]
    better = [r for c in cases for r in score_case(cube(), cube(int(c) % 2), AFFINE, NAMES, c)]
    for one, two in zip(compare(worse, better), compare(better, worse), strict=True):
        assert one.difference.mean == pytest.approx(-two.difference.mean, nan_ok=True)
        assert (one.reference, one.other) == pytest.approx((two.other, two.reference), nan_ok=True)
    front = {d.measure: d for d in compare(worse, better) if d.name == "front"}
    # The shift differs by one voxel in every case: no spread, though the cases differ.
    assert front["dice"].difference.mean == pytest.approx(1 / 6)
    assert front["dice"].difference.low == pytest.approx(front["dice"].difference.high)
    assert front["hd95_mm"].difference.mean == pytest.approx(-1)
    assert (front["dice"].better, front["hd95_mm"].better) == (8, 8)


def test_folders_are_matched_by_name_and_endings(tmp_path: Path) -> None:
    for case, shift in (("a", 0), ("b", 1)):
        save(tmp_path / f"truth/{case}_label.nii.gz", cube())
        save(tmp_path / f"truth/{case}_image.nii.gz", cube())
        save(tmp_path / f"out/{case}/segmentation.nii.gz", cube(shift))
        save(tmp_path / f"out/{case}/brain_mask.nii.gz", cube())
    (tmp_path / "out/a/labels.tsv").write_text("index\tname\n1\tfront part\n2\tback\n")
    (tmp_path / "out/failures.tsv").write_text("")
    result = FolderEvaluation(tmp_path / "truth", [tmp_path / "out"]).run()
    result.write(tmp_path / "scores")
    summary = rows_of(tmp_path / "scores/summary.tsv")
    assert [r["structure"] for r in summary] == [MEAN, "front part", "back"]
    assert (summary[1]["worst_case"], float(summary[1]["dice"])) == (
        "b",
        pytest.approx(11 / 12, 1e-3),
    )
    assert len(rows_of(tmp_path / "scores/cases.tsv")) == 4
    stored = json.loads((tmp_path / "scores/summary.json").read_text())
    assert set(stored) == {"schema", "summary", "comparison", "notes"}
    assert not (tmp_path / "scores/comparison.tsv").exists()


def test_two_folders_side_by_side(tmp_path: Path) -> None:
    for case in "abc":
        save(tmp_path / f"truth/{case}.nii.gz", cube())
        save(tmp_path / f"one/{case}.nii.gz", cube(1))
        save(tmp_path / f"two/{case}.nii.gz", cube())
    one, two = tmp_path / "one", tmp_path / "two"
    result = FolderEvaluation(tmp_path / "truth", [one, two]).run()
    result.write(tmp_path / "scores")
    table = {(r["structure"], r["measure"]): r for r in rows_of(tmp_path / "scores/comparison.tsv")}
    row = table["label 1", "dice"]
    assert (row["reference"], row["other"], row["other_better"]) == (str(one), str(two), "3")
    assert float(row["difference"]) == pytest.approx(1 / 6, abs=1e-4)
    with pytest.raises(UsageError, match="itself"):
        FolderEvaluation(tmp_path / "truth", [one, one]).run()


def test_a_missing_prediction_is_no_silent_gain(tmp_path: Path) -> None:
    save(tmp_path / "truth/a.nii.gz", cube())
    save(tmp_path / "truth/b.nii.gz", cube())
    save(tmp_path / "out/a.nii.gz", cube())
    save(tmp_path / "out/z.nii.gz", cube())
    request = FolderEvaluation(tmp_path / "truth", [tmp_path / "out"])
    with pytest.raises(InputError, match="no label map for b"):
        request.run()
    request.missing_as_empty = True
    result = request.run()
    assert summarise(result.scores[str(tmp_path / "out")])[0].measures["dice"].mean == 0.5
    assert any("b scored as empty" in n for n in result.notes)
    assert any("z, left out" in n for n in result.notes)


def test_other_grids_are_refused_or_resampled(tmp_path: Path) -> None:
    truth = save(tmp_path / "truth.nii.gz", cube())
    flipped = AFFINE.copy()
    flipped[0] = [-1, 0, 0, 15]
    turned = save(tmp_path / "turned.nii.gz", cube()[::-1].copy(), flipped)
    with pytest.raises(GeometryError, match="affine differs"):
        FolderEvaluation(truth, [turned]).run()
    result = FolderEvaluation(truth, [turned], resample=True).run()
    assert summarise(result.scores[str(turned)])[0].measures["dice"].mean == 1.0
    cut = save(tmp_path / "cut.nii.gz", cube()[:12])
    with pytest.raises(GeometryError, match="12 x 12 x 16 voxels against 16 x 12 x 16"):
        FolderEvaluation(truth, [cut]).run()
    rounded = save(tmp_path / "rounded.nii.gz", cube(), AFFINE + 1e-5)
    assert FolderEvaluation(truth, [rounded]).run().scores


def test_labels_that_no_reference_has_are_told_and_not_scored(tmp_path: Path) -> None:
    truth = save(tmp_path / "t.nii.gz", cube(front=0))
    found = save(tmp_path / "p.nii.gz", cube())
    result = FolderEvaluation(truth, [found]).run()
    assert [r.index for r in result.scores[str(found)]] == [2]
    assert result.notes == ("in no reference, so not scored: 1",)


def test_what_is_no_label_map(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no whole numbers"):
        read_label_map(save(tmp_path / "p.nii.gz", np.full((4, 4, 4), 0.5, np.float32)))
    with pytest.raises(InputError, match="values run from -1"):
        read_label_map(save(tmp_path / "n.nii.gz", np.full((4, 4, 4), -1, np.int16)))
    empty = save(tmp_path / "e.nii.gz", np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(InputError, match="all empty"):
        FolderEvaluation(empty, [empty]).run()
    floats = read_label_map(save(tmp_path / "f.nii.gz", np.full((4, 4, 4), 3, np.float32)))
    assert floats.labels.max() == 3


def test_folders_without_cases_and_with_double_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such"):
        find_cases(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no label maps"):
        find_cases(tmp_path)
    save(tmp_path / "a_label.nii.gz", cube())
    save(tmp_path / "a_seg.nii.gz", cube())
    with pytest.raises(InputError, match="name of one case"):
        find_cases(tmp_path)


def test_a_table_that_names_no_labels(tmp_path: Path) -> None:
    table = tmp_path / "labels.tsv"
    table.write_text("number\tword\n1\ta\n")
    with pytest.raises(InputError, match="no columns"):
        read_names(table)
    table.write_text("index\tname\n0\tair\n")
    with pytest.raises(InputError, match="line 2"):
        read_names(table)
