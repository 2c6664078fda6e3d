"""Slides of patients: whose they are, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmtool.errors import InputError
from mmtool.pipelines.slide_bags import block_of, read_bags
from mmtool.pipelines.slide_names import owners


def test_names_begin_with_the_id_of_their_patient() -> None:
    names = ["TCGA-05-4244-01Z-00-DX1.d4ff", "P1", "P1-2_x", "P12", "other"]
    found = owners(names, ["TCGA-05-4244", "P1", "P1-2", "nobody"])
    assert found.slides == ((0,), (1,), (2,), ())
    assert found.notes == ("2 slides belong to none of the patients: P12, other",)


def test_case_counts_only_where_two_ids_differ_by_it() -> None:
    assert owners(["tcga-05-4244-01z"], ["TCGA-05-4244"]).slides == ((0,),)
    assert owners(["Ab-1", "aB", "x"], ["ab", "Ab"]).slides == ((), (0,))


def test_a_table_says_whose_a_slide_is() -> None:
    table = {"a": ["one.svs", "two"], "b": ["three.svs"]}
    found = owners(["two", "one", "four"], ["b", "a"], table)
    assert found.slides == ((), (0, 1))
    assert found.notes == (
        "1 slides belong to none of the patients: four",
        "1 slides of the table have no file: three",
    )


def test_bags_of_patients(tmp_path: Path) -> None:
    for name, tiles in (("a-1", 3), ("a-2", 2), ("b", 0), ("c", 4)):
        np.save(tmp_path / f"{name}.npy", np.full((tiles, 6), tiles, np.float32))
    bags = read_bags(tmp_path, ["c", "a", "b", "none"])
    assert [len(b) for b in bags.patients] == [4, 5, 0, 0]
    assert bags.patients[1].slides == ("a-1", "a-2")
    assert bags.patients[1].slide.tolist() == [0, 0, 0, 1, 1]
    assert np.isnan(bags.patients[1].coords).all()
    assert bags.notes == ("1 slides have no tiles: b",)
    block = block_of(bags)
    assert block.present.tolist() == [True, True, False, False]
    assert block.values[:, 0].tolist()[:2] == [4.0, pytest.approx(2.6)]
    assert np.isnan(block.values[2:]).all()
    assert block.tiles is not None
    assert block.tiles[3].shape == (0, 6)
    assert block.columns[5] == "f0005"


def test_a_part_of_many_tiles_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(100, dtype=np.float32)[:, None])
    first, again, other = (
        read_bags(tmp_path, ["a"], most=10, seed=s).patients[0].features[:, 0] for s in (1, 1, 2)
    )
    assert len(first) == 10
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (np.diff(first) > 0).all()


def test_a_folder_of_strangers_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    with pytest.raises(InputError, match="none of 1 files belongs to one of 1 patients"):
        read_bags(tmp_path, ["b"])
