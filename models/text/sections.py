"""Cut a text into sections, sentences and clauses. All patterns run in linear time."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Sections that say what is to be seen; anything without a heading counts as one of them.
_ASKING = (
    "findings", "finding", "impression", "impressions", "conclusion", "conclusions", "opinion",
    "summary", "result", "results", "interpretation", "observations", "report", "brain",
    "addendum", "diagnosis", "assessment",
)  # fmt: skip
# Sections that speak of the patient or the machine, not of this image.
_BACKGROUND = (
    "indication", "indications", "clinical indication", "history", "clinical history",
    "clinical information", "clinical details", "clinical data", "reason for exam",
    "reason for examination", "reason for study", "technique", "protocol", "procedure", "exam",
    "examination", "study", "comparison", "comparisons", "prior", "prior studies", "contrast",
    "recommendation", "recommendations", "signed", "electronically signed by", "dictated by",
    "radiologist", "referring physician", "patient", "name", "date",
)  # fmt: skip
_KINDS = {**dict.fromkeys(_ASKING, True), **dict.fromkeys(_BACKGROUND, False)}
_HEADING = re.compile(r"^[ \t>*#_-]{0,8}([A-Za-z][A-Za-z ]{2,30}?)[ \t*_]{0,4}:", re.MULTILINE)
_BULLET = re.compile(r"^\s{0,20}(?:[-*\u2022]|\(?\d{1,3}[.)]|[a-z]\))\s+", re.MULTILINE)
_ABBREVIATIONS = frozenset("dr mr mrs ms e.g i.e vs approx fig st cf lt rt l r bilat".split())
_LEADING = frozenset("the of in and or a an both for to with from at on by within".split())
_END = re.compile(r"[.!?]+(?=\s|$)|;|\n\n|\u0000")
_CLAUSE = re.compile(
    r",?\s*\b(?:but not|but|however|although|though|whereas|while|yet|except for|except|"
    r"excluding|apart from)\b"
)


@dataclass(frozen=True)
class Sentence:
    """One sentence.

    Attributes:
        text: As written, blanks squeezed.
        section: Heading above it in lower case, or empty.
        asks: Whether its section is one that asks for structures.
    """

    text: str
    section: str
    asks: bool


def clean(text: str) -> str:
    """Plain characters: no BOM, no soft hyphens, ASCII dashes and quotes, LF line ends."""
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "").replace("\ufeff", "")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", " ")
    text = re.sub(r"[\u2010-\u2015\u2212]", "-", text)
    text = re.sub(r"[\u2018\u2019]", "'", text)
    return re.sub(r"([a-z])-\n([a-z])", r"\1\2", text)


def has_headings(text: str) -> bool:
    """Whether a text looks like a report: it has a known heading."""
    return any(_name(m) in _KINDS for m in _HEADING.finditer(text))


def _name(heading: re.Match[str]) -> str:
    return " ".join(heading.group(1).lower().split())


def sentences(text: str) -> list[Sentence]:
    """Sentences of a cleaned text, in order."""
    out: list[Sentence] = []
    for section, asks, body in _sections(text):
        for piece in _split(body):
            squeezed = " ".join(piece.split())
            if squeezed:
                out.append(Sentence(squeezed, section, asks))
    return out


def _sections(text: str) -> list[tuple[str, bool, str]]:
    marks = [(m.start(), m.end(), _name(m)) for m in _HEADING.finditer(text) if _name(m) in _KINDS]
    out = [("", True, text[: marks[0][0]] if marks else text)]
    for (_, end, name), following in zip(marks, [*marks[1:], None], strict=False):
        body = text[end : following[0] if following else len(text)]
        out.append((name, _KINDS[name], body))
    return out


def _split(body: str) -> list[str]:
    """Sentences of a section: at full stops, semicolons, blank lines and list marks."""
    body = _BULLET.sub("\0", body)
    out, start = [], 0
    for match in _END.finditer(body):
        before = body[max(start, match.start() - 24) : match.start()]
        if match.group() == "." and _is_abbreviation(before, body[match.end() : match.end() + 3]):
            continue
        out.append(body[start : match.end()].rstrip("\0"))
        start = match.end()
    out.append(body[start:])
    return [piece.strip("\0") for piece in out]


def _is_abbreviation(before: str, behind: str) -> bool:
    words = before.lower().split()
    if not words or words[-1].lstrip("(") not in _ABBREVIATIONS:
        return False
    # "lesion of the putamen R. The horn" ends a sentence; "in the R. Putamen" doesn't.
    following = behind.strip()
    trailing = words[-1] in ("l", "r") and following[:1].isupper() and following[1:].islower()
    return not trailing or not words[:-1] or words[-2] in _LEADING


def clauses(sentence: str) -> list[tuple[str, str]]:
    """Clauses with the word that opened each (empty for the first)."""
    out, start, opener = [], 0, ""
    lower = sentence.lower()
    for match in _CLAUSE.finditer(lower):
        out.append((opener, sentence[start : match.start()]))
        opener, start = match.group().strip(" ,"), match.end()
    out.append((opener, sentence[start:]))
    return [(o, c) for o, c in out if c.strip(" ,.")]
