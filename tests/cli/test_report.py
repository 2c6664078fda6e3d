"""The command ``mmtool report``: exit codes, one study of several images, the self-test."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from mmtool.cli.main import app

CT, MR = get_testdata_file("CT_small.dcm"), get_testdata_file("MR_small.dcm")


def test_one_image_and_a_batch(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["report", CT, "-o", str(out), "--json", "--format", "txt"])
    assert result.exit_code == 0
    assert {p.name for p in out.iterdir()} >= {"report.json", "report.txt", "run.json"}
    assert not (out / "report.html").exists()
    result = CliRunner().invoke(
        app, ["report", CT, str(tmp_path / "absent.png"), "-o", str(tmp_path / "batch")]
    )
    assert result.exit_code == 6
    assert (tmp_path / "batch" / "failures.tsv").is_file()


def test_two_patients_are_no_study(tmp_path: Path) -> None:
    arguments = ["report", CT, MR, "--study", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exception is not None
    assert getattr(result.exception, "exit_code", None) == 3
    data = pydicom.dcmread(MR)
    data.PatientID = pydicom.dcmread(CT).PatientID
    data.save_as(tmp_path / "mr.dcm")
    arguments = ["report", CT, str(tmp_path / "mr.dcm"), "--study", "-o", str(tmp_path / "out")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [i["number"] for i in found["study"]["images"]] == [1, 2]
    sr = pydicom.dcmread(tmp_path / "out" / "report_sr.dcm")
    named = {e.value for e in sr.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
    assert {pydicom.dcmread(p).SOPInstanceUID for p in (CT, MR)} <= named


def test_an_unknown_format_is_wrong_usage(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", CT, "--format", "docx", "-o", str(tmp_path / "o")])
    assert getattr(result.exception, "exit_code", None) == 2


def test_the_self_test_prints_a_table() -> None:
    result = CliRunner().invoke(app, ["report", "--self-test", CT])
    lines = result.stdout.splitlines()
    assert lines[0].split("\t") == ["test", "n", "passed", "share", "note"]
    rows = {line.split("\t")[0]: line.split("\t")[3] for line in lines[1:]}
    assert rows["header of another modality (US)"] == "1.000"
    assert rows["burned-in marks"] == "1.000"
