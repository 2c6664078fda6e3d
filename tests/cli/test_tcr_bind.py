"""``mmtool tcr-bind`` as a user meets it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from binding_models import CMV, FLU, write_knn, write_titan

TABLE = (
    "sequence_id\tv_call\tj_call\tjunction_aa\tepitope\n"
    f"a\tTRBV19\tTRBJ2-7\tCASSIRSSYEQYF\t{FLU}\n"
    f"b\tTRBV12-4\t\tCASSSANYGYTF\t{CMV}\n"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_knn(tmp_path_factory.mktemp("model"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "cells.tsv"
    path.write_text(TABLE)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_outputs_record_and_replay(mmtool, model: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = mmtool(
        "tcr-bind", table, "--epitope", FLU, "--epitope", CMV, "--model", model, "-o", out
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    names = "binding.tsv evidence.tsv epitopes.tsv run.json ro-crate-metadata.json"
    assert {p.name for p in out.iterdir()} == set(names.split())
    found = rows(out / "binding.tsv")
    assert [(r["sequence_id"], r["mmtool_epitope"]) for r in found] == [
        ("a", FLU),
        ("a", CMV),
        ("b", FLU),
        ("b", CMV),
    ]
    assert float(found[0]["mmtool_score"]) > 0 > float(found[1]["mmtool_score"])
    record = json.loads((out / "run.json").read_text())
    assert record["arguments"]["epitope"] == [FLU, CMV]
    assert record["summary"]["usable_rows"] == 2
    assert record["model"]["model"] == "knn"
    again = mmtool("tcr-bind", "--config", out / "run.json", "-o", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again/binding.tsv").read_bytes() == (out / "binding.tsv").read_bytes()
    skipped = mmtool(
        "tcr-bind",
        table,
        "--epitope",
        FLU,
        "--epitope",
        CMV,
        "--model",
        model,
        "-o",
        out,
        "--resume",
    )
    assert "there already" in skipped.stderr


def test_attention_and_uncertainty_of_a_network(
    mmtool, model: Path, table: Path, tmp_path: Path
) -> None:
    titan, out = write_titan(tmp_path), tmp_path / "out"
    args = ("tcr-bind", table, "--epitope", FLU, "--epitope", "AAAAAAAAA", "--attention")
    done = mmtool(*args, "--uncertainty", "--model", titan, "-o", out)
    assert done.returncode == 0, done.stderr
    weights = rows(out / "attention.tsv")
    assert {(r["row"], r["mmtool_epitope"]) for r in weights} == {("1", FLU), ("2", FLU)}
    junction = [r for r in weights if r["row"] == "1" and r["side"] == "receptor"]
    assert "".join(r["token"] for r in junction) == "CASSIRSSYEQYF"
    assert {r["region"] for r in junction} == {"CDR3"}
    atoms = [int(r["atom"]) for r in weights if r["row"] == "1" and r["atom"]]
    assert atoms == list(range(1, 70))  # GILGFVFTL is C49H75N9O11
    assert {p.name for p in (out / "attention").iterdir()} == {f"{FLU}.svg", f"{FLU}.png"}
    seen, unseen = rows(out / "binding.tsv")[:2]
    assert float(seen["mmtool_sd_dropout"]) > 0
    assert float(seen["mmtool_sd_spelling"]) > 0
    assert unseen["mmtool_status"] == "unseen: no evidence"
    assert unseen["mmtool_sd_dropout"] == unseen["mmtool_score"] == ""
    refused = mmtool(*args, "--model", model, "-o", tmp_path / "no")
    assert refused.returncode == 2
    assert "--attention: the model" in refused.stderr
    assert "--model titan" in refused.stderr
    assert not (tmp_path / "no").exists()


def test_pairs_of_the_table_stdin_and_json(
    mmtool, model: Path, table: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmtool.cli", "tcr-bind", "-", "--model", model, "--json", "--gzip"],
        input=TABLE,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (item,) = json.loads(done.stdout)["items"]
    assert item["summary"]["lines"] == {"seen": 1, "few": 1}
    assert "epitopes are those of column 'epitope'" in item["summary"]["notes"]
    assert (tmp_path / "stdin_tcr-bind/binding.tsv.gz").is_file()


def test_a_sheet_names_epitopes_for_each_table(
    mmtool, model: Path, table: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(
        f"input,id,epitope,epitope_column\ncells.tsv,x,{FLU};{CMV},\ncells.tsv,y,,epitope\n"
    )
    done = mmtool("tcr-bind", "--samplesheet", sheet, "--model", model, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "out/x/binding.tsv")) == 4
    assert len(rows(tmp_path / "out/y/binding.tsv")) == 2


def test_scan_reference_and_files_of_epitopes(
    mmtool, model: Path, table: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("cdr3b,epitope,pmid\nCASSIRSSYEQYF,AAAAAAAAA,PMID:7\n")
    args = ("--model", model, "--reference", mine, "--quiet")
    scan = mmtool("tcr-bind", table, "--scan", "--top", 1, *args, "-o", tmp_path / "scan")
    assert scan.returncode == 0, scan.stderr
    assert [r["sequence_id"] for r in rows(tmp_path / "scan/binding.tsv")] == ["a", "b"]
    fasta = tmp_path / "e.fasta"
    fasta.write_text(">own\nAAAAAAAAA\n")
    done = mmtool("tcr-bind", table, "--epitopes", fasta, *args, "-o", tmp_path / "own")
    assert done.returncode == 0, done.stderr
    first = rows(tmp_path / "own/binding.tsv")[0]
    assert (first["mmtool_nearest_reference"], first["mmtool_status"]) == ("PMID:7", "few 1")
    hla = mmtool("tcr-bind", table, "--hla", "B*08:01", *args, "-o", tmp_path / "hla")
    assert hla.returncode == 0, hla.stderr
    assert {r["mmtool_epitope"] for r in rows(tmp_path / "hla/binding.tsv")} == {"GLCTLVAML"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--epitope", "GILX"), 2, "'X' is no amino acid"),
        (("--epitope", "c1ccccc1"), 2, "no peptide"),
        (("--epitope", FLU, "--scan"), 2, "exclude each other"),
        (("--hla", "nonsense"), 2, "no human MHC allele"),
        (("--epitope-column", "none"), 3, "the column 'none' is not there"),
        (("--epitopes", "absent.fasta"), 3, "absent.fasta: can't be read"),
        (("--epitope", FLU, "--reference", "absent.csv"), 3, "absent.csv"),
        (("--epitope", FLU, "--model", "absent"), 4, "no tcr-bind model is named 'absent'"),
    ],
)
def test_what_is_asked_wrongly(
    mmtool, model: Path, table: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = mmtool("tcr-bind", table, "--model", model, *arguments, cwd=table.parent)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") <= 3
    assert "Traceback" not in done.stderr


def test_a_table_without_epitopes_and_a_folder(mmtool, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("cdr3b\nCASSIRSSYEQYF\n")
    done = mmtool("tcr-bind", path, "--model", model, "-o", tmp_path / "o")
    assert (done.returncode, "no epitope is given" in done.stderr) == (2, True)
    done = mmtool("tcr-bind", tmp_path, "--epitope", FLU, "--model", model, "-o", tmp_path / "o")
    assert (done.returncode, done.stderr.count("\n")) == (3, 3)  # FAILED, error, hint
    path.write_bytes(b"")
    done = mmtool("tcr-bind", path, "--epitope", FLU, "--model", model, "-o", tmp_path / "o")
    assert (done.returncode, "the file is empty" in done.stderr) == (3, True)


def test_nothing_heavy_is_imported_for_help() -> None:
    code = (
        "import sys, mmtool.cli.main; "
        "print([m for m in ('torch', 'numpy', 'rdkit', 'rapidfuzz', 'tidytcells', 'Bio') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
