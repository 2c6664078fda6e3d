"""The command ``mmtool evaluate report`` from end to end, on a small made folder of data."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from mmtool.cli.main import app
from mmtool.errors import MMToolError

Mmtool = Callable[..., "subprocess.CompletedProcess[str]"]
COLUMNS = ("image", "case_id", "split", "modality", "plane", "location_category", "caption")
KINDS = (("CT - noncontrast", "Axial", "Thorax"), ("MR - T2 weighted", "Sagittal", "Head"))
METHODS = {
    "planned sentences", "caption of the nearest training image", "most frequent caption",
    "caption by the history of the case (TF-IDF)",
}  # fmt: skip


def made_rows() -> list[tuple[str, ...]]:
    """Three cases of each kind, two images each; the last case of each is held out."""
    rows = []
    for case in range(6):
        kind = KINDS[case % 2]
        split = "train" if case < 4 else "dev"
        for n in range(2):
            caption = f"{kind[0][:2]} of case {case % 2} shows a mass. No edema."
            rows.append((f"c{case}_{n}.png", f"c{case}", split, *kind, caption))
    return rows


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the real one, with all its parts."""
    data = tmp_path_factory.mktemp("data")
    medpix = data / "medpix2"
    (medpix / "images").mkdir(parents=True)
    rows = made_rows()
    with (medpix / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    rng = np.random.default_rng(0)
    for row in rows:
        soft = ndimage.gaussian_filter(rng.random((48, 48)), 3)
        scaled = (soft - soft.min()) / np.ptp(soft) * 255
        Image.fromarray(scaled.astype(np.uint8)).save(medpix / "images" / row[0])
    cases = [{"images": [r[0]], "history": f"pain {r[1]}"} for r in rows]
    (medpix / "cases.jsonl").write_text("\n".join(json.dumps(c) for c in cases))
    lines(data / "vqa_rad/vqa_rad.jsonl.gz", [
        {"question": "Is this a CT?", "answer": "Yes", "local_image": "medpix2/images/c4_0.png"},
        {"question": "Is there a mass?", "answer": "No", "local_image": None},
    ])  # fmt: skip
    lines(data / "openi_reports/reports.jsonl.gz", [
        {"findings": "Small effusion.", "impression": "", "mesh_major": ["Pleural Effusion/left"]},
    ])  # fmt: skip
    return data


def lines(path: Path, rows: list[dict[str, object]]) -> None:
    """Gzipped JSON lines."""
    path.parent.mkdir()
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_scores_are_printed_and_left_behind(made: Path, tmp_path: Path, mmtool: Mmtool) -> None:
    out = tmp_path / "scores"
    done = mmtool("evaluate", "report", "--data", made, "-o", out, "--seed", "3")
    assert done.returncode == 0, done.stderr
    table = [line.split("\t") for line in done.stdout.splitlines()]
    assert table[0] == ["method", "metric", "value", "low", "high", "n"]
    assert all(len(row) == 6 for row in table)
    assert "4 images with captions are scored" in done.stderr
    assert "Traceback" not in done.stderr

    vectors = [p.name for p in out.glob("vectors-*.npy")]
    assert {p.name for p in out.iterdir()} == {"metrics.tsv", "metrics.json", *vectors}
    assert (out / "metrics.tsv").read_text().splitlines() == done.stdout.splitlines()
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"labeller", "averaging", "normalisation", "split", "ids", "seed", "rows"} == set(
        metrics
    )
    assert metrics["seed"] == 3
    assert metrics["ids"] == ["c4_0.png", "c4_1.png", "c5_0.png", "c5_1.png"]

    rows = {(r["method"], r["metric"]): r for r in metrics["rows"]}
    assert {method for method, metric in rows if metric == "ROUGE-L"} == METHODS
    frequent = rows["most frequent caption", "BLEU-1"]
    assert 0 < frequent["low"] <= frequent["value"] <= frequent["high"] <= 1
    assert rows["pairs that look alike", "modality: both right (chance 0.25)"]["n"] > 0
    assert rows["labeller against MeSH headings", "F1, all"]["value"] == 1
    asked = next(r for (m, k), r in rows.items() if m.startswith("VQA-RAD") and k == "exact match")
    assert asked["n"] == 1
    assert any(method.startswith("maps by") for method, _ in rows)


def changed(made: Path, folder: Path, change: Callable[[Path], object]) -> Path:
    """A copy of the made folder with something wrong in it."""
    shutil.copytree(made, folder)
    change(folder)
    return folder


def table(edit: Callable[[str], str]) -> Callable[[Path], object]:
    """Edit the table of images."""

    def change(folder: Path) -> None:
        path = folder / "medpix2/images.csv"
        path.write_text(edit(path.read_text()))

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: shutil.rmtree(f / "medpix2"), "images.csv"),
        (table(lambda t: t.replace("location_category", "where")), "location_category"),
        (table(lambda t: t.replace(",dev,", ",train,")), "no development image"),
        (table(lambda t: t.replace(",train,", ",dev,")), "no training image"),
        (lambda f: (f / "medpix2/images/c0_0.png").unlink(), "c0_0.png"),
        (lambda f: (f / "medpix2/images/c0_0.png").write_text("no picture"), "c0_0.png"),
        (lambda f: (f / "vqa_rad/vqa_rad.jsonl.gz").write_text("no gzip"), "vqa_rad.jsonl.gz"),
        (lambda f: (f / "openi_reports/reports.jsonl.gz").write_text("{"), "reports.jsonl.gz"),
        (lambda f: (f / "medpix2/cases.jsonl").write_text("{"), "cases.jsonl"),
    ],
)
def test_data_that_can_not_be_used(
    made: Path, tmp_path: Path, change: Callable[[Path], object], problem: str
) -> None:
    data, out = changed(made, tmp_path / "data", change), tmp_path / "scores"
    error = failure("--data", data, "-o", out)
    assert (error.exit_code, problem in error.message) == (3, True), error.message
    assert "\n" not in error.message
    assert error.hint
    assert not (out / "metrics.tsv").exists()


def test_wrong_usage(made: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    assert failure("--data", made, "-o", tmp_path).exit_code == 2
    assert failure("--data", made, "-o", tmp_path / "kept.txt").exit_code == 2
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]
    unknown = failure("--data", made, "-o", tmp_path / "out", "--model", "unheard-of")
    assert unknown.exit_code == 4


def failure(*arguments: object) -> MMToolError:
    """The error that the command ends with."""
    result = CliRunner().invoke(app, ["evaluate", "report", *map(str, arguments)])
    assert isinstance(result.exception, MMToolError), result.output
    assert result.stdout == ""
    return result.exception
