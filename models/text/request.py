"""From a prompt or a report to the labels that it asks for, sentence by sentence."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from mmtool.models.text.mentions import (
    ABSENT,
    EXCLUDED,
    NORMAL,
    PRESENT,
    YARDSTICK,
    Mention,
    find_mentions,
    side_alone,
    status_of,
)
from mmtool.models.text.sections import Sentence, clauses, clean, has_headings, sentences
from mmtool.models.text.vocabulary import EVERYTHING, Lexicon, Phrase, brain_lexicon
from mmtool.models.text.words import normalise_word

_PROMPT_WORDS = 40  # longer texts are read as reports
# A short text that states something of a structure is a report all the same.
_DECLARES = re.compile(
    r"\b(?:is|are|was|were|shows|showed|demonstrates?|appears?|remains?|noted|seen|spared|"
    r"cannot|atrophic|enlarged)\b"
)
_MOST_COMPARED = 400  # different words of one sentence that are compared with known ones
# ... and so is a short finding or its denial. "No lesion in", not "everything without a lesion".
_REPORTS = re.compile(
    r"\b(?:unremarkable|intact|within normal limits|normal(?! (?:tissue|brain\b(?![- ]stem)))|"
    r"age-appropriate|"
    r"(?:no|without|absence of|negative for)(?:\s+\w+){0,3}\s+(?:abnormality|lesion|mass|infarct|"
    r"atrophy|evidence|h(?:a)?emorrhage|(?:o)?edema|change|gliosis|signs?|tumou?r|enhancement)"
    r" (?:of|in|within|involving)|status post|s/p|sparing|spared|resected|agenesis|preserved|"
    r"compared (?:with|to)|isointense|ha(?:s|ve) been)\b"
)
# Words of who wants something segmented: then "is" states nothing.
_WANTS = re.compile(
    r"\b(?:segment|outline|delineate|contour|extract|annotate|isolate|highlight|trace the|"
    r"i (?:want|need)|interested in|where (?:is|are)|show me|give me|mask of|roi|"
    r"(?:region|structure|area)s? of interest)\b"
)
_MARKS = " \t,;-*\u2022"  # around a line of a list
_LINE_WORDS = 8  # of a line in a list
_SENTENCES = 3  # of a prompt that says what it wants
_VOLUME = re.compile(r"\b(\d{1,4}(?:\.\d{1,3})?)\s?(?:ml|cc|cm3|cm\^3|cubic centimeters?)\b")
_COMPARED = re.compile(r"\b(smaller|larger|bigger)\b(?: in size| in volume)? than\b")
_FILLER = frozenset(
    "a an and the of in on at to with all both also please segment show find me mark outline label "
    "measure draw give delineate contour volume volumes mask masks structure structures left right "
    "l r lt rt bilateral bilaterally side sides sided plus as well or only just then from for my "
    "this that these those one ones there without no not except excluding but minus is are be scan "
    "image brain "
    "each every any everything region regions area areas part parts whole entire complete total "
    "left-sided right-sided i want need would like extract their its head body third fourth "
    "leave leaving out left-out segmented included needed wanted shown marked ignore omit skip "
    "include other than save do".split()
)


@dataclass(frozen=True)
class Reading:
    """What one sentence says.

    Attributes:
        sentence: The sentence.
        mentions: Structures in it.
        labels: For each mention, the label indices that it means.
        volumes_ml: Volumes stated, mL, each with the labels it speaks of.
        compared: (labels said to be smaller, labels said to be larger), or None.
        suggestions: Word not understood -> the one that may be meant, or empty.
    """

    sentence: Sentence
    mentions: tuple[Mention, ...]
    labels: tuple[tuple[int, ...], ...]
    volumes_ml: tuple[tuple[float, tuple[int, ...]], ...] = ()
    compared: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    suggestions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TextRequest:
    """What a text asks for.

    Attributes:
        kind: ``prompt`` or ``report``.
        readings: One a sentence.
        asked: Label indices asked for; None when a report asks for nothing in particular, so
            that everything is meant.
        absent: Label indices that the text says are not there.
        unknown: Structures and findings that no label stands for.
        excluded: Label indices that a prompt takes away.
    """

    kind: str
    readings: tuple[Reading, ...]
    asked: frozenset[int] | None
    absent: frozenset[int]
    unknown: tuple[str, ...]
    excluded: frozenset[int] = frozenset()


@dataclass(frozen=True)
class _Table:
    """The vocabulary, and which of its labels may be asked for."""

    lexicon: Lexicon
    available: Collection[int]

    def labels(self, phrase: Phrase, side: str) -> tuple[int, ...]:
        found = (label.index for label in self.lexicon.labels_of(phrase, side))
        return tuple(index for index in found if index in self.available)

    @property
    def parts(self) -> set[int]:
        """All but the whole organ."""
        whole = self.lexicon.whole
        return {i for i in self.available if whole is None or i != whole.index}


def parse_request(
    text: str, available: Collection[int] | None = None, lexicon: Lexicon | None = None
) -> TextRequest:
    """Read a prompt or a report.

    A prompt asks for every structure that it names, less those that it excludes. A report asks
    for the structures of its findings and impression that are not called normal, negated or
    absent.

    Args:
        text: The user's words.
        available: Label indices that may be asked for; None for all of the lexicon.
        lexicon: Vocabulary of the model's label table; None for that of the head.

    Returns:
        The request. ``asked`` is an empty set when a prompt names nothing that is available.

    Example:
        >>> sorted(parse_request("left hippocampus", {17, 53}).asked)
        [17]
    """
    words_known = lexicon or brain_lexicon()
    table = _Table(words_known, words_known.indices if available is None else available)
    cleaned = _lines_as_list(clean(text))
    found = sentences(cleaned)
    words = len(cleaned.split())
    lower = cleaned.lower()
    short = not has_headings(cleaned) and words <= _PROMPT_WORDS
    wants = short and len(found) <= _SENTENCES and bool(_WANTS.search(lower))
    short = short and len(found) <= 2
    prompt = wants or (short and not _DECLARES.search(lower) and not _REPORTS.search(lower))
    readings = _readings(found, prompt, table)
    if short and not prompt and not any(any(r.labels) for r in readings):
        prompt, readings = True, _readings(found, True, table)
    return _gather("prompt" if prompt else "report", readings, table)


def _lines_as_list(text: str) -> str:
    """A list of one structure a line, as one line with commas."""
    lines = [bare for line in text.strip().rstrip(".").splitlines() if (bare := line.strip(_MARKS))]
    short = 1 < len(lines) <= _PROMPT_WORDS and all(
        len(line.split()) <= _LINE_WORDS
        and line[0].isalnum()
        and line[1:2] not in (".", ")")
        and line[-1] not in ".:"
        for line in lines
    )
    return ", ".join(lines) if short and not has_headings(text) else text


def _readings(found: Sequence[Sentence], prompt: bool, table: _Table) -> list[Reading]:
    out = []
    last: Mention | None = None
    for sentence in found:
        reading, last = _read(sentence, prompt, table, last)
        out.append(reading)
    return out


def _read(
    sentence: Sentence, prompt: bool, table: _Table, last: Mention | None
) -> tuple[Reading, Mention | None]:
    mentions: list[Mention] = []
    carried = ""
    for opener, clause in clauses(sentence.text):
        if opener == "but" and last is not None and last.phrase.concept == EVERYTHING:
            opener = "except"  # "everything but the cerebellum"
        found = find_mentions(clause, table.lexicon, opener=opener, prompt=prompt, carried=carried)
        alone = side_alone(clause, opener if prompt else "")
        if not found and alone and last is not None:
            status, reason = status_of(clause, opener=opener, prompt=prompt)
            found = [replace(last, side=alone, status=status, reason=reason)]
        if found:
            carried = found[-1].side if prompt else ""
            last = next((m for m in reversed(found) if m.phrase.known), last)
        mentions += found
    labels = tuple(table.labels(m.phrase, m.side) if m.phrase.known else () for m in mentions)
    reading = Reading(
        sentence,
        tuple(mentions),
        labels,
        _volumes(sentence.text.lower(), labels),
        _compared(sentence.text.lower(), mentions, table),
        _suggestions(sentence.text, table.lexicon, strict=prompt),
    )
    return reading, last


def _volumes(
    text: str, labels: Sequence[tuple[int, ...]]
) -> tuple[tuple[float, tuple[int, ...]], ...]:
    """Stated volumes, where it is clear which structure they belong to."""
    stated = [float(m.group(1)) for m in _VOLUME.finditer(text)]
    named = [x for x in labels if x]
    if len(stated) == len(named) and stated:
        return tuple(zip(stated, named, strict=True))
    return ()


def _compared(
    text: str, mentions: Sequence[Mention], table: _Table
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """ "The left hippocampus is smaller than the right": (smaller, larger)."""
    match = _COMPARED.search(text)
    known = [m for m in mentions if m.phrase.known and m.side]
    if not match or not known:
        return None
    first = known[0]
    other = "right" if first.side == "left" else "left"
    rest = text[match.end() :]
    if not re.search(rf"\b(?:{other}|contralateral|other side)\b", rest):
        return None
    here, there = (table.labels(first.phrase, side) for side in (first.side, other))
    return (here, there) if match.group(1) == "smaller" else (there, here)


def _suggestions(text: str, lexicon: Lexicon, *, strict: bool) -> tuple[tuple[str, str], ...]:
    """Words that look like misspelt structures; in a prompt also words not understood at all."""
    out = []
    for raw in islice(dict.fromkeys(re.findall(r"[^\W\d_]{3,40}", text.lower())), _MOST_COMPARED):
        word = normalise_word(raw)
        if word in lexicon.words or raw in _FILLER or word in _FILLER:
            continue
        near = lexicon.nearest(raw) or lexicon.nearest(word)
        if near or strict:
            out.append((raw, near))
        if len(out) >= 50:
            break
    return tuple(out)


def _gather(kind: str, readings: list[Reading], table: _Table) -> TextRequest:
    by_status: dict[str, set[int]] = {PRESENT: set(), EXCLUDED: set(), ABSENT: set()}
    unknown: dict[str, None] = {}  # in the order of the text
    for reading in readings:
        if not reading.sentence.asks:
            continue
        spared = _spared(reading)
        for mention, labels in zip(reading.mentions, reading.labels, strict=True):
            if mention.status in by_status:
                by_status[mention.status] |= set(labels) - spared
            if mention.status == PRESENT and not labels:
                unknown.setdefault(mention.phrase.concept)
        if kind == "prompt":
            for word, _ in reading.suggestions:
                unknown.setdefault(word)
    excluded, absent = by_status[EXCLUDED], by_status[ABSENT]
    asked = by_status[PRESENT] - excluded
    if kind == "prompt" and not asked and excluded and not unknown:
        asked = table.parts - excluded
    result = None if kind == "report" and not asked else frozenset(asked)
    return TextRequest(
        kind,
        tuple(readings),
        result,
        frozenset(absent - asked),
        tuple(unknown),
        frozenset(excluded),
    )


def _spared(reading: Reading) -> set[int]:
    """Labels of a group that the same sentence calls normal: "ventricles, except the fourth"."""
    groups: dict[str, set[frozenset[int]]] = {PRESENT: set(), NORMAL: set()}
    for mention, labels in zip(reading.mentions, reading.labels, strict=True):
        if mention.status in groups:
            groups[mention.status].add(frozenset(labels))
    return {
        index
        for labels in groups[NORMAL]
        if any(labels < group for group in groups[PRESENT])
        for index in labels
    }


def why_ignored(mention: Mention, labels: Sequence[int], sentence: Sentence) -> str:
    """Why a mention is not segmented; empty if it is."""
    if not mention.phrase.known:
        return "the model does not know it"
    if not labels:
        return "the model has no such label"
    if not sentence.asks:
        return f"section '{sentence.section}' does not describe this image"
    return {
        NORMAL: f"reported as unremarkable ('{mention.reason}')",
        YARDSTICK: f"named for comparison only ('{mention.reason}')",
        ABSENT: f"reported as absent ('{mention.reason}')",
        EXCLUDED: f"excluded ('{mention.reason}')",
    }.get(mention.status, "")
