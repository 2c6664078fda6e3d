"""Pairs that look alike: which are asked about, how answers are read and counted."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.image_truths import read_image_truths
from mmtool.pipelines.report import ReportOptions, ReportTask
from mmtool.pipelines.report_images import read_study
from mmtool.pipelines.report_pairs import (
    Known,
    ask,
    by_heads,
    by_reader,
    confusable_pairs,
    planes_of,
)
from mmtool.pipelines.report_reader import PROMPT
from mmtool.pipelines.report_selftest import self_test
from mmtool.retrieval import Picture


def at(angle: float, plane: str, group: str, grey: float = 0.0) -> Known:
    """An image at a place on the circle."""
    vector = np.array([np.cos(angle), np.sin(angle)], np.float32)
    return Known(Picture(np.full((1, 8, 8), grey, np.float32)), vector, {"plane": plane}, group)


class Talker:
    """Tells the planes of dark and bright images as it was told to."""

    name, sha256, keep = "talker", "0" * 64, None

    def __init__(self, dark: str, bright: str) -> None:
        self.words, self.asked = (dark, bright), list[str]()

    def read(self, picture: Picture, question: str = PROMPT) -> str:
        self.asked.append(question)
        return self.words[int(picture.pixels.mean() > 0.5)]


def test_pairs_look_more_alike_than_their_own_kind() -> None:
    angles = np.array([0.0, 0.1, 0.9, 1.5, 1.6])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    assert confusable_pairs(vectors, ["a", "b", "a", "b", "b"], list("12345")) == [
        (0, 1), (2, 3),
    ]  # fmt: skip
    assert confusable_pairs(vectors, ["a", "b", "a", "b", ""], ["1"] * 5) == []


@pytest.mark.parametrize(
    ("dark", "bright", "both", "each", "same"),
    [
        ("It is axial.", "Sagittal", [1.0], [1.0], [0.0]),
        ("axial", "An axial view.", [0.0], [0.5], [1.0]),
        ("sagittal", "axial", [0.0], [0.0], [0.0]),
        ("axial or sagittal", "sagittal", [0.0], [0.5], []),  # what names both names none
        ("coronal", "coronal", [0.0], [0.0], []),
    ],
)
def test_a_pair_counts_only_if_both_are_right(
    dark: str, bright: str, both: list[float], each: list[float], same: list[float]
) -> None:
    images = [at(0, "axial", "1"), at(0.1, "sagittal", "2", 1.0)]
    talker = Talker(dark, bright)
    found = ask(images, "plane", by_reader(talker))
    assert (found.pairs, found.both, found.each, found.same) == ([(0, 1)], both, each, same)
    assert len(set(talker.asked)) == 1  # the same question of both
    assert "axial or sagittal" in talker.asked[0]


def test_heads_choose_among_the_two_options_only() -> None:
    model, _ = ReportTask(ReportOptions()).loaded()
    vector = model.reference.vectors[0]
    image = Known(Picture(np.zeros((1, 1, 1), np.float32)), vector, {}, "")
    told = model.told("region", vector[None])
    worst = sorted(told.probabilities, key=told.probabilities.__getitem__)
    assert by_heads(model)(image, "region", (worst[0], worst[1])) == worst[1]


def test_a_volume_of_even_voxels_is_its_own_pairs(tmp_path: Path) -> None:
    data = np.random.default_rng(0).random((24, 28, 32)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "even.nii.gz")
    nibabel.save(nibabel.Nifti1Image(data, np.diag([1.0, 1, 5, 1])), tmp_path / "thick.nii.gz")
    even, thick = read_study([tmp_path / "even.nii.gz", tmp_path / "thick.nii.gz"], Limits())
    shapes = {plane: picture.pixels.shape for plane, picture in planes_of(even)}
    assert shapes == {"axial": (1, 28, 24), "coronal": (1, 32, 24), "sagittal": (1, 32, 28)}
    assert planes_of(thick) == []


def test_the_self_test_asks_heads_and_outside_model_by_a_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        pixels = (rng.random((64, 64)) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    table = tmp_path / "truth.csv"
    table.write_text("image,modality,plane\nx/a.png,CT of the head,axial\nb.png,MRI,axial\n")
    truths = read_image_truths(table, Limits())
    task = ReportTask(ReportOptions(volumes=False), reader=Talker("CT", "an MR image"))
    rows = {r.test: r for r in self_test(task, [tmp_path / "a.png", tmp_path / "b.png"], truths)}
    assert rows["confusable pairs: modality"].n == 1
    assert "chance 0.25" in rows["confusable pairs: modality"].note
    asked = rows["confusable pairs: modality, talker"]
    assert (asked.n, asked.passed) == (1, 0)
    assert "same answer to both" in asked.note
    assert rows["confusable pairs: plane"].n == 0
    with pytest.raises(InputError, match="names none of the images"):
        self_test(task, [tmp_path / "a.png"], {"z.png": {"plane": "axial"}})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file,plane\na.png,axial\n", "needs the column 'image'"),
        ("image,age\na.png,50\n", "needs the column 'image'"),
        ("image,plane\na.png,axial\nb/a.png,axial\n", "a second time"),
        ("", "empty"),
    ],
)
def test_a_table_of_truths_that_can_not_be_used(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_image_truths(path, Limits())
