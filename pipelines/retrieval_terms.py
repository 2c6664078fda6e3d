"""What a text query asks for, what it wants left out, and the facts that it names.

Negation follows the idea of trigger words with a scope (NegEx, Chapman et al. 2001,
10.1006/jbin.2001.1029): a trigger reaches to the end of its clause, a comma or "but" ends it. The
same rules say of an indexed text whether it affirms what a query leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmtool.facts import spelled
from mmtool.models.text.sections import clean, sentences

_CLAUSE = re.compile(
    r"[.;:!?\n](?=\s|$)|,(?!\s*(?:or|nor)\b)|\b(?:but|however|although|with(?= no\b))\b"
)
_BEFORE = re.compile(
    r"\b(?:no evidence of|no signs? of|negative for|absence of|free of|rather than|no|not|"
    r"without|denies|never|neither|excluding|exclude|except(?: for)?|minus)\b"
)
_BEHIND = re.compile(
    r"\b(?:(?:is|are|was|were) (?:absent|excluded|ruled out|not (?:seen|present|identified))|"
    r"not (?:seen|present|identified)|absent)\b"
)
_NOT_NEGATION = re.compile(r"\b(?:no|not|without) (?:\w+ )?(?:change|changed|only|certain)\b")
_SENTENCE = re.compile(r"([.;:\n]|\b(?:but|however|although)\b)")
_NO = re.compile(r"\b(?:no|without|negative for|free of|denies)\b")
_PARTS = re.compile(r",|\b(?:and|or|nor)\b|/")
_WORD = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*")
_MOST = 60  # terms of a long report
_STOP = frozenset(
    "a an and any are as at be been by case cases find finding findings for from has have he her "
    "his i image images in is it its like me of on or patient picture pictures please scan scans "
    "seen she show shows showing shown that the their them there these this to was were what "
    "where which who with within year years old x".split()
)
_MODALITY = re.compile(
    r"\b(?:mri?|mra|flair|dwi|t[12](?:w|-weighted)?|ct|cta|pet|x-?rays?|cxr|radiographs?|"
    r"ultrasound|sonograph\w*|mammogra\w*|scintigra\w*|angiogra\w*|histolog\w*|endoscop\w*)\b"
)
_PLANE = re.compile(r"\b(?:axial|transverse|coronal|sagittal|frontal|lateral|oblique)\b")
_T = re.compile(r"t[12](?:w|-weighted)?")


@dataclass(frozen=True)
class Terms:
    """A text query, taken apart.

    Attributes:
        affirmed: Words asked for, in their order, each once.
        negated: Words and phrases to be left out.
        facts: Modality and plane that it names, as the index spells them.
        positive: The text without what it leaves out, for an encoder.
    """

    affirmed: tuple[str, ...]
    negated: tuple[str, ...]
    facts: Mapping[str, str]
    positive: str


def read_terms(text: str) -> Terms:
    """Take a query or a report apart; of a report only the sections that tell findings."""
    asking = " \n".join(s.text for s in sentences(clean(text)) if s.asks) or clean(text)
    yes, no = [], []
    for clause in _clauses(asking):
        affirmed, negated = _parted(clause)
        if affirmed.strip():
            yes.append(" ".join(affirmed.split()))
        no += [phrase for part in _PARTS.split(negated) if (phrase := " ".join(_words(part)))]
    words = [word for clause in yes for word in _words(clause)]
    positive = ", ".join(yes)
    return Terms(
        tuple(dict.fromkeys(words))[:_MOST],
        tuple(dict.fromkeys(no))[:_MOST],
        _facts(positive),
        positive,
    )


def affirms(text: str, phrase: str) -> bool:
    """Whether a clause of a text says that there is what a phrase names."""
    wanted = {_stem(word) for word in _words(phrase)}
    whole = "".join(_joined(part) for part in _SENTENCE.split(clean(text).lower()))
    return bool(wanted) and any(
        wanted <= {_stem(word) for word in _words(_parted(clause)[0])} for clause in _clauses(whole)
    )


def _joined(part: str) -> str:
    """Without the commas of a list such as "no effusion, air or mass", which denies them all."""
    no = _NO.search(part)
    end = max(part.rfind(" or "), part.rfind(" nor "))
    if no is None or end < no.end():
        return part
    return part[: no.end()] + part[no.end() : end].replace(",", " or") + part[end:]


def told(text: str, words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which of some words a text affirms, and which it only denies."""
    lower = clean(text).lower()
    whole = "".join(_joined(part) for part in _SENTENCE.split(lower))
    said = {_stem(w) for clause in _clauses(whole) for w in _words(_parted(clause)[0])}
    spoken = {_stem(w) for w in _words(lower)}
    affirmed = tuple(w for w in words if _stem(w) in said)
    return affirmed, tuple(w for w in words if _stem(w) in spoken - said)


def _clauses(text: str) -> list[str]:
    return [part for part in _CLAUSE.split(text.lower()) if part.strip()]


def _parted(clause: str) -> tuple[str, str]:
    """What a clause affirms, and what it negates."""
    spared = [match.span() for match in _NOT_NEGATION.finditer(clause)]
    for match in _BEFORE.finditer(clause):
        if _BEHIND.match(clause, match.start()):
            break
        if not any(start <= match.start() < end for start, end in spared):
            return clause[: match.start()], clause[match.end() :]
    behind = _BEHIND.search(clause)
    if behind is not None:
        return "", clause[: behind.start()]
    return clause, ""


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text) if word not in _STOP]


def _stem(word: str) -> str:
    """Enough of a stem for plurals."""
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending) + instead
    keeps = word.endswith(("ss", "us", "is"))
    return word if keeps or len(word) < 4 else word.removesuffix("s")


def _facts(text: str) -> dict[str, str]:
    found = {}
    if match := _MODALITY.search(text):
        found["modality"] = "MR" if _T.fullmatch(match[0]) else spelled("modality", match[0])
    if match := _PLANE.search(text):
        found["plane"] = spelled("plane", match[0])
    return found
