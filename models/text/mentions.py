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

from mmtool.models.text.vocabulary import Phrase, by_concept, normalise_word, phrases

PRESENT, NORMAL, ABSENT, EXCLUDED = "present", "unremarkable", "absent", "excluded"
YARDSTICK = "yardstick"
EXCLUDING = ("but not", "except", "except for", "excluding", "apart from")  # openers of a clause

_TOKEN = re.compile(r"\d+(?:\.\d+)?(?!\w)|[A-Za-z0-9]+(?:'[a-z]+)?|[(),/]")
_LEFT = frozenset({"left", "l", "lt", "sinister", "left-sided"})
_RIGHT = frozenset({"right", "r", "rt", "dexter"})
_BOTH = frozenset({"both", "bilateral", "bilaterally", "either", "paired"})
_PLURALS = frozenset(
    "hippocampi amygdalae amygdalas thalami caudates putamina putamens pallidi pallida hemispheres "
    "ventricles horns nuclei hippocampuses".split()
)
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
    r"^\W*(?:(?:is|are|was|were|appears?|relatively|largely|again) )*"
    r"(?:spared|uninvolved|not involved)\b"
)
_SPARED_BEFORE = re.compile(
    r"\b(?:sparing|spares|spared)(?: of)?(?: the)?(?: left| right| both| bilateral)*\s*$"
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
_ORDINALS = {
    "third": "third ventricle", "3rd": "third ventricle", "iii": "third ventricle",
    "fourth": "fourth ventricle", "4th": "fourth ventricle", "iv": "fourth ventricle",
}  # fmt: skip
_VENTRICLES = _ORDINALS | {"lateral": "lateral ventricle"}
_HEART = frozenset(
    "heart cardiac atrium atria atrial pacemaker icd defibrillator lead leads electrode electrodes "
    "myocardial mitral tricuspid hypertrophy".split()
)
# "isointense to gray matter", "compared with the putamen": a yardstick, not a finding.
_YARDSTICK = re.compile(
    r"\b(?:(?:iso|hypo|hyper)-?(?:dense|intense|attenuating)|similar|relative|compared|comparison|"
    r"identical|equal)(?: in \w+)? (?:to|with)(?: \w+){0,4}\s*$"
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


@dataclass(frozen=True)
class _Token:
    word: str
    raw: str
    start: int
    end: int


def find_mentions(clause: str, *, opener: str, prompt: bool, carried: str = "") -> list[Mention]:
    """Mentions of a clause.

    Args:
        clause: Text of the clause.
        opener: Word that opened it, e.g. ``but not``.
        prompt: Negation excludes in a prompt; in a report it says that a thing is unremarkable.
        carried: Side that the clause before ended with.

    Returns:
        Mentions in order.
    """
    tokens = [
        _Token(normalise_word(m.group().lower()), m.group().lower(), m.start(), m.end())
        for m in _TOKEN.finditer(clause)
    ]
    spans = _spans(tokens)
    sided = _with_sides(tokens, spans, carried)
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
    return out + _ectomies(lower, prompt)


def _spans(tokens: list[_Token]) -> list[tuple[int, int, Phrase]]:
    """Longest vocabulary entries: first token, token after the last, entry."""
    table = phrases()
    by_name = by_concept()
    out: list[tuple[int, int, Phrase]] = []
    position, seen_ventricle = 0, False
    heart = any(t.word in _HEART for t in tokens)
    while position < len(tokens):
        hit = None
        for phrase in table.get(tokens[position].word, ()):
            end = position + len(phrase.words)
            if tuple(t.word for t in tokens[position:end]) == phrase.words:
                hit = (position, end, phrase)
                break
        if hit is None and _is_ventricle(tokens, position, seen_ventricle):
            named = tokens[position + 1 : position + 2]
            after = position + 1 + (bool(named) and named[0].word == "ventricle")
            hit = (position, after, by_name[_VENTRICLES[tokens[position].word]])
        if hit and hit[2].concept == "ventricles" and heart:
            hit = (hit[0], hit[1], by_name["cardiac ventricle"])
        if hit is None:
            position += 1
            continue
        seen_ventricle = seen_ventricle or "ventric" in hit[2].concept
        if not (out and _places(hit[2], out[-1][2], tokens[out[-1][1] : hit[0]])):
            out.append(hit)
        position = hit[1]
    return out


def _places(phrase: Phrase, previous: Phrase, between: list[_Token]) -> bool:
    """Whether a hemisphere only says on which side the structure before it lies."""
    words = [t.word for t in between]
    return (
        phrase.concept == "cerebrum"
        and previous.known
        and words[:1] in (["of"], ["in"])
        and all(w in _LEFT | _RIGHT | _BOTH | {"of", "in", "the"} for w in words)
    )


def _is_ventricle(tokens: list[_Token], position: int, seen_ventricle: bool) -> bool:
    """Whether a token is the "3rd" of "3rd and 4th ventricles"."""
    word = tokens[position].word
    if seen_ventricle and word in _ORDINALS:
        return True
    if word not in _VENTRICLES:
        return False
    for token in tokens[position + 1 : position + 7]:
        if token.word == "ventricle":
            return True
        if token.word not in _VENTRICLES and token.word not in (",", "and", "or", "/", "the"):
            return False
    return False


def _side_of(tokens: list[_Token]) -> str | None:
    """``left``, ``right``, ``both`` or None for a run of tokens."""
    words = [t.word for t in tokens]
    left = any(w in _LEFT for w in words)
    right = any(w in _RIGHT for w in words)
    if (left and right) or any(w in _BOTH for w in words):
        return "both"
    return "left" if left else "right" if right else None


def _with_sides(
    tokens: list[_Token], spans: list[tuple[int, int, Phrase]], carried: str
) -> list[Mention]:
    out: list[Mention] = []
    running = carried
    previous_end = 0
    taken = -1  # a side behind one structure doesn't belong to the next
    for number, (first, after, phrase) in enumerate(spans):
        before = tokens[max(previous_end, taken) : first]
        own = _side_of(before)
        following = spans[number + 1][0] if number + 1 < len(spans) else len(tokens)
        plural = any(t.raw in _PLURALS for t in tokens[first:after])
        behind, used = _behind(tokens, after, following)
        if own is None and behind is not None:
            own, taken = behind, used
            side = own
        elif own is not None:
            side = running = own
        else:
            side = "both" if plural else running
        side = "" if side == "both" else side
        out.append(Mention(phrase, side, PRESENT, tokens[first].start, tokens[after - 1].end))
        previous_end = after
    return out


def _behind(tokens: list[_Token], after: int, stop: int) -> tuple[str | None, int]:
    """A side right behind a structure: "(left)", ", left", "on the left", "L"."""
    position = after
    while position < stop and tokens[position].word in ("(", ",", "on", "the", "of", "in"):
        position += 1
    if position >= stop:
        return None, after
    side = _side_of(tokens[position : position + 1])
    if side is None:
        return None, after
    closing = position + 1
    # "hippocampus, left amygdala": the side belongs to what follows it directly.
    if closing == stop and stop < len(tokens) and tokens[closing - 1].word not in (")",):
        return None, after
    if closing + 1 < stop and tokens[closing].word == "and":
        more = _side_of(tokens[closing + 1 : closing + 2])
        if more is not None and more != side and closing + 2 <= stop:
            return "both", closing + 2
    return side, closing


def _prompt_status(clause: str, mention: Mention, opener: str) -> tuple[str, str]:
    if opener in EXCLUDING:
        return EXCLUDED, opener
    trigger = _last(_NEGATION, _before(clause, mention))
    return (PRESENT, "") if trigger is None else (EXCLUDED, trigger.group())


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
        if not all(w in _LEFT | _RIGHT | _BOTH | {"the"} for w in between):
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


def _ectomies(clause: str, prompt: bool) -> list[Mention]:
    """Structures that an operation's name says are gone, e.g. amygdalohippocampectomy."""
    if prompt:
        return []
    table = by_concept()
    out = []
    for match in _ECTOMY.finditer(clause):
        side = _side_of(
            [_Token(w, w, 0, 0) for w in clause[max(0, match.start() - 30) : match.start()].split()]
        )
        for stem, concept in (("hippocamp", "hippocampus"), ("amygdal", "amygdala")):
            if stem in match.group():
                out.append(
                    Mention(
                        table[concept],
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
        only = re.fullmatch(r"\W*(?:the\s+)?(left|right)(?:\s+(?:side|ones?))?\W*", clause.lower())
        return only.group(1) if only else None
    match = re.match(
        r"\s*(?:the\s+)?(left|right)(?:\s+(?:side|one))?\s+(?:is|was|appears|looks)\b",
        clause.lower(),
    )
    return match.group(1) if match else None


def status_of(clause: str, *, opener: str, prompt: bool) -> tuple[str, str]:
    """What a clause without a structure says of the one before it."""
    empty = Phrase((), "", (), True)
    where = Mention(empty, "", PRESENT, 0, 0)
    if prompt:
        return _prompt_status(clause, where, opener)
    return _report_status(_without_uncertainty(clause), where, ())
