"""The chance in a training prompt: what is picked, misspelt and typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

_T = TypeVar("_T")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


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


@dataclass(frozen=True, slots=True)
class Item:
    """A concept as named in a sentence."""

    text: str
    bare: str
    name: str
    labels: frozenset[int]
    plural: bool


NOBODY = Item("", "", "", frozenset(), False)


class Pen:
    """The chance of one draw, and what was named in it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.random = rng.random
        self.items: list[Item] = []

    def pick(self, options: Sequence[_T]) -> _T:
        return options[int(self.random() * len(options))]

    def chance(self, share: float) -> bool:
        return bool(self.random() < share)

    def note(self, item: Item) -> Item:
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


def sided(way: str, singular: str, plural: str, side: str) -> str:
    short = side[0].upper()
    return (
        way.replace("{s}", singular)
        .replace("{p}", plural)
        .replace("{o}", side)
        .replace("{O}", short)
        .replace("{T}", {"left": "lt", "right": "rt"}[side])
    )


def fill(template: str, **slots: Item) -> str:
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
