"""Find the entries of a vocabulary in a clause, and the side that each is said to lie on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mmtool.models.text.vocabulary import Lexicon, Phrase
from mmtool.models.text.words import is_plural, normalise_word

_TOKEN = re.compile(r"\d+(?:\.\d+)?(?!\w)|[^\W_]+(?:'[A-Za-z]+)?|[(),/]")
LEFT = frozenset({"left", "l", "lt", "sinister", "left-sided"})
RIGHT = frozenset({"right", "r", "rt", "dexter"})
BOTH = frozenset({"both", "bilateral", "bilaterally", "either", "paired"})
_SIDES = LEFT | RIGHT | BOTH
_CONNECTORS = frozenset({",", "/", "and", "or"})
_ORDINALS = {
    "third": "third ventricle", "3rd": "third ventricle", "iii": "third ventricle",
    "fourth": "fourth ventricle", "4th": "fourth ventricle", "iv": "fourth ventricle",
}  # fmt: skip
_VENTRICLES = _ORDINALS | {"lateral": "lateral ventricle"}
_HEART = frozenset(
    "heart cardiac atrium atria atrial pacemaker icd defibrillator lead leads electrode electrodes "
    "myocardial mitral tricuspid hypertrophy".split()
)


@dataclass(frozen=True)
class Token:
    word: str
    raw: str
    start: int
    end: int
    capital: bool = False


@dataclass(frozen=True)
class Span:
    """An entry in a clause: first token, token after the last, and the side."""

    first: int
    after: int
    phrase: Phrase
    side: str = ""


def tokens_of(clause: str) -> list[Token]:
    """Words, numbers and the marks that part them."""
    return [
        Token(normalise_word(raw.lower()), raw.lower(), match.start(), match.end(), raw.isupper())
        for match in _TOKEN.finditer(clause)
        for raw in (match.group(),)
    ]


def find_spans(tokens: list[Token], lexicon: Lexicon, *, prompt: bool) -> list[Span]:
    """Longest entries, in order and without overlap; sides are not read yet."""
    out: list[Span] = []
    position, seen_ventricle = 0, False
    heart = any(t.word in _HEART for t in tokens)
    while position < len(tokens):
        hit = _longest(tokens, position, lexicon, prompt=prompt) or _same_noun(
            tokens, position, out, lexicon
        )
        if hit is None and _is_ventricle(tokens, position, seen_ventricle):
            named = tokens[position + 1 : position + 2]
            after = position + 1 + (bool(named) and named[0].word == "ventricle")
            hit = Span(position, after, lexicon.by_concept[_VENTRICLES[tokens[position].word]])
        if hit and hit.phrase.concept == "ventricles" and heart:
            cardiac = lexicon.find(("cardiac", "ventricle"))
            hit = Span(hit.first, hit.after, cardiac or hit.phrase)
        if hit is None:
            position += 1
            continue
        seen_ventricle = seen_ventricle or "ventric" in hit.phrase.concept
        if not (out and _places(hit.phrase, out[-1].phrase, tokens[out[-1].after : hit.first])):
            out.append(hit)
        position = hit.after
    return out


def _longest(tokens: list[Token], position: int, lexicon: Lexicon, *, prompt: bool) -> Span | None:
    """The longest entry that begins at a token.

    "of" and "the" may stand between its words, and after "of" a side: "horn of the left lateral
    ventricle".
    """
    most = lexicon.longest.get(tokens[position].word, 0)
    words: list[str] = []
    best = None
    joined = False
    at = position
    while at < len(tokens) and len(words) < most:
        token = tokens[at]
        at += 1
        if words and (token.word in ("of", "the") or (joined and token.word in _SIDES)):
            joined = joined or token.word == "of"
            continue
        words.append(token.word)
        joined = False
        phrase = lexicon.find(tuple(words))
        if phrase and (prompt or not (phrase.terse or (phrase.short and not token.capital))):
            best = Span(position, at, phrase)
    return best


def _same_noun(
    tokens: list[Token], position: int, found: list[Span], lexicon: Lexicon
) -> Span | None:
    """The "4" of "ribs 3 and 4"."""
    word = tokens[position].word
    if not found or not any(c.isdigit() for c in word):
        return None
    last = found[-1]
    between = tokens[last.after : position]
    if not 1 <= len(between) <= 2 or not all(t.word in _CONNECTORS for t in between):
        return None
    if not any(c.isdigit() for c in last.phrase.words[-1]):
        return None
    phrase = lexicon.find((*last.phrase.words[:-1], word))
    return Span(position, position + 1, phrase) if phrase else None


def _places(phrase: Phrase, previous: Phrase, between: list[Token]) -> bool:
    """Whether a hemisphere only says on which side the structure before it lies."""
    words = [t.word for t in between]
    return (
        phrase.concept == "cerebrum"
        and previous.known
        and words[:1] in (["of"], ["in"])
        and all(w in LEFT | RIGHT | BOTH | {"of", "in", "the"} for w in words)
    )


def _is_ventricle(tokens: list[Token], position: int, seen_ventricle: bool) -> bool:
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


def side_of(tokens: list[Token]) -> str | None:
    """``left``, ``right``, ``both`` or None for a run of tokens."""
    words = [t.word for t in tokens]
    left = any(w in LEFT for w in words)
    right = any(w in RIGHT for w in words)
    if (left and right) or any(w in BOTH for w in words):
        return "both"
    return "left" if left else "right" if right else None


def with_sides(tokens: list[Token], spans: list[Span], carried: str) -> list[Span]:
    """The spans with their sides: ``left``, ``right``, or empty for both or none.

    Args:
        tokens: Tokens of the clause.
        spans: What :func:`find_spans` found in them.
        carried: Side that the clause before ended with.
    """
    out: list[Span] = []
    running = carried
    previous_end = 0
    taken = -1  # a side behind one structure doesn't belong to the next
    for number, span in enumerate(spans):
        first, after = span.first, span.after
        if span.phrase.owned:
            out.append(span)
            previous_end = after
            continue
        within = side_of(tokens[first:after])
        own = within or side_of(tokens[max(previous_end, taken) : first])
        following = spans[number + 1].first if number + 1 < len(spans) else len(tokens)
        behind, used = (None, after) if within else _behind(tokens, after, following)
        if own is None and behind is not None:
            side, taken = behind, used
        elif own is not None:
            side = running = own
        else:
            side = "both" if any(is_plural(t.raw) for t in tokens[first:after]) else running
        out.append(Span(first, after, span.phrase, "" if side == "both" else side))
        previous_end = after
    return out


def _behind(tokens: list[Token], after: int, stop: int) -> tuple[str | None, int]:
    """A side right behind a structure: "(left)", ", left", "on the left", "L"."""
    position = after
    while position < stop and tokens[position].word in ("(", ",", "on", "the", "of", "in"):
        position += 1
    side = side_of(tokens[position : position + 1]) if position < stop else None
    if side is None:
        return None, after
    closing = position + 1
    opener = {t.word for t in tokens[after:position]}
    rest = tuple(t.word for t in tokens[closing:stop])
    if stop < len(tokens) and not opener & {"on", "("} and _leads(rest, opener):
        return None, after
    if closing + 1 < stop and tokens[closing].word == "and" and side != "both":
        more = side_of(tokens[closing + 1 : closing + 2])
        # "on the right and left amygdala": the second side belongs to what follows it.
        if more is not None and more != side and (closing + 2 < stop or stop == len(tokens)):
            return "both", closing + 2
    return side, closing


def _leads(rest: tuple[str, ...], opener: set[str]) -> bool:
    """Whether a side before ``rest`` belongs to the structure after it.

    "hippocampus, left amygdala", "infarct in the left-sided putamen", "fourth ventricle, left and
    right thalamus".
    """
    if rest in ((), ("sided",), ("side",)):
        return True
    pair = rest[:-1] in (("and",), ("or",), ("/",), ("as", "well", "as"))
    return pair and rest[-1] in LEFT | RIGHT and bool(opener & {"of", "in", ","})
