"""Known binders survive the way through a file of tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mmtool.errors import ModelError
from mmtool.models.tcr.reference import pack, unpack
from mmtool.receptors import Binder, Receptor

_WORD = st.text(st.characters(blacklist_characters="\n", blacklist_categories=["Cs"]), max_size=9)
_BINDER = st.builds(Binder, st.builds(Receptor, *[_WORD] * 6), *[_WORD] * 4)


@given(st.lists(_BINDER, max_size=5))
def test_what_is_packed_comes_out_again(binders: list[Binder]) -> None:
    assert unpack(pack(binders)) == binders


def test_through_safetensors_and_beside_weights(tmp_path: Path) -> None:
    known = [
        Binder(Receptor(v_b="TRBV19", cdr3_b="CASSIRSSYEQYF"), "GILGFVFTL", "HLA-A*02:01"),
        Binder(Receptor(), "NLVPMVATV"),
    ]
    save_file({"weight": torch.zeros(2), **pack(known)}, tmp_path / "model.safetensors")
    assert unpack(load_file(tmp_path / "model.safetensors")) == known


def test_what_is_not_whole_is_refused() -> None:
    good = pack([Binder(Receptor(cdr3_b="CASSF"), "GILGFVFTL")])
    column = "reference.cdr3_b"
    for bad in (
        {k: v for k, v in good.items() if k != column},
        good | {f"{column}.row": torch.zeros(2, dtype=torch.int16)},
        good | {f"{column}.row": torch.ones(1, dtype=torch.int16)},
        {k: v for k, v in good.items() if k != f"{column}.row"},
        good | {column: torch.frombuffer(bytearray(b"CASSF"), dtype=torch.uint8)},
        good | {column: torch.frombuffer(bytearray(b"\xff\n"), dtype=torch.uint8)},
        good | {column: torch.zeros(3)},
    ):
        with pytest.raises(ModelError):
            unpack(bad)
    with pytest.raises(ValueError, match="line feed"):
        pack([Binder(Receptor(cdr3_b="A\nC"), "GILGFVFTL")])
