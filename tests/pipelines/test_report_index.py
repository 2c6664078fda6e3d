"""``mmtool report --retrieve``: cases of a real index, with what must not be evidence left out."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from mmtool.cli.main import app
from mmtool.errors import InputError, ModelError
from mmtool.io.limits import Limits
from mmtool.io.writers.report_json import schema_text
from mmtool.models.encoders.histogram_gradients import HistogramGradients
from mmtool.pipelines.report_cases import support_of, votes_of
from mmtool.pipelines.report_images import read_study
from mmtool.pipelines.report_index import IndexCases

CT = get_testdata_file("CT_small.dcm")
WORDS = ("A mass in the liver.", "No mass is seen.", "Cyst of the kidney.", "Noise.")


def near(path: Path, spread: float, seed: int) -> Path:
    """The CT picture as a PNG, with noise of the given spread."""
    (seen,) = read_study([Path(CT)], Limits())
    noise = np.random.default_rng(seed).normal(0, spread, seen.picture.pixels[0].shape)
    pixels = (seen.picture.pixels[0] + noise).clip(0, 1) * 255
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures, less and less like the CT, and a copy of the CT itself."""
    folder = tmp_path_factory.mktemp("cases")
    shutil.copy(CT, folder / "own.dcm")
    rows = [("own.dcm", "A fracture.", "q")]
    for i, (spread, words) in enumerate(zip((0.01, 0.012, 0.014, 0.8), WORDS, strict=True)):
        name = near(folder / f"{i}.png", spread, i).name
        rows.append((name, words, f"case {i}"))
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "caption", "case_id"), *rows])
    out = folder / "cases.mmidx"
    arguments = ["index", "--table", str(folder / "table.csv"), "--model", "hog", "-o", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    return out


def test_the_most_alike_are_found_and_never_the_file_itself(index: Path) -> None:
    (seen,) = read_study([Path(CT)], Limits())
    cases = IndexCases(index)
    with_own = cases.nearest(seen.picture, 8)
    assert with_own[0].item.source.text == "A fracture."
    found = cases.nearest(seen.picture, 8, {seen.sha256})
    assert [h.item.source.text for h in found] == list(WORDS[:3])  # noise is far, so left out
    assert [h.rank for h in found] == [1, 2, 3]
    assert found[0].score > found[2].score > 0.5
    assert len(cases.nearest(seen.picture, 1, {seen.sha256})) == 1


def test_what_a_case_denies_is_no_support(index: Path) -> None:
    (seen,) = read_study([Path(CT)], Limits())
    found = IndexCases(index).nearest(seen.picture, 8, {seen.sha256})
    assert [s.quote for s in support_of(found)["mass"]] == ["A mass in the liver."]
    belief = votes_of(found)["mass"].belief[0]
    assert belief[0] == pytest.approx(belief[1], rel=0.05)  # one says so, one denies it


def test_the_cases_are_in_every_view(index: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["report", CT, "--retrieve", str(index), "-o", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    truth = json.loads((out / "report.json").read_text())
    jsonschema.validate(truth, json.loads(schema_text()))
    assert truth["provenance"]["index"] == "cases.mmidx"
    first = truth["similar"][0]
    assert (first["quote"], len(first["sha256"])) == (WORDS[0], 64)
    assert all("fracture" not in s["quote"] for s in truth["similar"])
    for name in ("report.txt", "report.html"):
        text = (out / name).read_text()
        assert "cases.mmidx" in text
        assert f"{first['score']:.2f}" in text
        assert WORDS[0] in text


def test_another_encoder_is_refused(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HistogramGradients, "sha256", "0" * 64)
    with pytest.raises(ModelError, match="can't be compared"):
        IndexCases(index)


def test_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        IndexCases(tmp_path)


def test_its_state_changes_with_its_items(index: Path, tmp_path: Path) -> None:
    before = IndexCases(index).state()
    assert IndexCases(index).state() == before
    own = tmp_path / "other.mmidx"
    picture = near(tmp_path / "x.png", 0.1, 9)
    arguments = ["index", str(picture), "--model", "hog", "-o", str(own)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert IndexCases(own).state() != before
