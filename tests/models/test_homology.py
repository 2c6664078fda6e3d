"""The twilight zone, bits, and the words of headers."""

from __future__ import annotations

import pytest

from mmtool.models.report.homology import bits, identity_needed, tells
from mmtool.models.text.protein_names import Described, described, says_something


@pytest.mark.parametrize(
    ("aligned", "percent"),  # Rost 1999, p_I of n = 0
    [(5, 100), (11, 100), (20, 71.9), (100, 29.0), (250, 20.7), (450, 19.5), (451, 19.5)],
)
def test_the_curve_of_rost(aligned: int, percent: float) -> None:
    assert identity_needed(aligned) * 100 == pytest.approx(percent, abs=0.1)


def test_longer_alignments_need_less() -> None:
    needed = [identity_needed(n) for n in range(11, 350)]
    assert needed == sorted(needed, reverse=True)


def test_bits_are_those_of_blast() -> None:
    # "Score = 294 bits (752)", from a report of blastp with BLOSUM62 and gaps 11 and 1.
    assert bits(752) == pytest.approx(294, abs=0.5)


def test_a_short_or_a_poor_alignment_tells_nothing() -> None:
    assert tells(score=500, equal=60, aligned=100)
    assert not tells(score=500, equal=20, aligned=100)  # in the twilight zone
    assert not tells(score=60, equal=11, aligned=11)  # may be chance
    assert not tells(score=100, equal=20, aligned=20)  # 43 bits


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "Hemoglobin subunit alpha OS=Homo sapiens OX=9606 GN=HBA1 PE=1 SV=2",
            Described("Hemoglobin subunit alpha", "Homo sapiens"),
        ),
        ("OS=Homo sapiens PE=1", Described("", "Homo sapiens")),
        ("cytochrome b [Homo sapiens]", Described("cytochrome b", "Homo sapiens")),
        ("Binds [4Fe-4S] and  moves on", Described("Binds [4Fe-4S] and moves on")),
        ("", Described("")),
    ],
)
def test_headers_are_parsed(words: str, expected: Described) -> None:
    assert described(words) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Uncharacterized protein", False),
        ("Putative uncharacterized protein (Fragment)", False),
        ("Uncharacterized protein yciB", False),
        ("hypothetical protein LOC100124", False),
        ("Predicted protein", False),
        ("Whole genome shotgun sequence", True),
        ("", False),
        ("DNA ligase", True),
        ("Predicted kinase", True),
        ("Hsp70", True),
    ],
)
def test_words_that_say_nothing(text: str, says: bool) -> None:
    assert says_something(text) is says
