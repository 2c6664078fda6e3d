"""Words that have an order: stages, grades, TNM, and low to high."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_ROMAN = {"0": 0, "i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5}
_STAGE = re.compile(r"(?:stage|figo|ajcc)?\s*(iv|v|i{1,3}|0)\s*([abc]?)\s*([0-9]?)")
_ARABIC_STAGE = re.compile(r"(?:stage)\s*([0-4])\s*([abc]?)([0-9]?)")
_TNM = re.compile(r"(?:[cyp]{0,2})([tnm])\s*(is|[0-4])\s*([a-d]?)[a-z0-9()+\- ]*")
_GRADE = re.compile(r"(?:who\s*)?(?:grade|g)\s*(iv|i{1,3}|[1-5])")
_RESIDUAL = re.compile(r"r([0-2])")
_SCALES = (
    ("low grade", "high grade"),
    ("low", "intermediate", "high"),
    ("low", "medium", "high"),
    ("low", "moderate", "high"),
    ("well differentiated", "intermediate", "poorly differentiated"),
    ("well differentiated", "moderately differentiated", "poorly differentiated"),
    ("none", "mild", "moderate", "severe"),
    ("absent", "mild", "moderate", "severe"),
    ("negative", "close", "positive"),
    ("negative", "equivocal", "positive"),
    ("negative", "indeterminate", "positive"),
    ("never", "former", "current"),
)


def _stage(word: str) -> float | None:
    match = _STAGE.fullmatch(word)
    if match:
        major = _ROMAN[match[1]]
    else:
        match = _ARABIC_STAGE.fullmatch(word)
        if match is None:
            return None
        major = int(match[1])
    # IIIC1 and IIIC2 lie between IIIC and IV.
    return major + {"a": 0.0, "": 1 / 3, "b": 1 / 3, "c": 2 / 3}[match[2]] + 0.1 * bool(match[3])


def _tnm(letter: str) -> Callable[[str], float | None]:
    def value(word: str) -> float | None:
        match = _TNM.fullmatch(word)
        if match is None or match[1] != letter:
            return None
        major = 0.5 if match[2] == "is" else float(match[2])
        return major + 0.2 * " abcd".index(match[3] or " ")

    return value


def _grade(word: str) -> float | None:
    if word == "high grade":  # beside G1 to G3, as UCEC's tables have it
        return 3.5
    match = _GRADE.fullmatch(word)
    return None if match is None else float(_ROMAN.get(match[1], 0) or match[1])


def _residual(word: str) -> float | None:
    match = _RESIDUAL.fullmatch(word)
    return None if match is None else float(match[1])


def _scale(words: tuple[str, ...]) -> Callable[[str], float | None]:
    return lambda word: float(words.index(word)) if word in words else None


ORDERS: dict[str, Callable[[str], float | None]] = {
    "stage": _stage,
    "grade": _grade,
    "T": _tnm("t"),
    "N": _tnm("n"),
    "M": _tnm("m"),
    "residual": _residual,
    **{" < ".join(words): _scale(words) for words in _SCALES},
}
_STRAY = 0.1  # share of cells that may be words of another kind; they count as unknown
_UNKNOWN = re.compile(r"(?:stage\s*|grade\s*|p?)[tnmgr]?x|cannot be assessed")


def order_of(counts: Mapping[str, int]) -> str | None:
    """The name of an order in which nearly all cells have a place, at two places at least.

    Args:
        counts: Word -> cells of it. Words that say that nothing could be assessed (``NX``) don't
            count.
    """
    known = {word: n for cell, n in counts.items() if (word := plain_word(cell)) is not None}
    for name, value in ORDERS.items():
        placed = {word: value(word) for word in known}
        lost = sum(known[word] for word, place in placed.items() if place is None)
        places = {place for place in placed.values() if place is not None}
        if len(places) > 1 and lost <= _STRAY * sum(known.values()):
            return name
    return None


def place_in(order: str, cell: str) -> float:
    """Place of a cell in an order; NaN if it has none there."""
    word = plain_word(cell)
    value = None if word is None else ORDERS[order](word)
    return float("nan") if value is None else value


def plain_word(cell: str) -> str | None:
    """A cell in lower case with single blanks; None if it says that nothing could be assessed."""
    word = " ".join(cell.lower().split())
    return None if _UNKNOWN.fullmatch(word) else word
