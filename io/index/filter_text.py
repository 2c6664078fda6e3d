"""The language of ``--filter``: ``modality=MR and (plane=axial or plane=coronal) and age>=40``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from mmtool.errors import UsageError
from mmtool.io.index.filters import OPERATORS, AllOf, AnyOf, Compare, Filter, Not, OneOf, Operator

_TOKEN = re.compile(
    r"\s*(?:(?P<quoted>\"[^\"]*\"|'[^']*')|(?P<operator>!=|<=|>=|==|[=<>~])"
    r"|(?P<mark>[(),])|(?P<word>[^\s()=<>~!,\"']+))"
)
_MOST = 2_000  # letters
_DEEPEST = 40  # brackets and nots within each other
_WORDS = ("and", "or", "not", "in")
_EXAMPLE = "for example modality=MR and plane=axial and age>=40"


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_filter(text: str) -> Filter:
    """A condition as a user writes it.

    ``NAME OP VALUE`` with ``= != < <= > >= ~`` ("contains"), ``NAME in (A, B)``, joined by
    ``and``, ``or``, ``not`` and brackets. Values with blanks stand in quotes.

    Raises:
        UsageError: It can't be read; the message points at the place.
    """
    if len(text) > _MOST:
        raise UsageError(f"--filter: longer than {_MOST} letters", _EXAMPLE)
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._cut()
        self.next = 0
        self.depth = 0

    def _cut(self) -> list[_Token]:
        out, at = [], 0
        while self.text[at:].strip():
            match = _TOKEN.match(self.text, at)
            if match is None:
                blanks = len(self.text[at:]) - len(self.text[at:].lstrip())
                self._refuse("this can't be read", at + blanks)
            kind = str(match.lastgroup)
            out.append(_Token(kind, match[kind], match.start(kind)))
            at = match.end()
        return out

    def _refuse(self, what: str, at: int) -> NoReturn:
        before, behind = self.text[:at][-40:], self.text[at:][:40]
        raise UsageError(f"--filter, letter {at + 1}: {what}: {before}>>>{behind}", _EXAMPLE)

    def _peek(self, *words: str) -> bool:
        if self.next >= len(self.tokens):
            return False
        token = self.tokens[self.next]
        return token.kind in ("word", "mark") and token.text.lower() in words

    def _take(self, what: str, *kinds: str) -> _Token:
        if self.next >= len(self.tokens):
            self._refuse(f"{what} is expected", len(self.text))
        token = self.tokens[self.next]
        if token.kind not in kinds or (token.kind == "word" and token.text.lower() in _WORDS):
            self._refuse(f"{what} is expected", token.at)
        self.next += 1
        return token

    def _mark(self, mark: str) -> None:
        if not self._peek(mark):
            at = self.tokens[self.next].at if self.next < len(self.tokens) else len(self.text)
            self._refuse(f"'{mark}' is expected", at)
        self.next += 1

    def whole(self) -> Filter:
        found = self._any()
        if self.next < len(self.tokens):
            self._refuse("'and' or 'or' is expected", self.tokens[self.next].at)
        return found

    def _any(self) -> Filter:
        parts = [self._all()]
        while self._peek("or"):
            self.next += 1
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self) -> Filter:
        parts = [self._one()]
        while self._peek("and"):
            self.next += 1
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self) -> Filter:
        self.depth += 1
        if self.depth > _DEEPEST:
            self._refuse("too many brackets", self.tokens[self.next - 1].at)
        found: Filter
        if self._peek("not"):
            self.next += 1
            found = Not(self._one())
        elif self._peek("("):
            self.next += 1
            found = self._any()
            self._mark(")")
        else:
            found = self._condition()
        self.depth -= 1
        return found

    def _condition(self) -> Filter:
        name = _plain(self._take("a name", "word", "quoted"))
        if self._peek("in"):
            self.next += 1
            self._mark("(")
            values = [self._value()]
            while self._peek(","):
                self.next += 1
                values.append(self._value())
            self._mark(")")
            return OneOf(name, tuple(values))
        sign = self._take(f"one of {' '.join(OPERATORS)}", "operator").text
        operator: Operator = next(o for o in OPERATORS if o == sign.replace("==", "="))
        return Compare(name, operator, self._value())

    def _value(self) -> str:
        return _plain(self._take("a value", "word", "quoted"))


def _plain(token: _Token) -> str:
    return token.text[1:-1] if token.kind == "quoted" else token.text
