"""From a prompt or a report to the labels that it asks for, sentence by sentence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

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
from mmtool.models.text.vocabulary import labels_of, normalise_word, phrases, single_words

_PROMPT_WORDS = 40  # longer texts are read as reports
# A short text that states something of a structure is a report all the same.
_DECLARES = re.compile(
    r"\b(?:is|are|was|were|shows|showed|demonstrates?|appears?|remains?|noted|seen|spared|"
    r"cannot|atrophic|enlarged)\b"
)
_VOLUME = re.compile(r"\b(\d{1,4}(?:\.\d{1,3})?)\s?(?:ml|cc|cm3|cm\^3|cubic centimeters?)\b")
_COMPARED = re.compile(r"\b(smaller|larger|bigger)\b(?: in size| in volume)? than\b")
_FILLER = frozenset(
    "a an and the of in on at to with all both also please segment show find me mark outline label "
    "measure draw give delineate contour volume volumes mask masks structure structures left right "
    "l r lt rt bilateral bilaterally side sides sided plus as well or only just then from for my "
    "this that these those one ones there without no not except excluding but minus is are be scan "
    "image brain "
    "each every any everything region regions area areas part parts whole entire complete total "
    "left-sided right-sided i want need would like extract their its head body third fourth".split()
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


def parse_request(text: str, available: Collection[int]) -> TextRequest:
    """Read a prompt or a report.

    A prompt asks for every structure that it names, less those that it excludes. A report asks
    for the structures of its findings and impression that are not called normal, negated or
    absent.

    Args:
        text: The user's words.
        available: Label indices that the model has.

    Returns:
        The request. ``asked`` is an empty set when a prompt names nothing that is available.

    Example:
        >>> sorted(parse_request("left hippocampus", {17, 53}).asked)
        [17]
    """
    cleaned = clean(text)
    found = sentences(cleaned)
    words = len(cleaned.split())
    short = not has_headings(cleaned) and words <= _PROMPT_WORDS and len(found) <= 2
    prompt = short and not _DECLARES.search(cleaned.lower())
    readings = _readings(found, prompt, available)
    if short and not prompt and not any(any(r.labels) for r in readings):
        prompt, readings = True, _readings(found, True, available)
    return _gather("prompt" if prompt else "report", readings, available)


def _readings(found: Sequence[Sentence], prompt: bool, available: Collection[int]) -> list[Reading]:
    out = []
    last: Mention | None = None
    for sentence in found:
        reading, last = _read(sentence, prompt, available, last)
        out.append(reading)
    return out


def _read(
    sentence: Sentence, prompt: bool, available: Collection[int], last: Mention | None
) -> tuple[Reading, Mention | None]:
    mentions: list[Mention] = []
    carried = ""
    for opener, clause in clauses(sentence.text):
        found = find_mentions(clause, opener=opener, prompt=prompt, carried=carried)
        alone = side_alone(clause, opener if prompt else "")
        if not found and alone and last is not None:
            status, reason = status_of(clause, opener=opener, prompt=prompt)
            found = [replace(last, side=alone, status=status, reason=reason)]
        if found:
            carried = found[-1].side if prompt else ""
            last = next((m for m in reversed(found) if m.phrase.known), last)
        mentions += found
    labels = tuple(
        tuple(x.index for x in labels_of(m.phrase, m.side) if x.index in available)
        if m.phrase.known
        else ()
        for m in mentions
    )
    reading = Reading(
        sentence,
        tuple(mentions),
        labels,
        _volumes(sentence.text.lower(), labels),
        _compared(sentence.text.lower(), mentions, available),
        _suggestions(sentence.text, strict=prompt),
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
    text: str, mentions: Sequence[Mention], available: Collection[int]
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
    here, there = (
        tuple(x.index for x in labels_of(first.phrase, side) if x.index in available)
        for side in (first.side, other)
    )
    return (here, there) if match.group(1) == "smaller" else (there, here)


def _suggestions(text: str, *, strict: bool) -> tuple[tuple[str, str], ...]:
    """Words that look like misspelt structures; in a prompt also words not understood at all."""
    known = single_words()
    vocabulary = {w for entries in phrases().values() for p in entries for w in p.words}
    out = []
    for raw in dict.fromkeys(re.findall(r"[a-z]{3,40}", text.lower())):
        word = normalise_word(raw)
        if word in vocabulary or raw in _FILLER or word in _FILLER:
            continue
        near = difflib.get_close_matches(word, known, 1, 0.84) if len(word) >= 6 else []
        if near or strict:
            out.append((raw, near[0] if near else ""))
        if len(out) >= 50:
            break
    return tuple(out)


def _gather(kind: str, readings: list[Reading], available: Collection[int]) -> TextRequest:
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
        asked = {i for i in available if i != 1} - excluded
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
