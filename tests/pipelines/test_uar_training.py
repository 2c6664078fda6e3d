"""The text generator trained on made images, read again, and at work in a report."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file
from safetensors.torch import load_file
from typer.testing import CliRunner

from mmtool.cli.main import app
from mmtool.errors import InputError, ModelError
from mmtool.io.limits import Limits
from mmtool.models.card import check_card
from mmtool.models.report.uar import UarSize
from mmtool.models.report.uar_writer import load_writer
from mmtool.pipelines.report import ReportOptions, ReportTask
from mmtool.pipelines.report_generator import load_generator, vetted
from mmtool.pipelines.training.report_card import ReportTraining
from mmtool.pipelines.training.report_data import Labelled
from mmtool.pipelines.training.uar import captioned, strangers_of, train_uar_model
from mmtool.pipelines.training.uar_fit import Pairs, Trained, UarFit, train_uar
from mmtool.reports import Finding
from mmtool.retrieval import Picture
from mmtool.studies import Gate, Said

CT = get_testdata_file("CT_small.dcm")
COLUMNS = "image case_id split modality plane location_category caption".split()
TEXTS = ("Bars run across the image.", "Bars run along the picture.")
FIT = UarFit(epochs=(16, 1), rates=(8e-3, 5e-4), sizes=(32, 1, 1))
CPU = torch.device("cpu")


def bars(kind: int, draw: np.random.Generator) -> np.ndarray:
    pixels = draw.integers(0, 40, (64, 64), dtype=np.uint8)
    (pixels[::8] if kind == 0 else pixels[:, ::8])[...] = 220
    return pixels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars across or along, of 64 cases; one drawing, and one of the development part."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "medpix2"
    (folder / "images").mkdir(parents=True)
    draw = np.random.default_rng(0)
    rows = []
    for k in range(64):
        Image.fromarray(bars(k % 2, draw)).save(folder / "images" / f"{k}.png")
        split = "dev" if k == 63 else "train"
        rows.append((f"{k}.png", f"c{k}", split, "CT", "Axial", "Head", TEXTS[k % 2]))
    rows.append(("x.png", "x", "train", "Drawing", "Drawing", "Head", "A drawing."))
    placeholder = "Replace this - DESCRIPTION OF THE IMAGE OR FINDINGS."
    rows.append(("y.png", "y", "train", "CT", "Axial", "Head", placeholder))
    with (folder / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return root


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ReportTraining(data, "", tmp_path_factory.mktemp("run"), "bars")
    return train_uar_model(options, FIT, Limits(), lambda _: None, CPU)


def test_only_training_images_of_known_kinds_are_learned_from(data: Path, tmp_path: Path) -> None:
    assert {image.path.name for image in captioned(data)} == {f"{k}.png" for k in range(63)}
    (tmp_path / "medpix2").mkdir()
    (tmp_path / "medpix2" / "images.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(InputError):
        captioned(tmp_path)


def test_images_of_a_case_or_of_a_caption_are_no_strangers() -> None:
    images = [
        Labelled(Path("x"), case, "train", {}, caption)
        for case, caption in (("a", "one"), ("a", "two"), ("b", "two"), ("c", "three"))
    ]
    first, second, third, fourth = strangers_of(images)
    assert first == second == third != fourth


def test_it_learns_to_tell_bars_apart_and_its_card_is_valid(model: Path) -> None:
    writer, files = load_writer(str(model))
    check_card(files.card, "the card")
    draw = np.random.default_rng(5)
    pictures = [Picture(bars(k % 2, draw)[None].astype(np.float32) / 255) for k in range(6)]
    said = writer.write(pictures)
    assert said == [TEXTS[k % 2] for k in range(6)]
    assert said == [writer.write([picture])[0] for picture in pictures]
    assert writer.write([]) == []
    assert abs(float(writer.net.aligner.penalty().detach())) < 0.1
    assert all(v.dtype == torch.float16 for v in load_file(model / "model.safetensors").values())


@pytest.mark.parametrize("last", ["stage 1, epoch 2", "stage 2, epoch 2"])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path, last: str) -> None:
    size = UarSize(9, 6, patches=4, most=6, dim=8, heads=2, shared=1, written=1, basis=4)
    fit = UarFit(epochs=(3, 2))
    draw = torch.Generator().manual_seed(0)
    codes = torch.randint(6, (2, 40, 4, 2), generator=draw)
    pairs = Pairs(codes, torch.randint(4, 9, (40, 6), generator=draw), torch.arange(40))

    def trained(name: str, tell: Callable[[str], object]) -> Trained:
        return train_uar(size, pairs, pairs, fit, tmp_path / name, device=CPU, tell=tell)

    def stop(line: str) -> None:
        if line.startswith(last):
            raise KeyboardInterrupt

    told: list[str] = []
    whole = trained("whole", told.append)
    with pytest.raises(KeyboardInterrupt):
        trained("cut", stop)
    again = trained("cut", told.append)
    assert told[5].startswith("goes on after")
    assert again.curve == whole.curve
    one, two = whole.net.state_dict(), again.net.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_report_shows_its_words_apart_and_says_what_they_are(model: Path) -> None:
    task = ReportTask(ReportOptions(volumes=False), generator=load_generator(str(model)))
    plain, _ = ReportTask(ReportOptions(volumes=False)).report([Path(CT)], task.options)
    report, _ = task.report([Path(CT)], task.options)
    image = report.study.images[0]
    assert bool(image.generated) == image.gate.known
    assert report.findings == plain.findings
    assert report.impression == plain.impression
    assert report.provenance.models[-1].task == "report-text"
    assert any("rest on no evidence" in s for s in report.provenance.statements)
    assert not any("rest on no evidence" in s for s in plain.provenance.statements)


def test_sentences_that_contradict_what_is_known_are_left_out() -> None:
    said = Said("CT", "header")
    gate = Gate(said, Said("axial", "header"), Said("head", "model", 0.9), known=True)
    effusion = Finding("f1", "mass", "present", "A mass.", "x", laterality="right")
    words = "Axial CT of the head. A left mass. There is a pleural effusion. Sagittal CT."
    kept, left = vetted(words, gate, [effusion], ("mass",))
    assert kept == "Axial CT of the head."
    assert [c.about for c in left] == ["mass, side", "pleural effusion", "plane"]
    assert all(c.reason for c in left)
    assert vetted("A mass here", gate, [], ()) == ("A mass here", ())
    assert vetted("Sagittal MRI.", Gate(), [], ()) == ("Sagittal MRI.", ())  # nothing is known


def test_words_of_a_report_are_vetted(model: Path) -> None:
    generator = replace(load_generator(str(model)), write=lambda _: ["Ultrasound. Bars."])
    task = ReportTask(ReportOptions(volumes=False), generator=generator)
    image = task.report([Path(CT)], task.options)[0].study.images[0]
    assert image.gate.known
    assert image.generated == "Bars."
    assert image.contradicted[0].about == "modality"


def test_what_the_gate_refuses_has_no_words(model: Path, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(blank)
    arguments = ["report", str(blank), "--text-model", str(model), "--format", "txt"]
    result = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "out")])
    assert result.exit_code == 0
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["study"]["images"][0]["generated"] == ""
    assert "GENERATED TEXT" not in (tmp_path / "out" / "report.txt").read_text()


def test_heads_are_no_generator_and_a_generator_has_no_heads(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no report-text model"):
        load_generator("default")
    with pytest.raises(ModelError, match="is for 'report-text'"):
        ReportTask(ReportOptions(model=str(model))).load()
