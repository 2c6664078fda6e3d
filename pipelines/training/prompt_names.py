"""Structures and groups of a label table, as they are named in training prompts."""

from __future__ import annotations

from dataclasses import dataclass

from mmtool.models.text.vocabulary import by_concept
from mmtool.models.text.words import is_plural
from mmtool.pipelines.training import prompt_anatomy as anatomy
from mmtool.pipelines.training import prompt_words as words
from mmtool.pipelines.training.prompt_pen import NOBODY, Item, Pen, sided

# Concepts that lie in a cerebral hemisphere, so that "of the left hemisphere" tells their side.
_NO_HEMISPHERE = ("cerebellar cortex", "cerebellar white matter", "cerebellum", "cerebrum")


@dataclass(frozen=True, slots=True)
class Concept:
    """What can be named: its names in this split and its labels by side."""

    key: str
    names: tuple[tuple[str, str], ...]
    sides: dict[str, frozenset[int]]  # "left", "right", "" for all
    paired: bool  # every label has a side


def concepts(names: anatomy.Names, labels: dict[str, int], split: int) -> list[Concept]:
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
        pairs = [spelling.partition("/") for spelling in spellings[split]]
        if sides[""]:
            frozen = {side: frozenset(found) for side, found in sides.items()}
            paired = paired and bool(frozen["left"] and frozen["right"])
            out.append(Concept(key, tuple((s, p or s) for s, _, p in pairs), frozen, paired))
    return out


class Namer:
    """Names what a table has.

    Args:
        labels: Name -> index.
        at: Split of the ways to say a side.
        names: Split of the names.
    """

    def __init__(self, labels: dict[str, int], at: int, names: int) -> None:
        self.at = at
        single = concepts(anatomy.NAMES, labels, names)
        self.whole = [c for c in single if c.key == "brain"]
        self.single = [c for c in single if c.key != "brain"]
        if not self.single:
            raise ValueError("no structure of the head is in the table")
        self.paired = [c for c in self.single if c.paired]
        self.groups = concepts(anatomy.GROUPS, labels, names)
        self.all = frozenset(labels.values()) - {labels.get("brain", 0)}
        self.parts = {
            g.key: [c for c in self.single if c.sides[""] < g.sides[""]] for g in self.groups
        }
        self.divided = [g for g in self.groups if self.parts[g.key]]
        self.described = [c for c in (*self.single, *self.groups) if c.key in anatomy.ADJECTIVES]

    def name(self, pen: Pen, concept: Concept, form: str, *, alone: bool = False) -> Item:
        """A concept on one side ("left"), on "both", or with no side said ("")."""
        singular, plural = pen.pick(concept.names)
        if form in ("left", "right"):
            way = pen.pick(words.ONE_SIDE[self.at])
            if "hemisphere" in way and concept.key in _NO_HEMISPHERE:
                way = "{o} {s}"
            # "caudate, left, right putamen" could be read both ways
            if not alone and ("," in way or "-" in way.replace("-s", "")):
                way = "{o} {s}"
            bare = sided(way, singular, plural, form)
            text = bare if bare.startswith("the ") else pen.pick(("", "the ")) + bare
            return pen.note(Item(text, bare, singular, concept.sides[form], False))
        if form == "both":
            way = pen.pick(words.BOTH_SIDES[self.at])
            plain = way.removeprefix("the ") == "{p}" and singular == plural
            if plain or ("," in way and not alone):
                way = "both {p}"
            bare = sided(way, singular, plural, "left")
            name = plural if "{p}" in way else singular
            return pen.note(Item(bare, bare, name, concept.sides[""], True))
        name = plural if pen.chance(0.5) else singular
        bare = name if pen.chance(0.6) else f"the {name}"
        return pen.note(Item(bare, bare, name, concept.sides[""], _is_plural(name, singular)))

    def any(self, pen: Pen, concept: Concept, *, explicit: bool = False) -> Item:
        """A concept in any form; ``explicit`` says the side of all that has one."""
        if not concept.paired:
            return self.name(pen, concept, "")
        forms = ("left", "right", "both") if explicit else ("left", "right", "both", "")
        return self.name(pen, concept, pen.pick(forms))

    def adjective(self, pen: Pen, taken: frozenset[int], side: str | None = None) -> Item:
        """ "Left hippocampal", of what shares no label with ``taken``.

        Args:
            pen: The chance.
            taken: Labels.
            side: Of a word before it that holds for this one too; it is not said again.
        """
        free = [c for c in self.described if not c.sides[""] & taken]
        free = [c for c in free if c.paired] if side is not None else free
        if not free:
            return NOBODY
        concept = pen.pick(free)
        word = anatomy.ADJECTIVES[concept.key]
        if side is not None:
            return Item(word, word, side, concept.sides[side], False)
        said = pen.pick(("left", "right", "left", "right", "bilateral", "")) * concept.paired
        side = said if said in concept.sides else ""
        before = f"{said}-sided" if side and pen.chance(0.15) else said
        text = f"{before} {word}".strip()
        return Item(text, text, side, concept.sides[side], False)

    def apart(
        self, pen: Pen, taken: frozenset[int], *, groups: float = 0.15, bare: bool = False
    ) -> Item:
        """An item that shares no label with ``taken`` and says its side, or, if ``bare``, none."""
        for _ in range(8):
            pool = self.single
            if self.groups and pen.chance(groups):
                pool = self.groups
            concept = pen.pick(pool)
            if pool is self.groups and not concept.paired and not bare:
                continue  # a side would have to leave its midline out
            item = self.name(pen, concept, "") if bare else self.any(pen, concept, explicit=True)
            if not item.labels & taken:
                return item
            pen.items.pop()
        free = [c for c in self.single if not c.sides[""] & taken]
        if not free:
            return NOBODY
        concept = pen.pick(free)
        return self.name(pen, concept, "") if bare else self.any(pen, concept, explicit=True)


def _is_plural(name: str, singular: str) -> bool:
    return name != singular or is_plural(name.rpartition(" ")[2].lower())
