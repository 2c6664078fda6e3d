"""Models are found, checked against their cards, and refused when anything is wrong."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from mmtool.errors import ModelError
from mmtool.models.card import check_card, render_card
from mmtool.models.store import (
    find_model,
    list_models,
    load_card,
    load_state,
    resolve_model,
    verify,
)

CARD: dict[str, Any] = {
    "task": "segment",
    "name": "tiny",
    "version": "1.0",
    "summary": "A tiny model.",
    "licence": "Apache-2.0",
    "use": "research",
    "data": [{"name": "maps", "source": "here", "licence": "CC0", "use": "any", "n": 16}],
    "training": {
        "command": "mmtool train segment",
        "seed": 0,
        "seconds": 1,
        "hardware": "2 cores",
        "iterations": 10,
    },
    "sha256": {},
    "metrics": [
        {
            "name": "Dice",
            "value": 0.8,
            "low": 0.7,
            "high": 0.9,
            "n": 4,
            "set": "held out",
            "baseline": {"name": "atlas", "value": 0.5},
        }
    ],
    "intended_use": "Tests.",
    "limits": ["Knows nothing.", "Says so."],
}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "segment" / "tiny"
    folder.mkdir(parents=True)
    save_file({"w": torch.arange(3.0)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"network": "none"}')
    names = ("model.safetensors", "config.json")
    card = CARD | {"sha256": {name: digest(folder / name) for name in names}}
    (folder / "card.json").write_text(json.dumps(card))
    return tmp_path


def test_found_by_name_and_by_path(root: Path) -> None:
    by_name = resolve_model("segment", "tiny", where=(root,))
    assert by_name == resolve_model("segment", str(root / "segment/tiny"), where=())
    assert by_name.config == {"network": "none"}
    assert by_name.weights_sha256 == digest(by_name.weights)
    assert torch.equal(load_state(by_name)["w"], torch.arange(3.0))


def test_models_of_a_user_go_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMTOOL_MODELS", str(root))
    assert resolve_model("segment", "tiny").folder == root / "segment/tiny"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_one_altered_byte_is_refused(root: Path, name: str) -> None:
    path = root / "segment/tiny" / name
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(ModelError, match=f"{name}: altered"):
        resolve_model("segment", "tiny", where=(root,))
    with pytest.raises(ModelError):
        verify(root / "segment/tiny")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "card.json"])
def test_a_missing_file_is_refused_and_listed(root: Path, name: str) -> None:
    (root / "segment/tiny" / name).unlink()
    with pytest.raises(ModelError, match=name):
        resolve_model("segment", "tiny", where=(root,))
    assert [e.name for e in list_models(where=(root,))] == ["tiny"]


def test_a_task_without_models_says_where_one_comes_from(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no report-text model is named 'uar'") as caught:
        find_model("report-text", "uar", where=(tmp_path,))
    assert "mmtool train" in caught.value.hint


def test_unknown_names_get_a_suggestion(root: Path) -> None:
    with pytest.raises(ModelError) as caught:
        find_model("segment", "tinny", where=(root,))
    assert "did you mean 'tiny'" in caught.value.hint


def test_a_model_of_another_task_is_refused(root: Path) -> None:
    with pytest.raises(ModelError, match="for 'segment', not for 'survive'"):
        resolve_model("survive", str(root / "segment/tiny"), where=())


@pytest.mark.parametrize("content", ["[1]", "{", "[" * 100_000, '{"a": 1}'])
def test_broken_cards_are_model_errors(root: Path, content: str) -> None:
    (root / "segment/tiny/card.json").write_text(content)
    with pytest.raises(ModelError):
        load_card("segment", "tiny", where=(root,))
    assert list_models(where=(root,))[0].error


def test_pickles_are_not_weights(root: Path) -> None:
    folder = root / "segment/tiny"
    torch.save({"w": torch.zeros(1)}, folder / "model.safetensors")
    card = json.loads((folder / "card.json").read_text())
    card["sha256"]["model.safetensors"] = digest(folder / "model.safetensors")
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="safetensors"):
        load_state(resolve_model("segment", "tiny", where=(root,)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("use",), "anything"),
        (("summary",), ""),
        (("limits",), []),
        (("data",), []),
        (("data", 0, "licence"), None),
        (("training", "command"), None),
        (("metrics", 0, "low"), 0.85),
        (("metrics", 0, "value"), "0.8"),
        (("sha256", "config.json"), "abc"),
    ],
)
def test_incomplete_cards_are_refused(root: Path, path: tuple[Any, ...], value: Any) -> None:
    card = copy.deepcopy(load_card("segment", "tiny", where=(root,)))
    check_card(card, "card.json")
    place: Any = card
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(ModelError, match=r"card\.json"):
        check_card(card, "card.json")


def test_the_card_reads_like_a_page(root: Path) -> None:
    text = render_card(load_card("segment", "tiny", where=(root,)))
    assert text.startswith("# tiny 1.0 (segment)")
    assert "RESEARCH USE ONLY" in text
    assert "- Dice: 0.8 [0.7, 0.9], n = 4, held out; baseline atlas 0.5" in text
    for words in ("mmtool train segment", "Knows nothing.", "## What it cannot do", "CC0"):
        assert words in text
