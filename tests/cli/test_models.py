"""``mmtool models`` and what ``mmtool doctor`` says of weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from outside_models import write_meshnet

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


def test_import_show_verify_and_the_name_is_taken(mmtool, tmp_path: Path) -> None:
    source = write_meshnet(tmp_path / "tiny mesh")
    where = {"MMTOOL_MODELS": str(tmp_path / "own")}
    done = mmtool("models", "import", source, "--licence", "MIT", **where)
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "own/segment/tiny-mesh"))
    made = tmp_path / "own/segment/tiny-mesh"
    assert {p.name for p in made.iterdir()} == {
        "card.json", "colormap.json", "model.json", "model.safetensors",
    }  # fmt: skip
    assert [p.name for p in made.parent.iterdir()] == ["tiny-mesh"]
    shown = mmtool("models", "show", "tiny-mesh", **where).stdout
    assert "- licence: MIT" in shown
    assert "not stated by those who made it" in shown
    assert mmtool("models", "verify", "tiny-mesh", **where).stdout.endswith("intact\n")
    again = mmtool("models", "import", source, **where)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert mmtool("models", "import", source, "--overwrite", **where).returncode == 0
    with (made / "model.json").open("a") as file:
        file.write(" ")
    assert mmtool("models", "verify", "tiny-mesh", **where).returncode == 4


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        ((), {}, 2, "MMTOOL_MODELS is not set"),
        (("--name", "../../out"), {"MMTOOL_MODELS": "own"}, 2, "is no name for a model"),
        (("--name", ".hidden"), {"MMTOOL_MODELS": "own"}, 2, "is no name for a model"),
        (("--task", "survive"), {"MMTOOL_MODELS": "own"}, 2, "no models can be imported"),
    ],
)
def test_imports_that_are_refused(
    mmtool, tmp_path: Path, arguments: tuple[str, ...], environment: dict, code: int, words: str
) -> None:
    source = write_meshnet(tmp_path / "mesh")
    done = mmtool("models", "import", source, *arguments, cwd=tmp_path, **environment)
    assert done.returncode == code
    assert words in done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"mesh"}


def test_a_folder_that_is_no_model(mmtool, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    done = mmtool("models", "import", tmp_path / "none", MMTOOL_MODELS=str(tmp_path / "own"))
    assert done.returncode == 4
    assert "plans.json and dataset.json (nnU-Net v2)" in done.stderr
    assert not (tmp_path / "own").exists()
