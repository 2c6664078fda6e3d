"""Substructures, exact similarity and alignments: right, and bounded where input means harm."""

from __future__ import annotations

import time

import numpy as np
import pytest

from mmtool.errors import InputError, UsageError
from mmtool.pipelines import retrieval_proteins
from mmtool.pipelines.retrieval_molecules import substructure, tanimoto
from mmtool.pipelines.retrieval_proteins import align

MOLECULES = ["CC(=O)Oc1ccccc1C(=O)O", "C1=CC=NC=C1", "broken", "CCO", "[Na+].CC(=O)[O-]", "COC"]
# Six by six carbons: the ways through it are too many to be tried.
LATTICE = (
    "C1C2C3C4C5CC6C7C8C9CC%10C%11C%12C%13CC%14C%15C%16C1C21C32C43C56C74C85C9%10C%116C%127C"
    "%14%13C%158C%161C21C34C56C871"
)


@pytest.mark.parametrize(
    ("pattern", "rows"),
    [
        ("c1ccncc1", [1]),
        ("C1=CC=NC=C1", [1]),
        ("C1=CC=CC=C1", [0]),
        ("[#6]C(=O)[O-]", [4]),
        ("[OX2H]", [0, 3]),
        ("*O*", [0, 5]),
        ("[Na+]", [4]),
    ],
)
def test_a_part_is_found(pattern: str, rows: list[int]) -> None:
    assert np.flatnonzero(substructure(pattern, MOLECULES)).tolist() == rows


def test_patterns_that_mean_harm() -> None:
    for pattern in ("(" * 50, "C" * 1001, "", "[$(", "c1cc"):
        with pytest.raises(UsageError):
            substructure(pattern, MOLECULES)
    started = time.monotonic()
    with pytest.raises(UsageError, match="took too long"):
        substructure("*" + "~*" * 30 + "~[$([#6]~[#7])]", [LATTICE + ".N"], seconds=1)
    assert time.monotonic() - started < 20


def test_exact_similarity() -> None:
    found = tanimoto("OCC", ["CCO", "broken", "CCCO", "c1ccccc1"])
    assert found[0] == 1
    assert np.isnan(found[1])
    assert 0 < found[2] < 1
    assert found[3] == 0
    with pytest.raises(InputError):
        tanimoto("broken", [])


def test_alignments() -> None:
    own = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"
    same, cut, gap, none = align(own, [own, own[5:20], own[:15] + own[17:], "WWWW"[:0]])
    assert same is not None
    assert (same.identity, same.coverage) == (1, 1)
    assert cut is not None
    assert cut.identity == 1
    assert cut.coverage == pytest.approx(15 / 33)
    assert gap is not None
    assert gap.identity == pytest.approx(31 / 33)
    assert same.score > gap.score > cut.score > 0
    assert none is None
    assert align("WWWW", ["GGGG"]) == [None]
    selenium = align("MUOJ", ["MCKL"])[0]
    assert selenium is not None
    assert selenium.coverage == 1


def test_an_alignment_is_the_best_by_hand() -> None:
    """BLOSUM62: W-W is 11, H-H 8, W-H is -2; a gap of one letter costs 12."""
    found = align("WWHHWW", ["WWHWW"])[0]
    assert found is not None
    assert found.score == 11 * 4 + 8 - 12


def test_long_pairs_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert align("A" * 3000, ["A" * 3000, "A" * 10])[0] is None
    monkeypatch.setattr(retrieval_proteins, "_ALL_CELLS", 150)
    assert [a is None for a in align("A" * 10, ["A" * 10, "A" * 10, "A" * 5])] == [
        *(False, True, False)
    ]
