"""Training prompts: their truth, their variety, and that the splits share no words."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.models.text.request import parse_request
from mmtool.pipelines.training import prompt_words as words
from mmtool.pipelines.training.prompts import Prompt, Split, draw_prompt

TABLE = (BRAIN, *BRAIN_LABELS)
INDEX = {label.name: label.index for label in TABLE}
SPLITS: tuple[Split, Split] = ("train", "unseen")


def draw(count: int, split: Split, seed: int = 0) -> list[Prompt]:
    rng = np.random.default_rng(seed)
    return [draw_prompt(rng, TABLE, split=split) for _ in range(count)]


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_seed_gives_the_same_prompts(split: Split) -> None:
    assert draw(300, split) == draw(300, split)
    assert draw(300, split) != draw(300, split, seed=1)


@pytest.mark.parametrize("split", SPLITS)
def test_every_kind_and_structure_is_drawn(split: Split) -> None:
    prompts = draw(4000, split)
    asked = Counter(index for p in prompts for index in p.asked)
    assert asked.keys() == set(INDEX.values())
    absent = {index for p in prompts for index in p.absent}
    assert len(absent) > 10
    assert len({p.kind for p in prompts}) == 12
    assert len({p.text for p in prompts}) > 3000
    assert 0.01 < sum(p.misspelt for p in prompts) / len(prompts) < 0.08
    for p in prompts:
        assert not p.asked & p.absent
        assert (p.kind in ("normal", "elsewhere", "nothing")) <= (not p.asked)
        assert not re.search(r"[{}]", p.text)
        assert p.kind != "both" or len(p.asked) in (2, 4)


@pytest.mark.parametrize("split", SPLITS)
def test_sides_are_not_mixed_up(split: Split) -> None:
    seen = 0
    for p in draw(4000, split):
        text = p.text.lower()
        if p.kind != "one" or p.misspelt:
            continue
        sides = {n.split()[0] for n, i in INDEX.items() if i in p.asked} & {"left", "right"}
        said = {
            side
            for side, pattern in (
                ("left", r"\b(?:left|lt|l)\b"),
                ("right", r"\b(?:right|rt|r)\b"),
            )
            if re.search(pattern, text)
        }
        assert said == sides, p
        seen += 1
    assert seen > 400


def test_splits_share_neither_names_nor_templates() -> None:
    names = words.NAMES | words.GROUPS
    for train, unseen in names.values():
        assert not {n.lower() for n in train} & {n.lower() for n in unseen}
    for key, value in vars(words).items():
        if key.isupper() and isinstance(value, tuple) and isinstance(value[0], tuple):
            assert not set(value[0]) & set(value[1]), key
    templates = (
        words.ASK, words.EXCEPT, words.OTHER_SIDE, words.ONE_SIDE, words.BOTH_SIDES, words.LIST,
        words.CHANGED, words.NORMAL, words.CHANGED_AND_NORMAL, words.GONE, words.GROUP_BUT,
        words.HISTORY,
    )  # fmt: skip
    assert sum(len(part) for both in templates for part in both) >= 60
    for key, (train, unseen) in words.NAMES.items():
        assert len({*train, *unseen}) >= 6, key


def test_unseen_prompts_hold_words_that_training_never_drew() -> None:
    def vocabulary(split: Split) -> set[str]:
        return {w for p in draw(5000, split) if not p.misspelt
                for w in re.findall(r"[a-z]{3,}", p.text.lower())}  # fmt: skip

    new = vocabulary("unseen") - vocabulary("train")
    assert {"ammonis", "paleostriatum", "excluding", "gliosis", "intact", "delineate"} <= new


def test_a_part_of_the_table_and_none() -> None:
    deep = tuple(x for x in BRAIN_LABELS if "thalamus" in x.name or "putamen" in x.name)
    rng = np.random.default_rng(0)
    known = {label.index for label in deep}
    for _ in range(500):
        prompt = draw_prompt(rng, deep)
        assert prompt.asked | prompt.absent <= known
    one = (next(x for x in BRAIN_LABELS if x.name == "brainstem"),)
    for _ in range(200):
        assert draw_prompt(rng, one).asked <= {one[0].index}
    with pytest.raises(ValueError, match="no structure of the head"):
        draw_prompt(rng, (BRAIN,))


@pytest.mark.parametrize(("split", "least"), [("train", 0.99), ("unseen", 0.98)])
def test_the_rules_read_what_was_meant(split: Split, least: float) -> None:
    """The parser and the generator were written apart: each checks the other.

    What is left is in truth ambiguous, e.g. "the putamen r. the lesion" in small letters.
    """
    right, total = Counter[str](), Counter[str]()
    for p in draw(1500, split, seed=11):
        if not p.misspelt:
            request = parse_request(p.text, INDEX.values())
            total[p.kind] += 1
            right[p.kind] += (request.asked or frozenset(), request.absent) == (p.asked, p.absent)
    assert sum(right.values()) >= least * sum(total.values())
    for kind, count in total.items():
        assert right[kind] >= 0.9 * count, kind


def test_a_misspelt_name_is_named_or_understood() -> None:
    wrong = [p for p in draw(6000, "train", seed=5) if p.misspelt and p.kind == "one"]
    assert len(wrong) > 20
    for p in wrong:
        request = parse_request(p.text, INDEX.values())
        assert request.unknown or request.asked == p.asked, p
