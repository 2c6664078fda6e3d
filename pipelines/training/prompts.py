"""Training prompts: words with the labels that they ask for, right by construction.

The meaning is that of ``docs/text.md``: a prompt asks for what it names less what it excludes; a
report asks for the structures with a finding, and not for those that it calls normal or absent.
A report of normal structures only asks for nothing here (``mmtool segment`` then gives all).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from mmtool.pipelines.training import prompt_words as words
from mmtool.pipelines.training.prompt_names import Namer
from mmtool.pipelines.training.prompt_pen import NOBODY, Item, Pen, Prompt, fill, sided
from mmtool.pipelines.training.prompt_reports import Reporter
from mmtool.types import Label

__all__ = ["Prompt", "Split", "draw_prompt"]

Split = Literal["train", "unseen"]
_MISSPELT = 0.04  # share of prompts


def draw_prompt(
    rng: np.random.Generator, table: Sequence[Label], *, split: Split = "train"
) -> Prompt:
    """Draw a prompt or a report about the structures of a head.

    Args:
        rng: The only source of chance: the same state gives the same prompt.
        table: Labels of the model, named as in :mod:`mmtool.anatomy`; ``brain`` may be one.
        split: ``unseen`` draws from other templates and other names than ``train``.

    Raises:
        ValueError: The table has none of the structures of the head.
    """
    return _author(tuple((label.name, label.index) for label in table), split).draw(rng)


@lru_cache(maxsize=16)
def _author(table: tuple[tuple[str, int], ...], split: Split) -> _Author:
    return _Author(dict(table), split)


class _Author:
    """Writes the prompts of one table and split."""

    def __init__(self, labels: dict[str, int], split: Split) -> None:
        if split not in ("train", "unseen"):
            raise ValueError(f"split is {split!r}: 'train' or 'unseen'")
        self.at = at = 0 if split == "train" else 1
        self.names = names = Namer(labels, at)
        reports = Reporter(names)
        kinds: list[tuple[float, str, Callable[[Pen], Prompt]]] = [
            (0.16, "one", self._one), (0.07, "both", self._both), (0.09, "unsided", self._unsided),
            (0.08, "group", self._group), (0.16, "list", self._list),
            (0.11, "except", self._except), (0.02, "everything", self._everything),
            (0.19, "report", reports.report), (0.04, "normal", reports.normal),
            (0.03, "mixed", self._mixed), (0.035, "elsewhere", self._elsewhere),
            (0.015, "nothing", self._nothing),
        ]  # fmt: skip
        self.kinds = [(kind, write) for _, kind, write in kinds]
        self.shares = np.cumsum([share for share, _, _ in kinds])

    def draw(self, rng: np.random.Generator) -> Prompt:
        pen = Pen(rng)
        at = int(np.searchsorted(self.shares, pen.random() * self.shares[-1], side="right"))
        _, write = self.kinds[min(at, len(self.kinds) - 1)]
        plain = write(pen)
        text, misspelt = plain.text, False
        if pen.items and pen.chance(_MISSPELT):
            text, misspelt = pen.misspell(text)
        text = text if plain.kind == "nothing" else pen.dress(text)
        return Prompt(text, plain.asked, plain.absent, plain.kind, misspelt)

    def _ask(self, pen: Pen, what: str) -> str:
        return pen.pick(words.ASK[self.at]).replace("{x}", what)

    def _one(self, pen: Pen) -> Prompt:
        concept = pen.pick(self.names.single)
        form = pen.pick(("left", "right")) if concept.paired else ""
        item = self.names.name(pen, concept, form, alone=True)
        return _prompt(self._ask(pen, item.text), item.labels, "one")

    def _both(self, pen: Pen) -> Prompt:
        concept = pen.pick(self.names.paired or self.names.single)
        item = self.names.name(pen, concept, "both" if concept.paired else "")
        return _prompt(self._ask(pen, item.text), item.labels, "both")

    def _unsided(self, pen: Pen) -> Prompt:
        pool = self.names.whole if self.names.whole and pen.chance(0.06) else self.names.single
        item = self.names.name(pen, pen.pick(pool), "")
        return _prompt(self._ask(pen, item.text), item.labels, "unsided")

    def _group(self, pen: Pen) -> Prompt:
        item = self.names.any(pen, pen.pick(self.names.groups or self.names.single))
        return _prompt(self._ask(pen, item.text), item.labels, "group")

    def _list(self, pen: Pen) -> Prompt:
        count = 2 + int(pen.random() * 5)
        between, last = pen.pick(words.LIST[self.at])
        form = pen.pick(("", "left", "right", "explicit", "explicit", "explicit"))
        if "\n" in between or ";" in between:  # no side holds beyond these
            form = "explicit"
        items: list[Item] = []
        taken: frozenset[int] = frozenset()
        for _ in range(count):
            if form == "explicit" or not items:
                item = (
                    self.names.apart(pen, taken) if form == "explicit" else self._first(pen, form)
                )
            else:
                item = self._follower(pen, form, taken)
            if item is not NOBODY:
                items.append(item)
                taken |= item.labels
        texts = [item.text for item in items]
        text = between.join(texts[:-1]) + last + texts[-1] if len(texts) > 1 else texts[0]
        return _prompt(self._listed(pen, text), taken, "list")

    def _listed(self, pen: Pen, text: str) -> str:
        if "\n" in text:
            return text if pen.chance(0.5) else "- " + text if "\n- " in text else text
        return self._ask(pen, text)

    def _first(self, pen: Pen, form: str) -> Item:
        """First of a list that shares its side ("left caudate, putamen and thalamus")."""
        concept = pen.pick(self.names.paired or self.names.single)
        if not form or not concept.paired:
            return self.names.name(pen, concept, "")
        name = pen.pick(concept.names)[0]
        bare = f"{form} {name}"
        return pen.note(Item(bare, bare, name, concept.sides[form], False))

    def _follower(self, pen: Pen, form: str, taken: frozenset[int]) -> Item:
        free = [c for c in self.names.single if not c.sides[""] & taken]
        if not free:
            return NOBODY
        concept = pen.pick(free)
        if not form or not concept.paired:
            return self.names.name(pen, concept, "")
        name = pen.pick(concept.names)[0]
        return pen.note(Item(name, name, name, concept.sides[form], False))

    def _except(self, pen: Pen) -> Prompt:
        if self.names.paired and pen.chance(0.2):
            concept, side = pen.pick(self.names.paired), pen.pick(("left", "right"))
            singular, plural = pen.pick(concept.names)
            way = pen.pick(words.OTHER_SIDE[self.at])
            pen.note(Item("", "", plural, frozenset(), True))
            text = sided(way, singular, plural, side)
            asked = concept.sides[""] - concept.sides[side]
            return _prompt(self._plain_ask(pen, text), asked, "except")
        if self.names.divided and pen.chance(0.6):
            group = pen.pick(self.names.divided)
            named, asked = self.names.name(pen, group, "").text, group.sides[""]
            out = self.names.any(pen, pen.pick(self.names.parts[group.key]), explicit=True)
        else:
            named, asked = pen.pick(words.EVERYTHING[self.at]), self.names.all
            pool = self.names.groups if self.names.groups and pen.chance(0.3) else self.names.single
            out = self.names.any(pen, pen.pick(pool))
        text = fill(pen.pick(words.EXCEPT[self.at]), x=out).replace("{g}", named)
        return _prompt(self._plain_ask(pen, text), asked - out.labels, "except")

    def _plain_ask(self, pen: Pen, text: str) -> str:
        """A wrapping for a text that is a phrase, not a sentence with a verb of its own."""
        if text.startswith(("segment ", "please ", "extract ", "delineate ")) or "." in text:
            return text
        return self._ask(pen, text) if pen.chance(0.5) else text

    def _everything(self, pen: Pen) -> Prompt:
        text = self._ask(pen, pen.pick(words.EVERYTHING[self.at]))
        return _prompt(text, self.names.all, "everything")

    def _elsewhere(self, pen: Pen) -> Prompt:
        named = [pen.pick(words.ELSEWHERE[self.at]) for _ in range(1 + pen.chance(0.3))]
        return _prompt(self._ask(pen, " and ".join(named)), frozenset(), "elsewhere")

    def _mixed(self, pen: Pen) -> Prompt:
        """Something known beside something that no label stands for."""
        item = self.names.any(pen, pen.pick(self.names.single), explicit=True)
        other = pen.pick(words.ELSEWHERE[self.at])
        text = f"{item.text} and {other}" if pen.chance(0.5) else f"{other} and {item.text}"
        if text.startswith(other) and not item.plural and " " in other:
            text = f"{item.text}, {other}"  # else the side of the one might be read for the other
        return _prompt(self._ask(pen, text), item.labels, "mixed")

    def _nothing(self, pen: Pen) -> Prompt:
        return _prompt(pen.pick(words.NOTHING[self.at]), frozenset(), "nothing")


def _prompt(text: str, asked: Iterable[int], kind: str) -> Prompt:
    return Prompt(text, frozenset(asked), frozenset(), kind)
