"""Reports among the training prompts: findings, what is normal, what is gone, and the rest."""

from __future__ import annotations

from mmtool.pipelines.training import prompt_words as words
from mmtool.pipelines.training.prompt_names import Namer
from mmtool.pipelines.training.prompt_pen import NOBODY, Item, Pen, Prompt, fill


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
        self.described = [c for c in names.paired if c.key in words.ADJECTIVES and not self.at]

    def report(self, pen: Pen) -> Prompt:
        report = Report()
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

    def normal(self, pen: Pen) -> Prompt:
        report = Report()
        for _ in range(1 + int(pen.random() * 3)):
            self._say(pen, report, words.NORMAL)
        return self._typed(pen, report, "normal")

    def _find(self, pen: Pen, report: Report) -> None:
        kind = pen.random()
        if kind < 0.15 and self.described:
            self._adjective(pen, report)
        else:
            self._say(pen, report, words.CHANGED if kind < 0.75 else words.CHANGED_AND_NORMAL)

    def _say(
        self, pen: Pen, report: Report, templates: tuple[tuple[str, ...], tuple[str, ...]]
    ) -> None:
        template = pen.pick(templates[self.at])
        slots: dict[str, Item] = {}
        taken = report.taken
        for slot in "abnmzy":
            if f"{{{slot}" in template or f"{{{slot.upper()}}}" in template:
                slots[slot] = self.names.apart(pen, taken)
                taken |= slots[slot].labels
        if NOBODY in slots.values():  # the table has no more structures to speak of
            return
        report.taken = taken
        report.asked |= frozenset(i for slot in "ab" if slot in slots for i in slots[slot].labels)
        report.absent |= slots["z"].labels if "z" in slots else frozenset()
        report.sentences.append(fill(template, **slots))

    def _adjective(self, pen: Pen, report: Report) -> None:
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

    def _group_but(self, pen: Pen, report: Report) -> None:
        free = [g for g in self.names.divided if not g.sides[""] & report.taken]
        if not free:
            return
        group = pen.pick(free)
        part = self.names.any(pen, pen.pick(self.names.parts[group.key]), explicit=True)
        named = self.names.name(pen, group, "")
        template = pen.pick(words.GROUP_BUT[self.at])
        report.sentences.append(fill(template, g=named, n=part))
        report.taken |= group.sides[""]
        report.asked |= group.sides[""] - part.labels

    def _typed(self, pen: Pen, report: Report, kind: str) -> Prompt:
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
                item = self.names.any(pen, pen.pick(self.names.single), explicit=True)
                parts.insert(0, fill(history, h=item))
            if pen.chance(0.5):
                parts.insert(0, pen.pick(words.BACKGROUND[self.at]))
            body = "\n".join(parts)
        return Prompt(body, frozenset(report.asked), frozenset(report.absent), kind)
