"""Requests and audits for models whose labels are not those of the head."""

from __future__ import annotations

import pytest

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.pipelines.requested import Requested, hash_text, read_request
from mmtool.types import Code, Label

CODE = Code("91723000", "SCT", "Anatomical Structure")
NAMES = ("kidney_left", "kidney_right", "spleen", "liver")
TABLE = tuple(Label(i, name, CODE, None, CODE, (i, 0, 0)) for i, name in enumerate(NAMES, 1))


def read(text: str) -> Requested:
    return read_request(text, Limits(), TABLE, None)


def test_only_the_labels_of_the_model_are_asked_for() -> None:
    assert read("left kidney and spleen").indices == {1, 3}
    assert read("everything except the liver").indices == {1, 2, 3}
    assert read("spleen and hippocampus").unknown == ("hippocampus",)


def test_an_error_names_what_the_model_has() -> None:
    with pytest.raises(InputError) as caught:
        read("left hippocampus")
    assert "it names: hippocampus" in str(caught.value)
    assert caught.value.hint == "the model has: kidney, spleen, liver"
    with pytest.raises(InputError) as caught:
        read("left kidnney")
    assert caught.value.hint == "did you mean kidney?"
    many = tuple(Label(i, f"class {i}", CODE, None, CODE, (1, 1, 1)) for i in range(1, 256))
    with pytest.raises(InputError) as caught:
        read_request("liver", Limits(), many, None)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("class 12 and 243 more")


def test_an_audit_by_the_names_of_the_model() -> None:
    request = read("FINDINGS: The left kidney is small. The spleen has been removed.")
    audit = request.audit({1: 0.0, 2: 140.0, 3: 90.0, 4: 1500.0})
    assert audit["asked"] == ["kidney_left"]
    assert audit["said_absent"] == ["spleen"]
    assert [(d["kind"], d["structure"]) for d in audit["disagreements"]] == [
        ("said absent, found", "spleen"),
        ("said left, found right", "kidney_left"),
    ]


def test_everything_of_a_model_without_a_whole_organ() -> None:
    audit = read("FINDINGS: Normal liver.").audit(dict.fromkeys(range(1, 5), 1.0))
    assert audit["everything"]
    assert audit["asked"] == list(NAMES)


def test_a_side_that_the_model_does_not_tell_is_said_to_be_ignored() -> None:
    audit = read("left spleen").audit({3: 90.0})
    assert audit["asked"] == ["spleen"]
    assert audit["sentences"][0]["ignored"] == [
        {"what": "'left' of spleen", "why": "the model tells no sides of it"}
    ]


def test_the_hash_needs_no_model() -> None:
    assert hash_text("left kidney", Limits()) == read("left kidney").sha256
    with pytest.raises(InputError, match="empty"):
        hash_text(" \n", Limits())
