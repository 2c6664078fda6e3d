"""What can be asked for of a label table, and what is known but not in it.

A *concept* (``concepts_brain.py``, ``concepts_body.py``) brings its synonyms to every table that
has one of its structures. A name that no concept knows is matched by its own words.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.models.text.concepts_body import BODY_CONCEPTS
from mmtool.models.text.concepts_brain import BRAIN_CONCEPTS, UNKNOWN_PHRASES
from mmtool.models.text.label_names import LabelName, parts, read_name, spellings, stands_alone
from mmtool.models.text.words import Concept, words_of
from mmtool.types import Label

__all__ = ["UNKNOWN_PHRASES", "Lexicon", "Phrase", "by_concept", "lexicon_of", "phrases"]

CONCEPTS: dict[str, Concept] = BRAIN_CONCEPTS | BODY_CONCEPTS
EVERYTHING = "everything"
_OTHER = {"left": "right", "right": "left"}
_MOST_LETTERS = 40  # of a word that is compared with others


@dataclass(frozen=True)
class Phrase:
    """A vocabulary entry.

    Attributes:
        words: Normalised words.
        concept: Name of the concept.
        structures: Structure names without sides; empty for ``everything`` and for the unknown.
        known: Whether the label table has it.
        short: An abbreviation that in a report counts only in capitals.
        terse: Counts only in a prompt.
        owned: Its "left" or "right" belongs to the name and is no side ("left atrium").
    """

    words: tuple[str, ...]
    concept: str
    structures: tuple[str, ...]
    known: bool
    short: bool = False
    terse: bool = False
    owned: bool = False


@lru_cache(maxsize=32)
def lexicon_of(labels: tuple[Label, ...], whole: Label | None = None) -> Lexicon:
    """The vocabulary of a label table.

    Args:
        labels: Labels that a model gives.
        whole: Label of the organ around them, which "everything" doesn't mean.
    """
    return Lexicon(labels, whole)


@cache
def brain_lexicon() -> Lexicon:
    """The vocabulary of the head."""
    return lexicon_of(BRAIN_LABELS, BRAIN)


def phrases() -> dict[str, tuple[Phrase, ...]]:
    """Entries of the head by their first word, longest first."""
    return brain_lexicon().phrases


def by_concept() -> dict[str, Phrase]:
    """One entry of each concept of the head."""
    return brain_lexicon().by_concept


class Lexicon:
    """Phrases of a label table and the labels that they mean.

    Attributes:
        labels: Every label, that of the whole organ first.
        whole: Label of the whole organ, or None.
        by_concept: One phrase of each concept.
    """

    def __init__(self, labels: Sequence[Label], whole: Label | None = None) -> None:
        others = tuple(x for x in labels if whole is None or x.index != whole.index)
        self.labels = others if whole is None else (whole, *others)
        self.whole = whole
        self.by_concept: dict[str, Phrase] = {}
        self._entries: dict[tuple[str, ...], Phrase] = {}
        self._members: dict[str, list[tuple[Label, str]]] = defaultdict(list)
        names = [name for name in map(read_name, self.labels) if name.words]
        self._structure = {
            name.label.index: structure_of(name.words) or " ".join(name.words) for name in names
        }
        own = [name for name in names if not structure_of(name.words)]
        for name in names:
            key = self._structure[name.label.index]
            self._members[key].append((name.label, name.side))
            if name.side:
                self._members[f"{name.side} {key}"].append((name.label, ""))
        self._lone = self._lone_sides(names)
        self._register(names, own)

    @property
    def indices(self) -> frozenset[int]:
        """Indices of all labels."""
        return frozenset(label.index for label in self.labels)

    def find(self, words: tuple[str, ...]) -> Phrase | None:
        """The entry of exactly these normalised words."""
        return self._entries.get(words)

    def labels_of(self, phrase: Phrase, side: str) -> Iterator[Label]:
        """Labels that a phrase means.

        Args:
            phrase: A known phrase.
            side: ``left``, ``right`` or empty for both. What lies in the midline is given only if
                nothing of the phrase has sides: the left ventricle is no third ventricle.
        """
        if phrase.concept == EVERYTHING:
            members = [(x, self.side_of(x.index)) for x in self.labels if x != self.whole]
        else:
            members = [m for name in phrase.structures for m in self._members.get(name, ())]
        sides = {own for _, own in members}
        for label, own in members:
            if not side or own == side or sides == {""}:
                yield label

    def side_of(self, index: int) -> str:
        """``left``, ``right`` or empty for a label."""
        members = self._members.get(self._structure.get(index, ""), ())
        return next((side for label, side in members if label.index == index), "")

    def twin(self, index: int) -> int | None:
        """The same structure on the other side."""
        other = _OTHER.get(self.side_of(index))
        members = self._members.get(self._structure.get(index, ""), ())
        return next((label.index for label, side in members if other and side == other), None)

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of what can be asked for, without sides, in the order of the table."""
        return tuple(dict.fromkeys(self._structure.values()))

    @cached_property
    def longest(self) -> dict[str, int]:
        """First word -> number of words of the longest phrase that begins with it."""
        out: dict[str, int] = {}
        for words in self._entries:
            out[words[0]] = max(len(words), out.get(words[0], 0))
        return out

    @cached_property
    def phrases(self) -> dict[str, tuple[Phrase, ...]]:
        """Entries by their first word, longest first."""
        found: dict[str, list[Phrase]] = defaultdict(list)
        for phrase in sorted(self._entries.values(), key=lambda p: -len(p.words)):
            found[phrase.words[0]].append(phrase)
        return {first: tuple(entries) for first, entries in found.items()}

    @cached_property
    def words(self) -> frozenset[str]:
        """All words of all entries."""
        return frozenset(word for words in self._entries for word in words)

    def nearest(self, word: str) -> str:
        """The known word that a misspelt one may mean, or empty."""
        if not 6 <= len(word) <= _MOST_LETTERS:
            return ""
        candidates = self._spelt.get(word[0], ()) + self._spelt.get(word[1], ())
        fit = [w for w in candidates if abs(len(w) - len(word)) <= 3]
        return next(iter(difflib.get_close_matches(word, fit, 1, 0.84)), "")

    @cached_property
    def _spelt(self) -> dict[str, tuple[str, ...]]:
        """Known words of six letters and more, by their first letter."""
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for phrase in self._entries.values():
            for word in phrase.words:
                if phrase.known and len(word) >= 6:
                    found[word[0]][word] = None
        return {first: tuple(words) for first, words in found.items()}

    # Filling in.

    def _lone_sides(self, names: Iterable[LabelName]) -> dict[str, str]:
        """Structures that the table names on one side only and doesn't call sided."""
        out = {}
        for name in names:
            key = self._structure[name.label.index]
            sides = {side for _, side in self._members[key]}
            if name.side and len(sides) == 1 and name.label.laterality is None:
                out[key] = name.side
        return out

    def _register(self, names: list[LabelName], own: list[LabelName]) -> None:
        for name in own:
            self._add(name.words, " ".join(name.words), (" ".join(name.words),))
        more: dict[str, list[str]] = defaultdict(list)
        for name in own:  # "cerebellum" as one label has the synonyms of the group
            for key in _by_words().get(name.words, ()):
                more[key].append(" ".join(name.words))
        absent = []
        for key, concept in CONCEPTS.items():
            given = (*concept.structures, *more[key])
            has = tuple(s for s in dict.fromkeys(given) if s in self._members)
            for spelling in concept.terse if has else ():
                self._add(words_of(spelling), key, has, terse=True)
            has = has or tuple(s for s in concept.instead if s in self._members)
            if has or key == EVERYTHING:
                self._add_all(key, concept, has, known=True)
            else:
                absent.append((key, concept))
        self._add_own_parts(own)
        for name in names:
            self._add_verbatim(name)
        for spelling in UNKNOWN_PHRASES:
            self._add(words_of(spelling), spelling, (), known=False)
        for key, concept in absent:
            self._add_all(key, concept, (), known=False)

    def _add(
        self,
        words: tuple[str, ...],
        concept: str,
        structures: tuple[str, ...],
        *,
        known: bool = True,
        short: bool = False,
        terse: bool = False,
        owned: bool = False,
    ) -> None:
        if not words:
            return
        phrase = Phrase(words, concept, structures, known, short, terse, owned)
        entry = self._entries.setdefault(words, phrase)
        self.by_concept.setdefault(concept, entry if entry.concept == concept else phrase)
        lone = {self._lone.get(s) for s in structures}
        if known and not owned and len(lone) == 1 and (side := lone.pop()):
            self._add((side, *words), concept, tuple(f"{side} {s}" for s in structures), owned=True)

    def _add_all(
        self, key: str, concept: Concept, structures: tuple[str, ...], *, known: bool
    ) -> None:
        for spelling in concept.phrases:
            words = words_of(spelling)
            self._add(words, key, structures, known=known)
            self._add(without_joints(words), key, structures, known=known)
        for spelling in concept.short:
            self._add(words_of(spelling), key, structures, known=known, short=True)

    def _add_own_parts(self, own: list[LabelName]) -> None:
        """Other word orders of names, and words that several names share ("lung", "rib")."""
        named = dict.fromkeys(name.words for name in own)
        for words in named:
            for other in spellings(words):
                self._add(other, " ".join(words), (" ".join(words),))
        holders: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
        for words in named:
            for run in dict.fromkeys(parts(words)):
                holders[run].append(words)
        for run, holding in holders.items():
            if len(holding) > 1 or stands_alone(run, holding[0]):
                self._add(run, " ".join(run), tuple(" ".join(words) for words in holding))

    def _add_verbatim(self, name: LabelName) -> None:
        """The name as the model writes it, where its words alone would not be found."""
        raw = words_of(" ".join(name.raw))
        sides = {name.side, name.side[:1]} - {""}
        within = any(word in sides for word in raw[1:-1])  # "rib_left_3"
        if within or not set(raw) <= {*name.words, *sides}:
            key = f"{name.side} {self._structure[name.label.index]}".strip()
            self._add(raw, key, (key,), owned=bool(name.side))


def without_joints(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words less "of" and "the"."""
    return tuple(w for w in words if w not in ("of", "the"))


def structure_of(words: tuple[str, ...]) -> str:
    """Name of the structure of a concept that a label's words mean, or empty."""
    exact = _by_structure().get(words)
    if exact is not None:
        return exact
    concepts = [CONCEPTS[key] for key in _by_words().get(words, ())]
    if len(words) == 1 and len(concepts) > 1:
        return ""  # "ventricle" may be one of the heart or those of the brain
    return next((c.structures[0] for c in concepts if len(c.structures) == 1), "")


@cache
def _by_structure() -> dict[tuple[str, ...], str]:
    return {words_of(s): s for concept in CONCEPTS.values() for s in concept.structures}


@cache
def _by_words() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Words of each phrase -> concepts that it is a phrase of."""
    found: dict[tuple[str, ...], dict[str, None]] = defaultdict(dict)
    for key, concept in CONCEPTS.items():
        for spelling in concept.phrases:
            for words in (words_of(spelling), without_joints(words_of(spelling))):
                found[words][key] = None
    return {words: tuple(keys) for words, keys in found.items()}
