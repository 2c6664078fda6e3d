"""Molecules with weights on their atoms, as SVG and PNG."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mmtool.errors import InputError
from mmtool.io.writers.molecule_drawing import write_molecule


def test_the_heaviest_atom_has_the_full_colour(tmp_path: Path) -> None:
    write_molecule(tmp_path / "a.svg", "CCO", [0.0, 0.1, 0.2], "ethanol")
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn.count("<ellipse") == 2  # an atom of no weight has none
    assert "#D65E00" in drawn
    write_molecule(tmp_path / "b.svg", "CCO", [0.0, 0.1, 0.2], "ethanol")
    assert (tmp_path / "b.svg").read_text() == drawn


def test_a_png_can_be_opened(tmp_path: Path) -> None:
    write_molecule(tmp_path / "a.png", "CCO", [1.0, 0.0, 0.0])
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (900, 600)
        colours = image.convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert (214, 94, 0) in {colour for _, colour in colours}
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 weights for 3 atoms"):
        write_molecule(tmp_path / "a.png", "CCO", [1.0, 2.0])
    with pytest.raises(ValueError, match="not a kind of drawing"):
        write_molecule(tmp_path / "a.gif", "C", [1.0])
    with pytest.raises(InputError, match="not a valid SMILES"):
        write_molecule(tmp_path / "a.png", "C(", [1.0])
    assert not list(tmp_path.iterdir())
