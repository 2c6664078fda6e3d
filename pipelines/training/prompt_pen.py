"""The chance in a training prompt: what is picked, misspelt and typed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

_T = TypeVar("_T")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SLOT = re.compile(r"<([A-Za-z][a-z0-9 ]*)>")
# Of words that mean nothing: what a reader doesn't know should not confuse it.
_SYLLABLES = (
    "ba", "cor", "dys", "epi", "fla", "gra", "hem", "in", "ka", "lo",
    "mye", "neo", "os", "peri",  # codespell:ignore mye
    "qua", "ro", "sten", "tri", "ul", "ve", "xan", "zo", "ath", "ber", "con", "del",
    "ment", "plo",  # codespell:ignore ment
)  # fmt: skip
_ENDINGS = ("oma", "itis", "osis", "ate", "ing", "ed", "y", "tion", "", "er", "al", "ism", "e")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text and what it asks for.

    Attributes:
        text: The words, as a user might type them.
        asked: Label indices to segment; may be empty.
        absent: Label indices that the text says are not there.
        kind: ``one``, ``both``, ``unsided``, ``group``, ``list``, ``shared``, ``except``, ``not``,
            ``everything``, ``report``, ``normal``, ``mixed``, ``elsewhere``, ``foreign`` or
            ``nothing``.
        misspelt: Whether a word has a wrong letter.
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

    def expand(self, template: str, lists: Mapping[str, Sequence[str]]) -> str:
        """Put words for ``<slots>``: of a list, a number for ``<n>``, a new word for ``<new>``.

        A slot with a capital gives a word with one.
        """
        while slot := _SLOT.search(template):
            key = slot[1][:1].lower() + slot[1][1:]
            if key == "n":
                word = str(1 + int(self.random() * 98))
            else:
                word = self.invented() if key == "new" else self.pick(lists[key])
            if slot[1][0].isupper():
                word = f"<{word[1].upper()}{word[2:]}" if word[:1] == "<" else capital(word)
            template = template[: slot.start()] + word + template[slot.end() :]
        return template

    def invented(self) -> str:
        """A word that means nothing."""
        parts = [self.pick(_SYLLABLES) for _ in range(1 + int(self.random() * 3))]
        return "".join(parts) + self.pick(_ENDINGS)

    def misspell(self, text: str) -> tuple[str, bool]:
        """One wrong, missing, doubled or swapped letter in a long word of a name."""
        name = self.pick(self.items).name
        long = [word for word in name.split() if len(word) >= 6 and word.isalpha()]
        if not long or name not in text:
            return text, False
        word = self.pick(long)
        wrong = self._slip(word)
        return text.replace(name, name.replace(word, wrong, 1), 1), wrong != word

    def mistype(self, text: str) -> tuple[str, bool]:
        """One such letter in a word of five letters or more that is of no name."""
        named = {word for item in self.items for word in item.name.split()}
        words = [w for w in text.split(" ") if len(w) > 4 and w.isalpha() and w not in named]
        if not words:
            return text, False
        word = self.pick(words)
        wrong = self._slip(word)
        return text.replace(word, wrong, 1), wrong != word

    def _slip(self, word: str) -> str:
        at = 1 + int(self.random() * (len(word) - 2))
        edits = (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + self.pick(_LETTERS) + word[at + 1 :],
        )
        return self.pick(edits)

    def dress(self, text: str) -> str:
        """Case, end and blanks as people type them."""
        case = self.random()
        if case < 0.06:
            text = text.upper()
        elif case < 0.3:
            text = text.lower()
        elif case < 0.5:
            text = capital(text)
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


def capital(text: str) -> str:
    """With a capital at its start."""
    return text[:1].upper() + text[1:]


def sided(way: str, singular: str, plural: str, side: str) -> str:
    short = side[0].upper()
    return (
        way.replace("{s}", singular)
        .replace("{p}", plural)
        .replace("{o}", side)
        .replace("{q}", "right" if side == "left" else "left")
        .replace("{O}", short)
        .replace("{T}", {"left": "lt", "right": "rt"}[side])
    )


def fill(template: str, **slots: Item) -> str:
    """A sentence with its items; a capital letter in braces starts it."""
    for slot, item in slots.items():
        many = item.plural
        for mark, text in (
            (f"{{{slot}}}", item.text),
            (f"{{{slot.upper()}}}", capital(item.text)),
            (f"{{{slot}0}}", item.bare.removeprefix("the ")),
            (f"{{{slot}_is}}", "are" if many else "is"),
            (f"{{{slot}_has}}", "have" if many else "has"),
            (f"{{{slot}_s}}", "" if many else "s"),
        ):
            template = template.replace(mark, text)
    return template
