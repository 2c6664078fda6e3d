"""Training prompts: words with the labels that they ask for, right by construction.

The meaning is that of ``docs/text.md``: a prompt asks for what it names less what it excludes; a
report asks for the structures with a finding, and not for those that it calls normal or absent.
A report of normal structures only asks for nothing here (``mmtool segment`` then gives all).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np

from mmtool.models.text.vocabulary import by_concept
from mmtool.pipelines.training import prompt_words as words
from mmtool.types import Label

Split = Literal["train", "unseen"]
_T = TypeVar("_T")
_MISSPELT = 0.04  # share of prompts
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Concepts that lie in a cerebral hemisphere, so that "of the left hemisphere" tells their side.
_NO_HEMISPHERE = ("cerebellar cortex", "cerebellar white matter", "cerebellum", "cerebrum")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text and what it asks for.

    Attributes:
        text: The words, as a user might type them.
        asked: Label indices to segment; may be empty.
        absent: Label indices that the text says are not there.
        kind: ``one``, ``both``, ``unsided``, ``group``, ``list``, ``except``, ``everything``,
            ``report``, ``normal``, ``mixed``, ``elsewhere`` or ``nothing``.
        misspelt: Whether a structure's name has a wrong letter.
    """

    text: str
    asked: frozenset[int]
    absent: frozenset[int]
    kind: str
    misspelt: bool = False


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


@dataclass(frozen=True, slots=True)
class _Concept:
    """What can be named: its names in this split and its labels by side."""

    key: str
    names: tuple[tuple[str, str], ...]
    sides: dict[str, frozenset[int]]  # "left", "right", "" for all
    paired: bool  # every label has a side


@dataclass(frozen=True, slots=True)
class _Item:
    """A concept as named in a sentence."""

    text: str
    bare: str
    name: str
    labels: frozenset[int]
    plural: bool


def _concepts(
    names: dict[str, tuple[tuple[str, ...], tuple[str, ...]]], labels: dict[str, int], split: int
) -> list[_Concept]:
    out = []
    for key, spellings in names.items():
        sides: dict[str, set[int]] = {"left": set(), "right": set(), "": set()}
        paired = True
        for structure in by_concept()[key].structures:
            for side in ("left", "right"):
                if (index := labels.get(f"{side} {structure}")) is not None:
                    sides[side].add(index)
                    sides[""].add(index)
            if structure in labels:
                sides[""].add(labels[structure])
                paired = False
        pairs = (spelling.partition("/") for spelling in spellings[split])
        if sides[""]:
            frozen = {side: frozenset(found) for side, found in sides.items()}
            paired = paired and bool(frozen["left"] and frozen["right"])
            out.append(_Concept(key, tuple((s, p) for s, _, p in pairs), frozen, paired))
    return out


@lru_cache(maxsize=16)
def _author(table: tuple[tuple[str, int], ...], split: Split) -> _Author:
    return _Author(dict(table), split)


class _Author:
    """Writes the prompts of one table and split."""

    def __init__(self, labels: dict[str, int], split: Split) -> None:
        if split not in ("train", "unseen"):
            raise ValueError(f"split is {split!r}: 'train' or 'unseen'")
        self.at = at = 0 if split == "train" else 1
        single = _concepts(words.NAMES, labels, at)
        self.whole = [c for c in single if c.key == "brain"]
        self.single = [c for c in single if c.key != "brain"]
        if not self.single:
            raise ValueError("no structure of the head is in the table")
        self.paired = [c for c in self.single if c.paired]
        self.groups = _concepts(words.GROUPS, labels, at)
        self.described = [c for c in self.paired if c.key in words.ADJECTIVES and not at]
        self.all = frozenset(labels.values()) - {labels.get("brain", 0)}
        self.parts = {
            g.key: [c for c in self.single if c.sides[""] < g.sides[""]] for g in self.groups
        }
        self.divided = [g for g in self.groups if self.parts[g.key]]
        kinds: list[tuple[float, str, Callable[[_Pen], Prompt]]] = [
            (0.16, "one", self._one), (0.07, "both", self._both), (0.09, "unsided", self._unsided),
            (0.08, "group", self._group), (0.16, "list", self._list),
            (0.11, "except", self._except), (0.02, "everything", self._everything),
            (0.19, "report", self._report), (0.04, "normal", self._normal),
            (0.03, "mixed", self._mixed), (0.035, "elsewhere", self._elsewhere),
            (0.015, "nothing", self._nothing),
        ]  # fmt: skip
        self.kinds = [(kind, write) for _, kind, write in kinds]
        self.shares = np.cumsum([share for share, _, _ in kinds])

    def draw(self, rng: np.random.Generator) -> Prompt:
        pen = _Pen(rng)
        at = int(np.searchsorted(self.shares, pen.random() * self.shares[-1], side="right"))
        _, write = self.kinds[min(at, len(self.kinds) - 1)]
        plain = write(pen)
        text, misspelt = plain.text, False
        if pen.items and pen.chance(_MISSPELT):
            text, misspelt = pen.misspell(text)
        text = text if plain.kind == "nothing" else pen.dress(text)
        return Prompt(text, plain.asked, plain.absent, plain.kind, misspelt)

    # What is named.

    def _name(self, pen: _Pen, concept: _Concept, form: str, *, alone: bool = False) -> _Item:
        """A concept on one side ("left"), on "both", or with no side said ("")."""
        singular, plural = pen.pick(concept.names)
        if form in ("left", "right"):
            way = pen.pick(words.ONE_SIDE[self.at])
            if "hemisphere" in way and concept.key in _NO_HEMISPHERE:
                way = "{o} {s}"
            if "," in way and not alone:  # "caudate, left, right putamen" could be read both ways
                way = "{o} {s}"
            bare = _sided(way, singular, plural, form)
            text = bare if bare.startswith("the ") else pen.pick(("", "the ")) + bare
            return pen.note(_Item(text, bare, singular, concept.sides[form], False))
        if form == "both":
            way = pen.pick(words.BOTH_SIDES[self.at])
            bare = _sided(way, singular, plural, "left")
            name = plural if "{p}" in way else singular
            return pen.note(_Item(bare, bare, name, concept.sides[""], True))
        name = plural if pen.chance(0.5) else singular
        bare = name if pen.chance(0.6) else f"the {name}"
        return pen.note(_Item(bare, bare, name, concept.sides[""], _is_plural(name, plural)))

    def _any(self, pen: _Pen, concept: _Concept, *, explicit: bool = False) -> _Item:
        """A concept in any form; ``explicit`` says the side of all that has one."""
        if not concept.paired:
            return self._name(pen, concept, "")
        forms = ("left", "right", "both") if explicit else ("left", "right", "both", "")
        return self._name(pen, concept, pen.pick(forms))

    def _apart(self, pen: _Pen, taken: frozenset[int], *, groups: float = 0.15) -> _Item:
        """An item that shares no label with ``taken`` and says its side."""
        for _ in range(8):
            pool = self.single
            if self.groups and pen.chance(groups):
                pool = self.groups
            concept = pen.pick(pool)
            if pool is self.groups and not concept.paired:
                continue  # a side would have to leave its midline out
            item = self._any(pen, concept, explicit=True)
            if not item.labels & taken:
                return item
            pen.items.pop()
        free = [c for c in self.single if not c.sides[""] & taken]
        return self._any(pen, pen.pick(free), explicit=True) if free else _NOBODY

    # Prompts.

    def _ask(self, pen: _Pen, what: str) -> str:
        return pen.pick(words.ASK[self.at]).replace("{x}", what)

    def _one(self, pen: _Pen) -> Prompt:
        concept = pen.pick(self.single)
        form = pen.pick(("left", "right")) if concept.paired else ""
        item = self._name(pen, concept, form, alone=True)
        return _prompt(self._ask(pen, item.text), item.labels, "one")

    def _both(self, pen: _Pen) -> Prompt:
        concept = pen.pick(self.paired or self.single)
        item = self._name(pen, concept, "both" if concept.paired else "")
        return _prompt(self._ask(pen, item.text), item.labels, "both")

    def _unsided(self, pen: _Pen) -> Prompt:
        pool = self.whole if self.whole and pen.chance(0.06) else self.single
        item = self._name(pen, pen.pick(pool), "")
        return _prompt(self._ask(pen, item.text), item.labels, "unsided")

    def _group(self, pen: _Pen) -> Prompt:
        item = self._any(pen, pen.pick(self.groups or self.single))
        return _prompt(self._ask(pen, item.text), item.labels, "group")

    def _list(self, pen: _Pen) -> Prompt:
        count = 2 + int(pen.random() * 5)
        between, last = pen.pick(words.LIST[self.at])
        form = pen.pick(("", "left", "right", "explicit", "explicit", "explicit"))
        items: list[_Item] = []
        taken: frozenset[int] = frozenset()
        for _ in range(count):
            if form == "explicit" or not items:
                item = self._apart(pen, taken) if form == "explicit" else self._first(pen, form)
            else:
                item = self._follower(pen, form, taken)
            if item is not _NOBODY:
                items.append(item)
                taken |= item.labels
        texts = [item.text for item in items]
        text = between.join(texts[:-1]) + last + texts[-1] if len(texts) > 1 else texts[0]
        return _prompt(self._listed(pen, text), taken, "list")

    def _listed(self, pen: _Pen, text: str) -> str:
        if "\n" in text:
            return text if pen.chance(0.5) else "- " + text if "\n- " in text else text
        return self._ask(pen, text)

    def _first(self, pen: _Pen, form: str) -> _Item:
        """First of a list that shares its side ("left caudate, putamen and thalamus")."""
        concept = pen.pick(self.paired or self.single)
        if not form or not concept.paired:
            return self._name(pen, concept, "")
        name = pen.pick(concept.names)[0]
        bare = f"{form} {name}"
        return pen.note(_Item(bare, bare, name, concept.sides[form], False))

    def _follower(self, pen: _Pen, form: str, taken: frozenset[int]) -> _Item:
        free = [c for c in self.single if not c.sides[""] & taken]
        if not free:
            return _NOBODY
        concept = pen.pick(free)
        if not form or not concept.paired:
            return self._name(pen, concept, "")
        name = pen.pick(concept.names)[0]
        return pen.note(_Item(name, name, name, concept.sides[form], False))

    def _except(self, pen: _Pen) -> Prompt:
        if self.paired and pen.chance(0.2):
            concept, side = pen.pick(self.paired), pen.pick(("left", "right"))
            singular, plural = pen.pick(concept.names)
            way = pen.pick(words.OTHER_SIDE[self.at])
            pen.note(_Item("", "", plural, frozenset(), True))
            text = _sided(way, singular, plural, side)
            asked = concept.sides[""] - concept.sides[side]
            return _prompt(self._plain_ask(pen, text), asked, "except")
        if self.divided and pen.chance(0.6):
            group = pen.pick(self.divided)
            named, asked = self._name(pen, group, "").text, group.sides[""]
            out = self._any(pen, pen.pick(self.parts[group.key]), explicit=True)
        else:
            named, asked = pen.pick(words.EVERYTHING[self.at]), self.all
            pool = self.groups if self.groups and pen.chance(0.3) else self.single
            out = self._any(pen, pen.pick(pool))
        text = _fill(pen.pick(words.EXCEPT[self.at]), x=out).replace("{g}", named)
        return _prompt(self._plain_ask(pen, text), asked - out.labels, "except")

    def _plain_ask(self, pen: _Pen, text: str) -> str:
        """A wrapping for a text that is a phrase, not a sentence with a verb of its own."""
        if text.startswith(("segment ", "please ", "extract ", "delineate ")) or "." in text:
            return text
        return self._ask(pen, text) if pen.chance(0.5) else text

    def _everything(self, pen: _Pen) -> Prompt:
        text = self._ask(pen, pen.pick(words.EVERYTHING[self.at]))
        return _prompt(text, self.all, "everything")

    def _elsewhere(self, pen: _Pen) -> Prompt:
        named = [pen.pick(words.ELSEWHERE[self.at]) for _ in range(1 + pen.chance(0.3))]
        return _prompt(self._ask(pen, " and ".join(named)), frozenset(), "elsewhere")

    def _mixed(self, pen: _Pen) -> Prompt:
        """Something known beside something that no label stands for."""
        item = self._any(pen, pen.pick(self.single), explicit=True)
        other = pen.pick(words.ELSEWHERE[self.at])
        text = f"{item.text} and {other}" if pen.chance(0.5) else f"{other} and {item.text}"
        if text.startswith(other) and not item.plural and " " in other:
            text = f"{item.text}, {other}"  # else the side of the one might be read for the other
        return _prompt(self._ask(pen, text), item.labels, "mixed")

    def _nothing(self, pen: _Pen) -> Prompt:
        return _prompt(pen.pick(words.NOTHING[self.at]), frozenset(), "nothing")

    # Reports.

    def _report(self, pen: _Pen) -> Prompt:
        report = _Report()
        for number in range(1 + int(pen.random() * 4)):
            kind = 0.0 if not number else pen.random()
            if kind < 0.5:
                self._find(pen, report)
            elif kind < 0.8:
                self._say(pen, report, words.NORMAL)
            elif kind < 0.92:
                self._say(pen, report, words.GONE)
            else:
                self._group_but(pen, report)
        return self._typed(pen, report, "report")

    def _normal(self, pen: _Pen) -> Prompt:
        report = _Report()
        for _ in range(1 + int(pen.random() * 3)):
            self._say(pen, report, words.NORMAL)
        return self._typed(pen, report, "normal")

    def _find(self, pen: _Pen, report: _Report) -> None:
        kind = pen.random()
        if kind < 0.15 and self.described:
            self._adjective(pen, report)
        else:
            self._say(pen, report, words.CHANGED if kind < 0.75 else words.CHANGED_AND_NORMAL)

    def _say(
        self, pen: _Pen, report: _Report, templates: tuple[tuple[str, ...], tuple[str, ...]]
    ) -> None:
        template = pen.pick(templates[self.at])
        slots: dict[str, _Item] = {}
        for slot in "abnmzy":
            if f"{{{slot}" in template or f"{{{slot.upper()}}}" in template:
                item = self._apart(pen, report.taken)
                if item is _NOBODY:
                    return
                slots[slot] = item
                report.taken |= item.labels
                if slot in "ab":
                    report.asked |= item.labels
                elif slot == "z":
                    report.absent |= item.labels
        report.sentences.append(_fill(template, **slots))

    def _adjective(self, pen: _Pen, report: _Report) -> None:
        """ "Left hippocampal atrophy" for "atrophy of the left hippocampus"."""
        free = [c for c in self.described if not c.sides[""] & report.taken]
        if free:
            concept, side = pen.pick(free), pen.pick(("left", "right", "bilateral"))
            labels = concept.sides["" if side == "bilateral" else side]
            finding = pen.pick(words.ADJECTIVE_FINDINGS)
            adjective = words.ADJECTIVES[concept.key]
            report.sentences.append(f"{side.capitalize()} {adjective} {finding}.")
            report.taken |= labels
            report.asked |= labels

    def _group_but(self, pen: _Pen, report: _Report) -> None:
        free = [g for g in self.divided if not g.sides[""] & report.taken]
        if not free:
            return
        group = pen.pick(free)
        part = self._any(pen, pen.pick(self.parts[group.key]), explicit=True)
        named = self._name(pen, group, "")
        template = pen.pick(words.GROUP_BUT[self.at])
        report.sentences.append(_fill(template, g=named, n=part))
        report.taken |= group.sides[""]
        report.asked |= group.sides[""] - part.labels

    def _typed(self, pen: _Pen, report: _Report, kind: str) -> Prompt:
        """The sentences as a report: bare, among others, or under headings."""
        body = " ".join(report.sentences)
        way = pen.random()
        if way < 0.3:
            for _ in range(1 + int(pen.random() * 2)):
                chatter = pen.pick(words.CHATTER[self.at])
                body = f"{chatter} {body}" if pen.chance(0.6) else f"{body} {chatter}"
        elif way < 0.65:
            parts = [f"{pen.pick(words.ASKING[self.at])} {body}"]
            if pen.chance(0.6):
                history = pen.pick(words.HISTORY[self.at])
                item = self._any(pen, pen.pick(self.single), explicit=True)
                parts.insert(0, _fill(history, h=item))
            if pen.chance(0.5):
                parts.insert(0, pen.pick(words.BACKGROUND[self.at]))
            body = "\n".join(parts)
        return Prompt(body, frozenset(report.asked), frozenset(report.absent), kind)


class _Report:
    """Sentences and what they said so far; no label is spoken of twice."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.asked: frozenset[int] = frozenset()
        self.absent: frozenset[int] = frozenset()
        self.taken: frozenset[int] = frozenset()


class _Pen:
    """The chance of one draw, and what was named in it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.random = rng.random
        self.items: list[_Item] = []

    def pick(self, options: Sequence[_T]) -> _T:
        return options[int(self.random() * len(options))]

    def chance(self, share: float) -> bool:
        return bool(self.random() < share)

    def note(self, item: _Item) -> _Item:
        self.items.append(item)
        return item

    def misspell(self, text: str) -> tuple[str, bool]:
        """One wrong, missing, doubled or swapped letter in a long word of a name."""
        name = self.pick(self.items).name
        long = [word for word in name.split() if len(word) >= 6 and word.isalpha()]
        if not long or name not in text:
            return text, False
        word = self.pick(long)
        at = 1 + int(self.random() * (len(word) - 2))
        edits = (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + self.pick(_LETTERS) + word[at + 1 :],
        )
        wrong = self.pick(edits)
        return text.replace(name, name.replace(word, wrong, 1), 1), wrong != word

    def dress(self, text: str) -> str:
        """Case, end and blanks as people type them."""
        case = self.random()
        if case < 0.06:
            text = text.upper()
        elif case < 0.3:
            text = text.lower()
        elif case < 0.5:
            text = text[:1].upper() + text[1:]
        end = self.random()
        if end < 0.2 and text and text[-1].isalpha():
            text += "."
        elif end < 0.24 and text.endswith("."):
            text = text[:-1]
        elif end > 0.97:
            text = f"  {text} "
        elif end > 0.94:
            text = text.replace(" ", "  ", 1)
        return text


_NOBODY = _Item("", "", "", frozenset(), False)


def _prompt(text: str, asked: Iterable[int], kind: str) -> Prompt:
    return Prompt(text, frozenset(asked), frozenset(), kind)


def _is_plural(name: str, plural: str) -> bool:
    return name == plural and name.endswith(("i", "ae", "a", "s"))


def _sided(way: str, singular: str, plural: str, side: str) -> str:
    short = side[0].upper()
    return (
        way.replace("{s}", singular)
        .replace("{p}", plural)
        .replace("{o}", side)
        .replace("{O}", short)
        .replace("{T}", {"left": "lt", "right": "rt"}[side])
    )


def _fill(template: str, **slots: _Item) -> str:
    """A sentence with its items; a capital letter in braces starts it."""
    for slot, item in slots.items():
        many = item.plural
        for mark, text in (
            (f"{{{slot}}}", item.text),
            (f"{{{slot.upper()}}}", item.text[:1].upper() + item.text[1:]),
            (f"{{{slot}0}}", item.bare.removeprefix("the ")),
            (f"{{{slot}_is}}", "are" if many else "is"),
            (f"{{{slot}_has}}", "have" if many else "has"),
            (f"{{{slot}_s}}", "" if many else "s"),
        ):
            template = template.replace(mark, text)
    return template
