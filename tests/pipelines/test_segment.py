"""What is kept of a segmentation for what was asked; no network is run here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.io.limits import Limits
from mmtool.models.store import resolve_model
from mmtool.pipelines.requested import read_request
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.pipelines.segment import SegmentOptions, SegmentTask
from mmtool.pipelines.segment_result import SegmentResult
from mmtool.pipelines.segmenter import Segmented
from mmtool.types import Volume, VolumeSource

LABELS = np.zeros((4, 5, 6), np.uint8)
LABELS[0, :3], LABELS[1, :2], LABELS[2, 0] = 17, 53, 8
MASK = np.ones(LABELS.shape, bool)
MASK[3] = False


def result(text: str | None, certainty: float = 0.8) -> SegmentResult:
    scan = Volume(
        np.zeros(LABELS.shape, np.float32),
        np.diag([2.0, 1.0, 1.0, 1.0]),
        VolumeSource(Path("scan.nii.gz"), "nifti", "00"),
    )
    found = Segmented(LABELS, True, {17: 0.9, 53: 0.8, 8: 0.7}, certainty, MASK)
    request = None if text is None else read_request(text, Limits())
    return SegmentResult(scan, found, BRAIN_LABELS, BRAIN, request)


def test_without_a_text_everything_stays() -> None:
    np.testing.assert_array_equal(result(None).labels, LABELS)
    assert len(result(None).table) == 32


def test_only_what_was_asked_for_stays() -> None:
    kept = result("left hippocampus").labels
    np.testing.assert_array_equal(kept, np.where(LABELS == 17, 17, 0))


@pytest.mark.parametrize(
    ("text", "removed"), [("brain", ()), ("brain without the cerebellum", (8,))]
)
def test_the_brain_is_one_label(text: str, removed: tuple[int, ...]) -> None:
    kept = result(text).labels
    np.testing.assert_array_equal(kept == 1, MASK & ~np.isin(LABELS, removed))


def test_the_brain_holds_what_no_other_label_asked_for_holds() -> None:
    kept = result("brain and right hippocampus").labels
    np.testing.assert_array_equal(kept == 53, LABELS == 53)
    np.testing.assert_array_equal(kept == 1, MASK & (LABELS != 53))


def test_rows_of_measurements() -> None:
    rows = {m.label.name: m for m in result("left hippocampus").measurements()}
    assert list(rows) == ["brain", "left hippocampus"]
    found = rows["left hippocampus"]
    assert (found.voxels, found.volume_ml) == (18, pytest.approx(0.036))
    assert found.extra["centroid_r_mm"] == 0.0
    assert found.extra["centroid_a_mm"] == 1.0
    assert found.extra["centroid_s_mm"] == 2.5
    assert found.extra["mean_probability"] == 0.9


def test_uncertainty_and_likeness_are_columns_when_they_are_known() -> None:
    plain = result("left hippocampus")
    assert "mean_uncertainty" not in plain.measurements()[0].extra
    assert "unlike_training" not in plain.measurements()[0].extra
    doubt = np.where(LABELS == 17, 0.25, 0.5).astype(np.float16)
    found = replace(plain.found, uncertainty=doubt)
    told = SegmentResult(plain.scan, found, BRAIN_LABELS, BRAIN, plain.request, ["too coarse"])
    brain, left = told.measurements()
    assert left.extra["mean_uncertainty"] == 0.25
    assert 0.25 < float(brain.extra["mean_uncertainty"]) < 0.5
    assert brain.extra["unlike_training"] == "yes"
    summary = told.summary()
    assert summary["unlike_training"] == ["too coarse"]
    assert summary["notes"] == ["unlike the training data: too coarse"]


def test_an_unsure_model_says_so() -> None:
    assert result(None, 0.66).summary()["notes"] == [
        "the model is unsure of this scan; look at the result with care"
    ]
    assert result(None, 0.72).summary()["notes"] == []


def test_the_fingerprint_follows_what_decides_on_the_result(tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii"
    scan.write_bytes(b"\x5c\x01\x00\x00" + bytes(340) + b"n+1\0" + bytes(100))

    def mark(text: str | None = None, device: str = "auto", params: dict | None = None) -> str:
        task = SegmentTask(SegmentOptions(text=text, device=device))
        return task.fingerprint(BatchItem("scan", (scan,), params or {}))

    plain = mark()
    assert resolve_model("segment", "brain").weights_sha256
    assert mark(device="cpu") == plain
    assert mark(text="left putamen") != plain
    assert mark(params={"text": "left putamen"}) == mark(text="left putamen")
    (tmp_path / "words.txt").write_text("left putamen")
    by_file = mark(text=str(tmp_path / "words.txt"))
    (tmp_path / "words.txt").write_text("right putamen")
    assert mark(text=str(tmp_path / "words.txt")) != by_file
    scan.write_bytes(scan.read_bytes()[:-1] + b"\1")
    assert mark() != plain
