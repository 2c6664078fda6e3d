"""Training, saving and reading the heads; heat maps that point at what decides; the self-test."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mmtool.errors import ModelError
from mmtool.io.limits import Limits
from mmtool.models.card import check_card
from mmtool.models.encoders.histogram_gradients import HistogramGradients
from mmtool.models.report.head import Head
from mmtool.models.report.model import INSIDE, KNOWN, Reference, ReportModel, Thresholds
from mmtool.models.store import resolve_model
from mmtool.pipelines.report import ReportOptions, ReportTask
from mmtool.pipelines.report_encoder import check_encoder, load_encoder
from mmtool.pipelines.report_findings import findings_of
from mmtool.pipelines.report_gate import Look
from mmtool.pipelines.report_heat import hide
from mmtool.pipelines.report_images import Seen
from mmtool.pipelines.report_selftest import self_test
from mmtool.pipelines.report_strangers import STRANGERS, stranger
from mmtool.pipelines.training.leaked import LEAKED
from mmtool.pipelines.training.report import train_report
from mmtool.pipelines.training.report_card import ReportTraining
from mmtool.pipelines.training.report_data import finding_labels, labelled_images
from mmtool.pipelines.training.report_fit import auc_within, joined
from mmtool.retrieval import Encoded, Picture
from mmtool.studies import Gate, Said


class Corners:
    """An encoder whose vector is the mean grey of the four quarters."""

    name, sha256, dim = "corners", "0" * 64, 4
    kinds = frozenset({"image"})
    preprocessing = {"quarters": 4}  # noqa: RUF012

    def encode_pictures(self, pictures: list[Picture]) -> Encoded:
        rows = [self._quarters(p.pixels[0]) for p in pictures]
        vectors = np.array(rows, np.float32) + 1e-3
        return Encoded(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    @staticmethod
    def _quarters(plane: NDArray[np.float32]) -> list[float]:
        h, w = (n // 2 for n in plane.shape[:2])
        return [
            float(q.mean()) for q in (plane[:h, :w], plane[:h, w:], plane[h:, :w], plane[h:, w:])
        ]


def made_model() -> ReportModel:
    """A mass is what is bright in the quarter at the top left."""
    weight = np.array([[-6, 2, 2, 2], [6, -2, -2, -2]], np.float32)
    heads = {"mass": Head("mass", ("absent", "present"), weight, np.zeros(2, np.float32))}
    reference = Reference(np.eye(4, dtype=np.float32), {})
    return ReportModel(
        heads, {"mass": (0.5, 0.6)}, reference, Thresholds(0, 0, 1), 10.0, 2.0, frozenset(), {}
    )


def bright_corner() -> Picture:
    pixels = np.full((1, 64, 64), 0.1, np.float32)
    pixels[0, 8:24, 8:24] = 1
    return Picture(pixels)


def test_a_heat_map_points_at_what_decides() -> None:
    model, encoder, picture = made_model(), Corners(), bright_corner()
    vectors = encoder.encode_pictures([picture]).vectors
    look = Look(Seen(1, "a.png", "", "image", picture), [(0, picture)], vectors)
    gate = Gate(Said("CT"), Said("axial"), Said("head"), known=True)
    (found,), heats = findings_of(look, gate, model, encoder, first=1, votes={}, support={})  # type: ignore[arg-type]
    assert (found.text, found.presence, found.evidence[0].path) == (
        "mass", "present", "evidence/f1.png",
    )  # fmt: skip
    heat = heats["f1"]
    assert heat.agreement > 0
    hot = np.unravel_index(heat.grid.argmax(), heat.grid.shape)
    assert max(hot) < 3
    silent = replace(gate, known=False)
    assert findings_of(look, silent, model, encoder, first=1, votes={}, support={}) == ([], {})  # type: ignore[arg-type]
    xray = replace(gate, modality=Said("US"))
    assert findings_of(look, xray, model, encoder, first=1, votes={}, support={}) == ([], {})  # type: ignore[arg-type]


def test_hiding_all_fields_leaves_the_mean() -> None:
    picture = bright_corner()
    fields = [(i, j) for i in range(8) for j in range(8)]
    assert hide(picture, fields).pixels == pytest.approx(picture.pixels.mean(), abs=1e-6)


def test_auc_compares_only_images_of_the_same_kind() -> None:
    score = np.array([0.9, 0.8, 0.2, 0.1])
    truth = np.array([True, True, False, False])
    apart = auc_within(score, truth, np.array(["a", "a", "b", "b"]), np.arange(4), 0)
    assert np.isnan(apart[0])
    same = auc_within(score, truth, np.array(["a"] * 4), np.arange(4), 0)
    assert same[0] == 1


def test_labels_are_of_admissible_findings_only() -> None:
    labels = finding_labels("Left effusion, possible mass.", "CT", "chest")
    assert labels["pleural effusion"] == "present"
    assert labels["mass"] == ""
    assert labels["nodule"] == "absent"
    assert "hydrocephalus" not in labels


def test_cases_with_nearly_the_same_image_are_one_case() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 1, 1, 2, 3, 0]]
    found = joined(np.array([7, 7, 4, 4, 5, 9]), vectors)
    assert len(set(found[[0, 1, 2, 3, 5]].tolist())) == 1  # 7 and 4 by a copy, 7 and 9 by another
    assert found[4] != found[0]
    apart = joined(np.array([3, 3, 8, 1]), np.eye(4, dtype=np.float32))
    assert len(set(apart.tolist())) == 3


def test_an_image_of_the_test_part_is_not_read(tmp_path: Path) -> None:
    teaching_set(tmp_path)
    table = tmp_path / "medpix2/images.csv"
    (leaked,) = LEAKED
    table.write_text(table.read_text().replace("i7.png", leaked))
    names = {image.path.name for image in labelled_images(tmp_path)}
    assert len(names) == 179
    assert leaked not in names


def teaching_set(folder: Path) -> None:
    """Sixty images of each of three kinds, told apart by where they are bright."""
    images = folder / "medpix2/images"
    images.mkdir(parents=True)
    kinds = (
        ("CT w/contrast (IV)", "Axial", "Head"),
        ("MR - T2 weighted", "Coronal", "Thorax"),
        ("MR - T1W - noncontrast", "Sagittal", "Abdomen"),
    )
    rng = np.random.default_rng(0)
    rows = []
    for n in range(180):
        kind = n % 3
        pixels = rng.integers(0, 60, (96, 96)).astype(np.uint8)
        turn = [pixels, pixels.T, pixels][kind]
        turn[20:76:8, 10:86] = 220 if kind != 1 else 90
        turn[10:86, 20 + 20 * kind : 30 + 20 * kind] = 240
        Image.fromarray(turn).save(images / f"i{n}.png")
        modality, plane, region = kinds[kind]
        rows.append(
            {"image": f"i{n}.png", "case_id": f"c{n}", "split": "dev" if n % 5 == 0 else "train",
             "modality": modality, "plane": plane, "location_category": region,
             "caption": "Mass." if rng.random() < 0.5 else "Normal."}
        )  # fmt: skip
    with (folder / "medpix2/images.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    teaching_set(folder)
    options = ReportTraining(folder, "hog", folder / "run", "made", 0)
    return train_report(options, HistogramGradients(), Limits(), lambda line: None)


def test_training_writes_a_model_that_reads_images(trained: Path) -> None:
    files = resolve_model("report", str(trained))
    check_card(files.card, "card")
    assert files.config["cuts"] == {}  # a mass that is drawn by lot can't be known
    scores = {m["name"]: m["value"] for m in files.card["metrics"]}
    assert scores["modality: accuracy"] > 0.9
    task = ReportTask(ReportOptions(model=str(trained)))
    image = trained.parents[1] / "medpix2/images/i0.png"
    report, _ = task.report([image], task.options)
    assert report.study.images[0].gate.modality.value in ("CT", "")
    measures = json.loads((trained.parent / "measures.json").read_text())
    assert measures["coverage_accuracy"]["modality"][0][0] == 1.0


def test_another_encoder_is_refused() -> None:
    with pytest.raises(ModelError, match="another sha256"):
        check_encoder(HistogramGradients(), {"name": "joint", "sha256": "1" * 64})


@pytest.mark.parametrize("name", ["hog", "blocks", "blocks-filters"])
def test_the_encoder_gives_the_same_alone_and_together(name: str) -> None:
    pictures = [stranger(kind, 1) for kind in ("clouds", "page", "scene")]
    encoder = load_encoder(name)
    together = encoder.encode_pictures(pictures).vectors
    alone = np.concatenate([encoder.encode_pictures([p]).vectors for p in pictures])
    assert together == pytest.approx(alone, abs=1e-6)
    assert together.shape == (3, encoder.dim)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1)


def test_the_shipped_model_is_silent_on_what_it_does_not_know() -> None:
    task = ReportTask(ReportOptions(volumes=False))
    rows = {row.test: row for row in self_test(task, [], {})}
    assert rows["blank image"].passed == rows["blank image"].n == 3
    made = [row for name, row in rows.items() if name.startswith("made")]
    assert len(made) == len(STRANGERS)
    assert sum(r.passed for r in made) >= 0.9 * sum(r.n for r in made)
    assert task.loaded()[0].heads[INSIDE].classes.index(KNOWN) >= 0
