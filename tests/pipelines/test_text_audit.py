"""Where a text and the volumes that were found disagree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.pipelines.requested import read_request

INDEX = {label.name: label.index for label in (BRAIN, *BRAIN_LABELS)}
USUAL = dict.fromkeys(INDEX.values(), 5.0)


def audit(text: str, **volumes: float) -> dict:
    """Audit with 5 mL for each structure that isn't named (``left_hippocampus=0``)."""
    changed = {INDEX[name.replace("_", " ")]: ml for name, ml in volumes.items()}
    return read_request(text, Limits()).audit(USUAL | changed)


def kinds(result: dict) -> list[tuple[str, str]]:
    return [(d["kind"], d["structure"]) for d in result["disagreements"]]


def test_agreement_is_silent() -> None:
    result = audit("FINDINGS: The left hippocampus is small. The thalami are normal.")
    assert kinds(result) == []
    assert result["asked"] == ["left hippocampus"]
    assert [s["name"] for s in result["segmented"]] == ["left hippocampus"]
    json.dumps(result, allow_nan=False)


def test_said_absent_and_found() -> None:
    result = audit("FINDINGS: The left amygdala is surgically absent.")
    assert kinds(result) == [("said absent, found", "left amygdala")]
    assert result["disagreements"][0]["message"] == "left amygdala: said absent, found 5.0 mL"
    assert result["said_absent"] == ["left amygdala"]


def test_said_absent_and_not_found_is_agreement() -> None:
    result = audit("FINDINGS: The left amygdala is surgically absent.", left_amygdala=0.02)
    assert kinds(result) == []


def test_said_left_found_right() -> None:
    result = audit("left hippocampus", left_hippocampus=0.0)
    assert kinds(result) == [("said left, found right", "left hippocampus")]
    assert "found only on the right (5.0 mL)" in result["disagreements"][0]["message"]


def test_said_present_found_nowhere() -> None:
    result = audit("both hippocampi", left_hippocampus=0.0, right_hippocampus=0.0)
    assert kinds(result) == [
        ("said present, not found", "left hippocampus"),
        ("said present, not found", "right hippocampus"),
    ]


@pytest.mark.parametrize(("stated", "differs"), [("5.2", False), ("2.1", True), ("9", True)])
def test_stated_volumes(stated: str, differs: bool) -> None:
    result = audit(f"FINDINGS: The left hippocampus is enlarged and measures {stated} mL.")
    assert bool(result["disagreements"]) == differs


@pytest.mark.parametrize(("left", "right", "differs"), [(3, 5, False), (5, 3, True), (5, 5, False)])
def test_stated_sides(left: float, right: float, differs: bool) -> None:
    text = "FINDINGS: The left hippocampus is smaller than the right."
    result = audit(text, left_hippocampus=left, right_hippocampus=right)
    assert bool(result["disagreements"]) == differs


def test_history_does_not_disagree() -> None:
    result = audit("HISTORY: Left amygdala resected.\nFINDINGS: The left hippocampus is bright.")
    assert kinds(result) == []
    ignored = [i for s in result["sentences"] for i in s["ignored"]]
    assert "history" in ignored[0]["why"]


def test_what_the_model_does_not_know_is_named() -> None:
    result = audit("FINDINGS: The left hippocampus and the pineal gland are bright.")
    assert result["unknown"] == ["pineal gland"]
    assert result["asked"] == ["left hippocampus"]


def test_a_misspelling_gets_a_suggestion() -> None:
    result = audit("left hipocampus and right putamen")
    assert result["suggestions"] == {"hipocampus": "hippocampus"}


def test_yardsticks_are_ignored_with_the_reason() -> None:
    result = audit("FINDINGS: The left putamen is isointense to gray matter.")
    assert result["asked"] == ["left putamen"]
    (ignored,) = result["sentences"][0]["ignored"]
    assert ignored["why"] == "named for comparison only ('isointense to')"


def test_words_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "report.txt").write_text("left hippocampus", "utf-8-sig")
    from_file = read_request(str(tmp_path / "report.txt"), Limits())
    assert from_file.indices == read_request("left hippocampus", Limits()).indices
    with pytest.raises(InputError, match="no such text file"):
        read_request(str(tmp_path / "gone.txt"), Limits())
    with pytest.raises(InputError, match="empty"):
        read_request("  \n ", Limits())
    with pytest.raises(InputError, match="nothing that the model knows"):
        read_request("the liver", Limits())
    (tmp_path / "bytes.txt").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    with pytest.raises(InputError):
        read_request(str(tmp_path / "bytes.txt"), Limits())
