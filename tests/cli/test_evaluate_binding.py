"""``mmtool evaluate tcr-bind`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from binding_models import CMV, EBV, FLU, write_knn

BINDERS = (
    ("CASSIRSGYEQYF", FLU),
    ("CASSIRSTYEQYF", FLU),
    ("CASSYSTGTAYGYTF", CMV),
    ("CASSSANYGFTF", CMV),
    ("CSARDGTGNGYTF", EBV),
    ("CSARDRTGNGYTF", EBV),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_knn(tmp_path_factory.mktemp("models"))


@pytest.fixture
def binders(tmp_path: Path) -> Path:
    path = tmp_path / "binders.csv"
    path.write_text("cdr3b,epitope\n" + "".join(f"{c},{e}\n" for c, e in BINDERS))
    return path


def test_binders_alone_with_swapped_negatives(
    model: Path, binders: Path, tmp_path: Path, mmtool
) -> None:
    out = tmp_path / "scores"
    words = ["--data", binders, "--negatives", "swap", "--model", model, "-o", out]
    other = write_knn(tmp_path, k=1)
    done = mmtool("evaluate", "tcr-bind", *words, "--compare", other)
    assert done.returncode == 0, done.stderr
    header, *rows = (line.split("\t") for line in done.stdout.splitlines())
    lines = [dict(zip(header, row, strict=True)) for row in rows]
    first = lines[0]
    assert (first["source"], first["group"], first["positives"]) == (str(model), "all", "6")
    assert float(first["auc"]) > 0.7
    assert {x["group"] for x in lines} >= {"all", "pooled", "seen", "few"}
    assert any(x["source"] == f"{other} - {model}" for x in lines)
    assert "3 of 6 positives" in done.stderr or "2 of 6 positives" in done.stderr
    assert {p.name for p in out.iterdir()} == {
        "summary.tsv", "epitopes.tsv", "leaks.tsv", "summary.json"
    }  # fmt: skip
    leaks = (out / "leaks.tsv").read_text().splitlines()
    assert any(CMV in line and "same_receptor" in line for line in leaks)
    again = mmtool("evaluate", "tcr-bind", *words)
    assert again.returncode == 2
    assert "not empty" in again.stderr


def test_controls_and_json(model: Path, binders: Path, tmp_path: Path, mmtool) -> None:
    controls = tmp_path / "controls.tsv"
    controls.write_text("cdr3b\nCASSLAPGATNEKLFF\nCASSQDRGTEAFF\n")
    words = ["--data", binders, "--controls", controls, "--model", model, "--json", "-q"]
    done = mmtool("evaluate", "tcr-bind", *words)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["summary"][0]["negatives"] == 6
    assert found["leaks"][str(model)]["same_receptor"]["positive"] >= 2


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        ([], 2, "no negatives to score"),
        (["--negatives", "random"], 2, "the one way is swap"),
        (["--label-column", "cdr3b"], 3, "row 1: label 'CASSIRSGYEQYF'"),
        (["--label-column", "none"], 3, "'none' is not there"),
    ],
)
def test_what_cannot_be_measured_is_told_in_a_line(
    more: list[str], code: int, told: str, model: Path, binders: Path, mmtool
) -> None:
    done = mmtool("evaluate", "tcr-bind", "--data", binders, "--model", model, *more)
    assert done.returncode == code
    assert told in done.stderr


def test_the_protocol_of_titan_fits_its_own_methods(binders: Path, tmp_path: Path, mmtool) -> None:
    letters = "ACDEFGHIKLMNPQRSTVWY"
    rows = [(f"CASS{a}{e}{b}YEQYF", e) for e in letters for a in "ASTN" for b in "GRPL"]
    table = tmp_path / "known.csv"
    table.write_text("cdr3b,epitope\n" + "".join(f"{s},{e}LAGIGILTV\n" for s, e in rows))
    words = ("evaluate", "tcr-bind", "--data", table, "--protocol", "titan")
    done = mmtool(*words, "--method", "prior", "-o", tmp_path / "folds")
    assert done.returncode == 0, done.stderr
    header, first, *_ = (line.split("\t") for line in done.stdout.splitlines())
    assert header[:4] == ["split", "negatives", "method", "folds"]
    assert first[2:4] == ["prior", "10"]
    assert "not the authors' own" in done.stderr
    refused = mmtool(*words, "--method", "magic")
    assert (refused.returncode, "kernel-ratio" in refused.stderr) == (2, True)
    assert mmtool(*words, "--compare", "knn").returncode == 2
    assert mmtool("evaluate", "tcr-bind", "--data", binders, "--source", "x").returncode == 2
