"""Names of labels, however a model spells them: ``right_kidney``, ``Left-VentralDC``, ``class 3``.

Names come from outside with a model's files: they are only ever compared with words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from mmtool.models.text.words import normalise_word
from mmtool.types import Label

LEFT = frozenset({"left", "l", "lt", "lh", "sinister", "sin"})
RIGHT = frozenset({"right", "r", "rt", "rh", "dexter", "dex"})
_MOST_WORDS = 12  # of a name; the rest of a longer one is not read
# Between the humps of camel case: "VentralDC", "lungUpperLobe"; not in "L1".
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PIECE = re.compile(r"[^\W_]+(?:'[a-z]+)?")
_CHAMBERS = {
    "lv": ("left", "ventricle"), "rv": ("right", "ventricle"),
    "la": ("left", "atrium"), "ra": ("right", "atrium"),
}  # fmt: skip
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
)
_NUMERALS = "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th 11th 12th".split()
# Words that say where or how large, not what: no name for a structure on their own.
_WEAK = frozenset(
    "superior inferior anterior posterior medial lateral upper lower middle mid central left right "
    "small large greater lesser deep superficial internal external common major minor maximus "
    "medius minimus proximal distal dorsal ventral rostral caudal and or of the with without not "
    "in to by for class label region roi structure segment object part area other background "
    "normal whole new old non enhancing no vein artery gland muscle bone nerve duct cavity wall "
    "tissue".split()
)


@dataclass(frozen=True)
class LabelName:
    """A label's name in parts.

    Attributes:
        label: The label.
        words: Normalised words without the side; empty when the name holds no letter or digit.
        side: ``left``, ``right`` or empty.
        raw: The words as written, lower case, sides included.
    """

    label: Label
    words: tuple[str, ...]
    side: str
    raw: tuple[str, ...]


def read_name(label: Label) -> LabelName:
    """Take a label's name apart.

    Example:
        >>> from mmtool.anatomy import BRAIN
        >>> from dataclasses import replace
        >>> name = read_name(replace(BRAIN, name="lung_upper_lobe_left"))
        >>> name.words, name.side
        (('lung', 'upper', 'lobe'), 'left')
    """
    pieces = _PIECE.findall(label.name[:400])[:_MOST_WORDS]
    raw = tuple(p.lower() for p in pieces)
    parts = [hump.lower() for piece in pieces for hump in _HUMP.split(piece) if hump]
    if len(parts) <= 3:
        parts = [word for part in parts for word in _CHAMBERS.get(part, (part,))]
    side = _said(label)
    kept = []
    for place, part in enumerate(parts):
        found = _side(part, ends=place in (0, 1, len(parts) - 1))
        if found and len(parts) > 1 and (not side or found == side):
            side = found
        else:
            kept.append(normalise_word(part))
    return LabelName(label, tuple(kept), side, raw)


def _said(label: Label) -> str:
    meaning = "" if label.laterality is None else label.laterality.meaning.lower()
    return meaning if meaning in ("left", "right") else ""


def _side(word: str, *, ends: bool) -> str:
    """A side; an abbreviation of one counts only near an end of the name ("ctx-lh-cuneus")."""
    if word == "left" or (ends and word in LEFT):
        return "left"
    return "right" if word == "right" or (ends and word in RIGHT) else ""


def spellings(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Other ways to say a name that no lexicon knows: "L1 vertebra", "upper lobe of the lung"."""
    content = tuple(w for w in words if w not in ("of", "the"))
    if "and" in content:
        at = content.index("and")
        yield from (content[:at], content[at + 1 :])
    elif len(content) > 4:
        return
    elif len(content) <= 3:
        yield from permutations(content)
    else:
        yield from (content[i:] + content[:i] for i in range(len(content)))
    if len(content) == 2 and content[1].isdecimal() and 1 <= int(content[1]) <= len(_ORDINALS):
        number = int(content[1])
        yield (_ORDINALS[number - 1], content[0])
        yield (_NUMERALS[number - 1], content[0])


def parts(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Runs of a name's words that may stand for it, or for all names that hold them."""
    for length in range(1, min(len(words), 6)):
        for start in range(len(words) - length + 1):
            run = words[start : start + length]
            if run[0] in ("and", "of", "the") or run[-1] in ("and", "of", "the"):
                continue
            if not all(w in _WEAK or w.isdigit() for w in run):
                yield run


def stands_alone(run: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Whether a run can stand for the one name that holds it: its noun comes last.

    "bladder" for ``urinary bladder``, "lower lobe" for ``lung lower lobe``; not "small" for
    ``small bowel``.
    """
    return words[-len(run) :] == run and len(run[-1]) > 1
