"""How reading is scored: the sets of texts, and what counts as right."""

from __future__ import annotations

import pytest

from mmtool.anatomy import BRAIN_LABELS
from mmtool.pipelines.evaluation.reading import (
    INDICES,
    WORDINGS,
    by_rules,
    read_right,
    reading_sets,
    rules,
    unseen_names,
)
from mmtool.pipelines.evaluation.text_sentences import handwritten

NAME = {label.index: label.name for label in BRAIN_LABELS}


def test_sentences_by_hand_name_structures_that_there_are() -> None:
    meant = {text: {NAME[i] for i in labels} for text, labels in handwritten()}
    assert len(meant) == 40
    assert all(meant.values())
    assert meant["R hippocampus only"] == {"right hippocampus"}
    assert meant["grey matter of the cerebellum"] == {
        "left cerebellar cortex",
        "right cerebellar cortex",
    }
    rest = meant["Everything apart from CSF and white matter please"]
    assert len(rest) == 29
    assert "left cerebral white matter" not in rest


def test_sets_are_drawn_alike_from_the_same_seed_and_apart_from_each_other() -> None:
    sets = reading_sets(30, 1)
    assert sets == reading_sets(30, 1)
    assert list(sets)[:4] == list(WORDINGS)
    assert all(len(sets[said]) == 30 for said in WORDINGS)
    assert len({text for said in WORDINGS for text, _ in sets[said]}) > 100
    assert not any(asked for _, asked in sets["near misses"])
    short = dict(sets["short reports"])
    assert short["Atrophy of the left hippocampus. The thalami are normal."] == {17}
    assert len(short) == 3 * 4 * 2 * 12


def test_a_reader_is_right_where_every_structure_is() -> None:
    texts = handwritten()
    told = dict(texts)
    exact, f1 = read_right(lambda some: [told[text] for text in some], texts)
    assert exact == f1 == [1.0] * 40
    exact, f1 = read_right(lambda some: [frozenset() for _ in some], texts)
    assert exact == f1 == [0.0] * 40
    half = frozenset({17}), frozenset({17, 53})
    assert read_right(lambda _: [half[0]], [("both", half[1])]) == ([0.0], [pytest.approx(2 / 3)])
    assert read_right(lambda _: [frozenset()], [("nothing", frozenset())]) == ([1.0], [1.0])


def test_the_rules_know_the_unseen_names_and_most_sentences_by_hand() -> None:
    exact, _ = read_right(rules, unseen_names())
    assert len(exact) >= 60
    assert sum(exact) == len(exact)
    exact, _ = read_right(rules, handwritten())
    assert sum(exact) >= 25


def test_a_report_without_findings_asks_the_rules_for_nothing_in_particular() -> None:
    texts = ["The thalami are normal.", "left thalamus", "everything"]
    assert by_rules(texts) == [None, {10}, INDICES]
    assert rules(texts)[0] == frozenset()
