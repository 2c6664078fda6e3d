"""Reports among the training prompts: findings, what is normal, what is gone, and the rest."""

from __future__ import annotations

from mmtool.pipelines.training import prompt_findings as words
from mmtool.pipelines.training import prompt_words
from mmtool.pipelines.training.prompt_names import Namer
from mmtool.pipelines.training.prompt_pen import NOBODY, Item, Pen, Prompt, fill

_LISTS = prompt_words.FILL | words.FILL
# Share of the sentences that say no side, and of what is normal in the others.
_BARE, _BARE_NORMAL = 0.3, 0.35


class Report:
    """Sentences and what they said so far; no label is spoken of twice."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.asked: frozenset[int] = frozenset()
        self.absent: frozenset[int] = frozenset()
        self.taken: frozenset[int] = frozenset()


class Reporter:
    """Writes the reports of one table and split."""

    def __init__(self, names: Namer) -> None:
        self.names = names
        self.at = names.at

    def report(self, pen: Pen) -> Prompt:
        report = Report()
        for number in range(1 + int(pen.random() * pen.pick((3, 4, 7)))):
            kind = 0.0 if not number else pen.random()
            if kind < 0.5:
                self._find(pen, report)
            elif kind < 0.82:
                self._normal(pen, report)
            elif kind < 0.92:
                self._say(pen, report, words.GONE)
            else:
                self._group_but(pen, report)
        return self._typed(pen, report, "report")

    def normal(self, pen: Pen) -> Prompt:
        report = Report()
        for _ in range(1 + int(pen.random() * 4)):
            self._normal(pen, report)
        return self._typed(pen, report, "normal")

    def foreign(self, pen: Pen) -> Prompt:
        """A report of other parts of the body."""
        report = Report()
        report.sentences = [self._chatter(pen) for _ in range(2 + int(pen.random() * 7))]
        return self._typed(pen, report, "foreign")

    def _find(self, pen: Pen, report: Report) -> None:
        kind = pen.random()
        if kind < 0.18:
            self._say(pen, report, words.CHANGED_ADJECTIVE)
        else:
            self._say(pen, report, words.CHANGED if kind < 0.75 else words.CHANGED_AND_NORMAL)

    def _normal(self, pen: Pen, report: Report) -> None:
        self._say(pen, report, words.NORMAL_ADJECTIVE if pen.chance(0.1) else words.NORMAL)

    def _say(self, pen: Pen, report: Report, templates: prompt_words.Split3) -> None:
        template = pen.expand(pen.pick(templates[self.at]), _LISTS)
        slots: dict[str, Item] = {}
        taken = report.taken
        bare = pen.chance(_BARE)
        for slot in "abjqnmkizy":
            if f"{{{slot}" in template or f"{{{slot.upper()}}}" in template:
                slots[slot] = self._item(pen, slot, slots, taken, bare=bare)
                taken |= slots[slot].labels
        if NOBODY in slots.values():  # the table has no more structures to speak of
            return
        report.taken = taken
        report.asked |= frozenset(i for s in "abjq" if s in slots for i in slots[s].labels)
        report.absent |= slots["z"].labels if "z" in slots else frozenset()
        report.sentences.append(fill(template, **slots))

    def _item(
        self, pen: Pen, slot: str, slots: dict[str, Item], taken: frozenset[int], *, bare: bool
    ) -> Item:
        """What stands in a slot.

        ``bare``: none of the sentence says a side. Among those that do, what is normal may still
        say none: "atrophy of the left hippocampus; the thalamus is normal" asks for the same
        whichever side the reader takes it for.
        """
        if slot in "ji":
            return self.names.adjective(pen, taken)
        if slot == "q":
            return self.names.adjective(pen, taken, slots["j"].name)
        bare = bare or (slot in "nmk" and pen.chance(_BARE_NORMAL))
        return self.names.apart(pen, taken, bare=bare)

    def _group_but(self, pen: Pen, report: Report) -> None:
        free = [g for g in self.names.divided if not g.sides[""] & report.taken]
        if not free:
            return
        group = pen.pick(free)
        sides = not pen.chance(_BARE)
        part = self.names.any(pen, pen.pick(self.names.parts[group.key]), explicit=sides)
        named = self.names.name(pen, group, "")
        template = pen.expand(pen.pick(words.GROUP_BUT[self.at]), _LISTS)
        report.sentences.append(fill(template, g=named, n=part))
        report.taken |= group.sides[""]
        report.asked |= group.sides[""] - part.labels

    def _chatter(self, pen: Pen) -> str:
        return pen.expand(pen.pick(words.CHATTER[self.at]), _LISTS)

    def _typed(self, pen: Pen, report: Report, kind: str) -> Prompt:
        """The sentences as a report: bare, among others, or under headings."""
        sentences = list(report.sentences)
        if pen.chance(0.45):
            for _ in range(1 + int(pen.random() * pen.pick((2, 5)))):
                sentences.insert(int(pen.random() * (len(sentences) + 1)), self._chatter(pen))
        dashed = any(s.startswith("- ") for s in sentences)
        if dashed or pen.chance(0.08):
            sentences = [s if s.startswith("- ") else f"- {s}" for s in sentences]
        body = ("\n" if dashed or pen.chance(0.15) else " ").join(sentences)
        if pen.chance(0.45):
            body = self._headed(pen, body, sentences, dashed)
        return Prompt(body, frozenset(report.asked), frozenset(report.absent), kind)

    def _headed(self, pen: Pen, body: str, sentences: list[str], dashed: bool) -> str:
        heading = pen.pick(words.ASKING[self.at])
        parts = [f"{heading}{chr(10) if dashed else ' '}{body}"]
        if pen.chance(0.6):
            history = pen.expand(pen.pick(words.HISTORY[self.at]), _LISTS)
            item = self.names.any(pen, pen.pick(self.names.single), explicit=True)
            parts.insert(0, fill(history, h=item))
        if pen.chance(0.5):
            parts.insert(0, pen.expand(pen.pick(words.BACKGROUND[self.at]), _LISTS))
        if pen.chance(0.25) and sentences:  # said again
            again = pen.pick(sentences).removeprefix("- ")
            parts.append(f"IMPRESSION: {again}")
        if len(parts) > 1 and not dashed and pen.chance(0.3):
            return " ".join(p if p.endswith((".", "?")) else f"{p}." for p in parts)
        return "\n".join(parts)
