"""Addresses and names of a server, as a command line gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmtool.errors import InputError, UsageError
from mmtool.pipelines.qdrant_place import EMBEDDED, QdrantPlace

SECRET = "s3cr3t-k3y"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("localhost:6333", "http:// or https:// is missing"),
        ("ftp://host", "not a server"),
        (":memory:", "not a server"),
        ("", "not a server"),
        ("http://", "not an address"),
        ("http://host:port", "not an address"),
        ("http://[::1", "not an address"),
        (f"https://me:{SECRET}@host", "a secret in it"),
        (f"https://host?api-key={SECRET}", "a secret in it"),
    ],
)
def test_bad_addresses(address: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        QdrantPlace.of(address, None, Path("x.mmidx"))
    assert SECRET not in caught.value.message + caught.value.hint


def test_a_folder_is_refused_unless_it_is_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unpickles"):
        QdrantPlace.of("folder", None, Path("x.mmidx"))
    monkeypatch.setenv(EMBEDDED, "1")
    assert QdrantPlace.of("folder", None, Path("x.mmidx")).address == "folder"


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMBEDDED, "1")
    assert QdrantPlace.of("http://h:1", None, Path("a/study.mmidx")).name == "study"
    assert QdrantPlace.of("folder", "mine", Path("study.mmidx")).name == "mine"
    for name in ("../z", "a b", "", "x/y"):
        with pytest.raises(UsageError, match="can't name a collection"):
            QdrantPlace.of("folder", name, Path("x.mmidx"))


def test_a_search_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMBEDDED, "1")
    place = QdrantPlace.of(str(tmp_path / "gone"), None, Path("x.mmidx"))
    with pytest.raises(InputError, match="no folder that 'mmtool index --qdrant' made"):
        place.client(made=False)
    assert not (tmp_path / "gone").exists()
