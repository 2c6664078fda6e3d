"""How well a text is read: which structures does it ask for? No image is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations, product

import numpy as np

from mmtool.anatomy import BRAIN_LABELS
from mmtool.models.text.request import parse_request
from mmtool.models.text.vocabulary import by_concept, lexicon_of
from mmtool.pipelines.evaluation.text_sentences import handwritten
from mmtool.pipelines.training.prompt_anatomy import GROUPS, NAMES, NEAR_MISSES
from mmtool.pipelines.training.prompts import Prompt, Split, draw_prompt

Reader = Callable[[Sequence[str]], list[frozenset[int]]]
Text = tuple[str, frozenset[int]]
INDICES = frozenset(label.index for label in BRAIN_LABELS)

# What was said -> split of its templates and of its names.
WORDINGS: dict[str, tuple[Split, Split]] = {
    "right text": ("train", "train"),
    "unseen templates": ("unseen", "train"),
    "unseen names": ("train", "unseen"),
    "unseen templates and names": ("unseen", "unseen"),
}
_BATCH = 50
# Reports of a changed structure and of a normal one whose side isn't said.
_SHORT = (
    "{finding} of the {changed}. The {normal} are normal.",
    "{finding} of the {changed}; the {normal} are normal.",
    "{finding} of the {changed}, the {normal} are unremarkable.",
)
_FINDINGS = ("Atrophy", "Infarct", "Lesion", "Swelling")
_PLURALS = {
    "hippocampus": "hippocampi",
    "thalamus": "thalami",
    "putamen": "putamina",
    "amygdala": "amygdalae",
}


def reading_sets(count: int, seed: int) -> dict[str, list[Text]]:
    """Texts of every wording, ``count`` of each that is drawn.

    Besides those of ``WORDINGS``: each unseen name alone, each unseen word that is only spelled
    like a name, short reports, and the sentences written by hand.
    """
    sets: dict[str, list[Text]] = {}
    for said, (split, names) in WORDINGS.items():
        rng = np.random.default_rng([seed, 19])
        drawn = (draw_prompt(rng, BRAIN_LABELS, split=split, names=names) for _ in range(count))
        sets[said] = [(p.text, p.asked) for p in drawn]
    sets["unseen names alone"] = unseen_names()
    sets["near misses"] = [(word, frozenset()) for word in NEAR_MISSES[1]]
    sets["short reports"] = short_reports()
    sets["handwritten"] = handwritten()
    return sets


def unseen_names() -> list[Text]:
    """Every unseen name of a structure or group by itself: both sides are meant."""
    out = []
    for concept, (_, unseen, _) in (NAMES | GROUPS).items():
        meant = by_concept()[concept].structures
        labels = frozenset(
            label.index
            for label in BRAIN_LABELS
            if label.name.removeprefix("left ").removeprefix("right ") in meant
        )
        out += [(name.partition("/")[0], labels) for name in unseen if labels]
    return out


def short_reports() -> list[Text]:
    """Reports of two clauses: what is changed on one side, and what is normal on both."""
    index = {label.name: label.index for label in BRAIN_LABELS}
    out = []
    for template, finding, side in product(_SHORT, _FINDINGS, ("left", "right")):
        for changed, normal in permutations(_PLURALS, 2):
            name = f"{side} {changed}"
            text = template.format(finding=finding, changed=name, normal=_PLURALS[normal])
            out.append((text, frozenset({index[name]})))
    return out


def real_prompt(rng: np.random.Generator, said: str) -> Prompt:
    """A prompt of one of ``WORDINGS`` that asks for something, but not for everything."""
    split, names = WORDINGS[said]
    while True:
        prompt = draw_prompt(rng, BRAIN_LABELS, split=split, names=names)
        if prompt.asked and prompt.asked != INDICES:
            return prompt


def by_rules(texts: Sequence[str]) -> list[frozenset[int] | None]:
    """Labels as the rules of ``mmtool segment`` read texts; None for a report without findings."""
    lexicon = lexicon_of(BRAIN_LABELS, None)
    return [parse_request(text, lexicon=lexicon).asked for text in texts]


def rules(texts: Sequence[str]) -> list[frozenset[int]]:
    """The rules as a reader: a report without findings asks for nothing."""
    return [asked or frozenset() for asked in by_rules(texts)]


def read_right(reader: Reader, texts: Sequence[Text]) -> tuple[list[float], list[float]]:
    """For each text 1 if every structure was judged rightly, else 0; and F1 of its structures."""
    found: list[frozenset[int]] = []
    for first in range(0, len(texts), _BATCH):
        found += reader([text for text, _ in texts[first : first + _BATCH]])
    exact = [float(got == meant) for got, (_, meant) in zip(found, texts, strict=True)]
    return exact, [_f1(got, meant) for got, (_, meant) in zip(found, texts, strict=True)]


def _f1(got: frozenset[int], meant: frozenset[int]) -> float:
    both = len(got) + len(meant)
    return 2 * len(got & meant) / both if both else 1.0
