"""Find structures in a clause, with their side and with what is said of them.

Negation and normality follow the idea of trigger words with a scope (NegEx: Chapman et al. 2001,
10.1006/jbin.2001.1029), with rules of our own for brain reports.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmtool.models.text.spans import (
    BOTH,
    LEFT,
    RIGHT,
    Token,
    find_spans,
    side_of,
    tokens_of,
    with_sides,
)
from mmtool.models.text.vocabulary import Lexicon, Phrase

PRESENT, NORMAL, ABSENT, EXCLUDED = "present", "unremarkable", "absent", "excluded"
YARDSTICK = "yardstick"
EXCLUDING = ("but not", "except", "except for", "excluding", "apart from")  # openers of a clause

_NEGATION = re.compile(
    r"\b(?:no|without|negative for|absence of|free of|neither|nor|not|never|denies|"
    r"rather than|exclude|excludes|minus)\b"
)
_NOT_NEGATION = re.compile(
    r"\b(?:no|not|without)(?: \w+){0,2} (?:change|changed|progression|increase|only|certain|"
    r"difference|decrease)\b"
)
_NORMAL = re.compile(
    r"\b(?:unremarkable|normal(?! (?:brain|tissue|variant|pressure))|within normal limits|intact|"
    r"preserved|symmetric|symmetrical|not enlarged|not dilated|not atrophic|no abnormality|"
    r"age-appropriate|age appropriate|patent|"
    r"maintained|clear|(?:is|was|were|been) (?:ruled out|excluded))\b"
)
_NOT_NORMAL = re.compile(r"\b(?:abnormal|not normal|asymmetric|asymmetry|asymmetrical)\b")
_ABSENT = re.compile(
    r"\b(?:absent|agenesis|aplasia|resected|removed|missing|not (?:seen|visuali[sz]ed|identified|"
    r"present|visible|demonstrated)|surgically absent|resection of|removal of|(?:status )?post "
    r"(?:resection|removal)|s/p resection)\b"
)
_ECTOMY = re.compile(r"\b(\w*?)(amygdalo|amygdal|hippocamp)o?(hippocampectomy|ectomy)\b")
# "Cannot exclude an infarct" says that there may be one.
_UNCERTAIN = re.compile(
    r"\b(?:can ?not|can't|could not|couldn't|not)(?: be)?(?: entirely| completely| fully)? "
    r"(?:excluded?|ruled? out)\b"
)
_SPARED_BEHIND = re.compile(
    r"^\W*(?:(?:left|right|l|r|and|or|on|of|the|both|sides?|hemispheres?|bilaterally)\b\W*)*"
    r"(?:(?:is|are|was|were|appears?|relatively|largely|again) )*"
    r"(?:spared|uninvolved|not involved|free of|negative for)\b"
)
# What a prompt doesn't want: "ignore the pons", "the pons is not to be segmented".
_LEAVES_OUT = re.compile(
    r"\b(?:other than|leav(?:e|ing) out|ignor(?:e|ing)|omit(?:ting)?|skip(?:ping)?|"
    r"drop(?:ping)?|save for|leaving)\b"
)
_LEFT_OUT = re.compile(
    r"^\W*(?:(?:the|left|right|l|r|and|on|both|sides?|bilaterally|ones?|is|are|should|must|can|needs?|to|be)"
    r"\b\W*)*(?:not (?:to )?(?:be )?(?:segmented|included|needed|wanted|shown|outlined|marked|"
    r"required|labell?ed)|left out|excluded|ignored|omitted|skipped)\b"
)
_ASKS_ANEW = re.compile(
    r"(?:,|\band|\bbut|\bthen)\s+(?:please\s+)?"
    r"(?:segment|show|outline|delineate|contour|extract|label|mark|find|give|draw)\b"
)
_SPARED_BEFORE = re.compile(
    r"\b(?:sparing|spares|spared)(?: of)?"
    r"(?: (?:the|left|right|both|bilateral|and|l|r|lt\.?|rt\.?|left-sided|right-sided))*\s*$"
)
# What ends the scope of a negation or of "normal": another finding.
_NEW_FINDING = re.compile(
    r"(?:\band|\bwith|,)\s+(?:an?|there (?:is|are)|stable|new|old|chronic|persistent|unchanged|"
    r"mild|moderate|severe|marked)\b"
)
_COPULA = re.compile(r"\b(?:is|are|was|were|appears?|remains?|looks?)(?: \w+)?\s+$")
_FINDING = re.compile(
    r"\b(?:lesion|mass|tumou?r|atroph|infarct|ha?emorrhag|o?edema|hyperintens|hypointens|enlarg|"
    r"dilat|volume loss|scleros|enhanc|increased|decreased|foc(?:us|i|al)|gliosis|cyst|stroke|"
    r"restrict|metasta|asymmetr|abnormal)"
)
_SCOPE = 300  # characters on either side in which a trigger word counts; keeps the time linear
# "isointense to gray matter", "compared with the putamen": a yardstick, not a finding.
_YARDSTICK = re.compile(
    r"\b(?:(?:iso|hypo|hyper)-?(?:dense|intense|attenuating)|similar|relative|compared|comparison|"
    r"identical|equal)(?: in \w+)? (?:to|with)(?: [\w./-]+){0,6}\s*$"
)


@dataclass(frozen=True)
class Mention:
    """A structure in a clause.

    Attributes:
        phrase: Vocabulary entry.
        side: ``left``, ``right`` or empty for both or none.
        status: ``present``, ``unremarkable``, ``absent``, ``excluded`` or ``yardstick``.
        start: Position in the clause, characters.
        end: Position after it.
        reason: The words that decided the status.
    """

    phrase: Phrase
    side: str
    status: str
    start: int
    end: int
    reason: str = ""


def find_mentions(
    clause: str, lexicon: Lexicon, *, opener: str, prompt: bool, carried: str = ""
) -> list[Mention]:
    """Mentions of a clause.

    Args:
        clause: Text of the clause.
        lexicon: Vocabulary of the label table.
        opener: Word that opened it, e.g. ``but not``.
        prompt: Negation excludes in a prompt; in a report it says that a thing is unremarkable.
        carried: Side that the clause before ended with.

    Returns:
        Mentions in order.
    """
    tokens = tokens_of(clause)
    spans = with_sides(tokens, find_spans(tokens, lexicon, prompt=prompt), carried)
    sided = [
        Mention(x.phrase, x.side, PRESENT, tokens[x.first].start, tokens[x.after - 1].end)
        for x in spans
    ]
    lower = _without_uncertainty(clause)
    starts = [m.start for m in sided]
    out = []
    for mention in sided:
        status, reason = (
            _prompt_status(lower, mention, opener)
            if prompt
            else _report_status(lower, mention, starts)
        )
        out.append(replace(mention, status=status, reason=reason))
    return out + _ectomies(lower, lexicon, prompt)


def _prompt_status(clause: str, mention: Mention, opener: str) -> tuple[str, str]:
    if opener in EXCLUDING:
        return EXCLUDED, opener
    before = _before(clause, mention)
    for pattern in (_NEGATION, _LEAVES_OUT):
        trigger = _last(pattern, before)
        if trigger is not None and not _ASKS_ANEW.search(before[trigger.end() :]):
            return EXCLUDED, trigger.group()
    behind = _LEFT_OUT.search(clause[mention.end : mention.end + _SCOPE])
    return (EXCLUDED, behind.group().strip()) if behind else (PRESENT, "")


def _report_status(clause: str, mention: Mention, starts: Sequence[int]) -> tuple[str, str]:
    """Status and the words that decided it.

    Args:
        clause: Lower case.
        mention: The structure.
        starts: Where all structures of the clause start, characters.
    """
    before, behind = _before(clause, mention), clause[mention.end : mention.end + _SCOPE]
    absent = _ABSENT.search(behind) or _last(_ABSENT, before[-60:])
    if absent and not re.search(r"\b(?:no|not)\s+$", before):
        return ABSENT, absent.group()
    yardstick = _YARDSTICK.search(before[-90:])
    if yardstick:
        return YARDSTICK, yardstick.group().strip()
    spared = _SPARED_BEHIND.search(behind) or _SPARED_BEFORE.search(before)
    if spared:
        return NORMAL, spared.group().strip()
    near = before + clause[mention.start : mention.end] + behind
    if _NOT_NORMAL.search(near):
        return PRESENT, ""
    trigger = _last(_NEGATION, before)
    if trigger and not _ends(before, trigger, near):
        return NORMAL, trigger.group()
    return _normality(clause, mention, starts)


def _without_uncertainty(clause: str) -> str:
    """Lower case, of the same length, with "cannot exclude" and the like blanked."""
    return _UNCERTAIN.sub(lambda m: " " * len(m.group()), clause.lower())


def _ends(before: str, trigger: re.Match[str], near: str) -> bool:
    """Whether a negation doesn't reach the structure behind ``before``."""
    return bool(
        _NEW_FINDING.search(before[trigger.end() :])
        or _NOT_NEGATION.search(near[trigger.start() :])
    )


def _normality(clause: str, mention: Mention, starts: Sequence[int]) -> tuple[str, str]:
    """``unremarkable`` if a word for it speaks of this structure."""
    behind = clause[mention.end : mention.end + _SCOPE]
    for match in _NORMAL.finditer(behind):
        place = mention.end + match.end()
        index = bisect_left(starts, place)
        following = starts[index : index + 1]
        # "with a normal right caudate" speaks of the caudate.
        between = clause[place : following[0]][:_SCOPE].split() if following else ["."]
        if not all(w in LEFT | RIGHT | BOTH | {"the"} for w in between):
            return NORMAL, match.group()
    before = _before(clause, mention)
    normal = _last(_NORMAL, before)
    if (
        normal
        and not _FINDING.search(before[normal.end() :])
        and not _COPULA.search(before[: normal.start()])  # "is normal" speaks of what came before
    ):
        return NORMAL, normal.group()
    return PRESENT, ""


def _before(clause: str, mention: Mention) -> str:
    return clause[max(0, mention.start - _SCOPE) : mention.start]


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    matches = deque(pattern.finditer(text), maxlen=1)
    return matches[0] if matches else None


def _ectomies(clause: str, lexicon: Lexicon, prompt: bool) -> list[Mention]:
    """Structures that an operation's name says are gone, e.g. amygdalohippocampectomy."""
    if prompt:
        return []
    out = []
    for match in _ECTOMY.finditer(clause):
        side = side_of(
            [Token(w, w, 0, 0) for w in clause[max(0, match.start() - 30) : match.start()].split()]
        )
        for stem, concept in (("hippocamp", "hippocampus"), ("amygdal", "amygdala")):
            if stem in match.group():
                out.append(
                    Mention(
                        lexicon.by_concept[concept],
                        side if side in ("left", "right") else "",
                        ABSENT,
                        match.start(),
                        match.end(),
                        match.group(),
                    )
                )
    return out


def side_alone(clause: str, opener: str = "") -> str | None:
    """Side of a clause without a structure: "The right is normal", "except the left one"."""
    if opener in EXCLUDING:
        only = re.fullmatch(
            r"\W*(?:the\s+)?(left|right)(?:\s+(?:side|ones?))?(?:\W+(?:please|in|this|the|"
            r"scan|image|for|me|only))*\W*",
            clause.lower(),
        )
        return only.group(1) if only else None
    match = re.match(
        r"\s*(?:the\s+)?(left|right)(?:\s+(?:side|one))?\s+(?:is|was|appears|looks|should)\b",
        clause.lower(),
    )
    return match.group(1) if match else None


def status_of(clause: str, *, opener: str, prompt: bool) -> tuple[str, str]:
    """What a clause without a structure says of the one before it."""
    empty = Phrase((), "", (), True)
    where = Mention(empty, "", PRESENT, 0, 0)
    if prompt:
        return _prompt_status(clause.lower(), where, opener)
    return _report_status(_without_uncertainty(clause), where, ())


def said_of(clause: str, start: int, end: int) -> tuple[str, str]:
    """What a clause of a report says of the words at a place in it.

    Args:
        clause: The clause.
        start: First letter of the words.
        end: Behind the last one.

    Returns:
        Status as of a `Mention`, and the words that decided it.
    """
    where = Mention(Phrase((), "", (), True), "", PRESENT, start, end)
    return _report_status(_without_uncertainty(clause), where, ())
