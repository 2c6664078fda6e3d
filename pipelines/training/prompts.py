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

from mmtool.pipelines.training import prompt_anatomy as anatomy
from mmtool.pipelines.training import prompt_words as words
from mmtool.pipelines.training.prompt_names import Namer
from mmtool.pipelines.training.prompt_pen import NOBODY, Item, Pen, Prompt, fill, sided
from mmtool.pipelines.training.prompt_reports import Reporter
from mmtool.types import Label

__all__ = ["Prompt", "Split", "draw_prompt"]

Split = Literal["train", "unseen", "dev"]
_SPLITS: tuple[Split, ...] = ("train", "unseen", "dev")
_MISSPELT, _MISTYPED = 0.06, 0.08  # share of prompts: in a name, in another word


def draw_prompt(
    rng: np.random.Generator,
    table: Sequence[Label],
    *,
    split: Split = "train",
    names: Split | None = None,
) -> Prompt:
    """Draw a prompt or a report about the structures of a head.

    Args:
        rng: The only source of chance: the same state gives the same prompt.
        table: Labels of the model, named as in :mod:`mmtool.anatomy`; ``brain`` may be one.
        split: ``unseen`` and ``dev`` draw from other templates and other names than ``train``.
        names: Split of the names, where it is another.

    Raises:
        ValueError: The table has none of the structures of the head; no split is named so.
    """
    labels = tuple((label.name, label.index) for label in table)
    return _author(labels, split, names or split).draw(rng)


@lru_cache(maxsize=16)
def _author(table: tuple[tuple[str, int], ...], split: Split, names: Split) -> _Author:
    return _Author(dict(table), split, names)


class _Author:
    """Writes the prompts of one table and split."""

    def __init__(self, labels: dict[str, int], split: Split, names: Split) -> None:
        if not {split, names} <= set(_SPLITS):
            raise ValueError(f"splits are {', '.join(_SPLITS)}, not {split!r} and {names!r}")
        self.at = _SPLITS.index(split)
        self.names = Namer(labels, self.at, _SPLITS.index(names))
        reports = Reporter(self.names)
        kinds: list[tuple[float, str, Callable[[Pen], Prompt]]] = [
            (0.11, "one", self._one), (0.05, "both", self._both), (0.07, "unsided", self._unsided),
            (0.06, "group", self._group), (0.13, "list", self._list),
            (0.05, "shared", self._shared), (0.08, "except", self._except),
            (0.07, "not", self._not), (0.01, "everything", self._everything),
            (0.25, "report", reports.report), (0.04, "normal", reports.normal),
            (0.04, "mixed", self._mixed), (0.04, "elsewhere", self._elsewhere),
            (0.02, "foreign", reports.foreign), (0.01, "nothing", self._nothing),
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
        elif plain.kind != "nothing" and pen.chance(_MISTYPED):
            text, misspelt = pen.mistype(text)
        text = text if plain.kind == "nothing" else pen.dress(text)
        return Prompt(text, plain.asked, plain.absent, plain.kind, misspelt)

    def _ask(self, pen: Pen, what: str) -> str:
        return self._write(pen, words.ASK).replace("{x}", what)

    def _write(self, pen: Pen, templates: words.Split3) -> str:
        return pen.expand(pen.pick(templates[self.at]), words.FILL)

    def _one(self, pen: Pen) -> Prompt:
        concept = pen.pick(self.names.single)
        form = pen.pick(("left", "right")) if concept.paired else ""
        item = self.names.name(pen, concept, form, alone=True)
        return _prompt(self._ask(pen, item.text), item.labels, "one")

    def _both(self, pen: Pen) -> Prompt:
        concept = pen.pick(self.names.paired or self.names.single)
        form = "both" if concept.paired else ""
        item = self.names.name(pen, concept, form, alone=True)
        return _prompt(self._ask(pen, item.text), item.labels, "both")

    def _unsided(self, pen: Pen) -> Prompt:
        pool = self.names.whole if self.names.whole and pen.chance(0.06) else self.names.single
        item = self.names.name(pen, pen.pick(pool), "")
        return _prompt(self._ask(pen, item.text), item.labels, "unsided")

    def _group(self, pen: Pen) -> Prompt:
        item = self.names.any(pen, pen.pick(self.names.groups or self.names.single))
        return _prompt(self._ask(pen, item.text), item.labels, "group")

    def _list(self, pen: Pen) -> Prompt:
        count = 2 + int(pen.random() * pen.pick((3, 5, 8)))
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
        if "\n" not in text:
            return self._ask(pen, text)
        mark = text[text.index("\n") + 1 :][:2]
        text = mark + text if not mark[0].isalnum() and pen.chance(0.8) else text
        before = pen.pick(words.BEFORE_LIST[self.at]) if pen.chance(0.4) else ""
        return f"{pen.expand(before, words.FILL)}\n{text}" if before else text

    def _shared(self, pen: Pen) -> Prompt:
        """One side for all of a list ("left side: caudate and putamen")."""
        if len(self.names.paired) < 2:
            return self._one(pen)
        side = pen.pick(("left", "right", ""))
        labels: frozenset[int] = frozenset()
        texts: list[str] = []
        for _ in range(2 + int(pen.random() * 3)):
            concept = pen.pick(self.names.paired)
            if not concept.sides[""] & labels:
                name = pen.pick(concept.names)[0]
                texts.append(name)
                pen.note(Item(name, name, name, frozenset(), False))
                labels |= concept.sides[""]
        asked = frozenset(i for c in self.names.paired for i in c.sides[side] if i in labels)
        between, last = pen.pick([w for w in words.LIST[self.at] if w[0][0] not in "\n;"])
        listed = between.join(texts[:-1]) + last + texts[-1] if len(texts) > 1 else texts[0]
        way = self._write(pen, words.SHARED if side else words.SHARED_BOTH)
        text = sided(way, "", "", side or "left").replace("{l}", listed)
        return _prompt(self._plain_ask(pen, text) if ":" not in text else text, asked, "shared")

    def _not(self, pen: Pen) -> Prompt:
        if self.names.paired and pen.chance(0.3):
            concept, side = pen.pick(self.names.paired), pen.pick(("left", "right"))
            singular, plural = pen.pick(concept.names)
            text = sided(self._write(pen, words.THIS_SIDE), singular, plural, side)
            pen.note(Item("", "", singular, frozenset(), False))
            return _prompt(self._plain_ask(pen, text), concept.sides[side], "not")
        item = self.names.apart(pen, frozenset())
        out = self.names.apart(pen, item.labels)
        if out is NOBODY or pen.chance(0.2):
            other = self._other(pen)
            out = Item(other, other, other, frozenset(), False)
        text = fill(self._write(pen, words.NOT), x=item, y=out)
        return _prompt(text, item.labels, "not")

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
            way = self._write(pen, words.OTHER_SIDE)
            pen.note(Item("", "", plural, frozenset(), True))
            text = sided(way, singular, plural, side)
            asked = concept.sides[""] - concept.sides[side]
            return _prompt(self._plain_ask(pen, text), asked, "except")
        if self.names.divided and pen.chance(0.6):
            group = pen.pick(self.names.divided)
            named, asked = self.names.name(pen, group, "").text, group.sides[""]
            out = self.names.any(pen, pen.pick(self.names.parts[group.key]), explicit=True)
        else:
            named, asked = pen.pick(anatomy.EVERYTHING[self.at]), self.names.all
            pool = self.names.groups if self.names.groups and pen.chance(0.3) else self.names.single
            out = self.names.any(pen, pen.pick(pool))
        way = pen.pick(words.EXCEPT[self.at])
        text = fill(pen.expand(way, words.FILL), x=out).replace("{g}", named)
        if way.startswith("{g}"):
            text = self._plain_ask(pen, text)
        return _prompt(text, asked - out.labels, "except")

    def _plain_ask(self, pen: Pen, text: str) -> str:
        """A wrapping for a text that is a phrase, not a sentence with a verb of its own."""
        return self._ask(pen, text) if "." not in text and pen.chance(0.5) else text

    def _everything(self, pen: Pen) -> Prompt:
        text = self._ask(pen, pen.pick(anatomy.EVERYTHING[self.at]))
        return _prompt(text, self.names.all, "everything")

    def _elsewhere(self, pen: Pen) -> Prompt:
        named = [self._other(pen) for _ in range(1 + pen.chance(0.3))]
        return _prompt(self._ask(pen, " and ".join(named)), frozenset(), "elsewhere")

    def _other(self, pen: Pen) -> str:
        """Something that no label stands for; half of it is spelled like a name."""
        lists = anatomy.NEAR_MISSES if pen.chance(0.5) else anatomy.ELSEWHERE
        other = pen.pick(lists[self.at])
        return f"the {other}" if pen.chance(0.25) else other

    def _mixed(self, pen: Pen) -> Prompt:
        """Something known beside something that no label stands for."""
        item = self.names.any(pen, pen.pick(self.names.single), explicit=True)
        other = self._other(pen)
        text = f"{item.text} and {other}" if pen.chance(0.5) else f"{other} and {item.text}"
        if text.startswith(other) and not item.plural and " " in other:
            text = f"{item.text}, {other}"  # else the side of the one might be read for the other
        return _prompt(self._ask(pen, text), item.labels, "mixed")

    def _nothing(self, pen: Pen) -> Prompt:
        return _prompt(pen.pick(anatomy.NOTHING[self.at]), frozenset(), "nothing")


def _prompt(text: str, asked: Iterable[int], kind: str) -> Prompt:
    return Prompt(text, frozenset(asked), frozenset(), kind)
