"""Words of the text generator: lower-case words and stops of the captions that it learned from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PAD, START, END, OTHER = 0, 1, 2, 3
SPECIAL = 4  # numbers before the first word
_TOKEN = re.compile(r"[A-Za-z0-9]+|[.,;:()/-]")
_FEWEST = 2  # captions that have a word
_TIGHT_BEFORE, _TIGHT_AFTER = ".,;:)/-", "(/-"


@dataclass(frozen=True)
class Vocabulary:
    """Words by their numbers.

    Attributes:
        words: In the spelling that is most frequent; number `SPECIAL` and on.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, captions: Iterable[str]) -> Vocabulary:
        """The words that several captions have; of equal counts by the alphabet."""
        counts: Counter[str] = Counter()
        spelt: dict[str, Counter[str]] = {}
        for caption in captions:
            tokens = _TOKEN.findall(caption)
            counts.update({token.lower() for token in tokens})
            for before, token in zip([".", *tokens], tokens, strict=False):
                # The first letter of a sentence tells nothing of how a word is spelt.
                if before != "." or token[1:] != token[1:].lower():
                    spelt.setdefault(token.lower(), Counter())[token] += 1
        kept = sorted((-n, word) for word, n in counts.items() if n >= _FEWEST)
        return cls(tuple(_spelling(word, spelt.get(word)) for _, word in kept))

    @property
    def size(self) -> int:
        """Numbers in all."""
        return SPECIAL + len(self.words)

    def numbers(self, text: str, most: int) -> list[int]:
        """Start, words and end, ``most`` words at most; a word that is not known is `OTHER`."""
        place = {word.lower(): SPECIAL + k for k, word in enumerate(self.words)}
        tokens = [place.get(token.lower(), OTHER) for token in _TOKEN.findall(text)[:most]]
        return [START, *tokens, END]

    def text(self, numbers: Sequence[int]) -> str:
        """Sentences of numbers, up to the end; special ones are left out."""
        out = ""
        begins = True
        for number in numbers:
            if number == END:
                break
            if number < SPECIAL:
                continue
            word = self.words[number - SPECIAL]
            gap = "" if not out or word in _TIGHT_BEFORE or out[-1] in _TIGHT_AFTER else " "
            out += gap + (word[:1].upper() + word[1:] if begins else word)
            begins = word == "."
        return out if not out or out.endswith(".") else out + "."


def _spelling(word: str, seen: Counter[str] | None) -> str:
    """The most frequent spelling of a word; of equal counts the first by the alphabet."""
    return min(seen, key=lambda s: (-seen[s], s)) if seen else word
