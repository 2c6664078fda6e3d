"""``mmtool models`` and what ``mmtool doctor`` says of weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

METRIC = {"name": "Dice", "value": 0.8, "low": 0.7, "high": 0.9, "n": 4, "set": "x"}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models/segment/tiny"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (folder / "config.json").write_text("{}")
    names = ("model.safetensors", "config.json")
    hashes = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in names}
    card = {
        **dict.fromkeys(("summary", "licence", "intended_use", "limits"), "words"),
        **{"task": "segment", "name": "tiny", "version": "1", "use": "any", "sha256": hashes},
        "data": [dict.fromkeys(("name", "source", "licence", "use", "n"), "x")],
        "training": dict.fromkeys(("command", "seed", "seconds", "hardware", "iterations"), "x"),
        "metrics": [{**METRIC, "baseline": None}],
    }
    (folder / "card.json").write_text(json.dumps(card))
    return tmp_path / "models"


def test_list_show_verify(mmtool, models: Path) -> None:
    where = {"MMTOOL_MODELS": str(models)}
    rows = json.loads(mmtool("models", "list", "--json", **where).stdout)
    assert "tiny" in [r["name"] for r in rows]
    shown = mmtool("models", "show", "tiny", **where)
    assert shown.stdout.startswith("# tiny 1 (segment)")
    assert json.loads(mmtool("models", "show", "tiny", "--json", **where).stdout)["name"] == "tiny"
    one = mmtool("models", "verify", "tiny", **where)
    assert one.stdout == "segment\ttiny\tintact\n"
    checked = json.loads(mmtool("models", "verify", "--json", **where).stdout)
    assert {"task": "segment", "name": "tiny", "status": "intact"} in checked


def test_altered_weights_are_exit_4_everywhere(mmtool, models: Path, tmp_path: Path) -> None:
    where = {"MMTOOL_MODELS": str(models)}
    with (models / "segment/tiny/model.safetensors").open("ab") as file:
        file.write(b"x")
    verify = mmtool("models", "verify", **where)
    assert verify.returncode == 4
    assert "altered" in verify.stdout
    assert mmtool("doctor", "--device", "cpu", "-o", tmp_path, **where).returncode == 4


def test_unknown_model_is_exit_4_with_a_suggestion(mmtool, models: Path) -> None:
    done = mmtool("models", "show", "tinny", MMTOOL_MODELS=str(models))
    assert done.returncode == 4
    assert done.stderr.splitlines()[0].startswith("mmtool: error: no model is named 'tinny'")
    assert "did you mean 'tiny'" in done.stderr
