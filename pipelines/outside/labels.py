"""From the class names of an outside model to labels with codes and colours.

Names of brain structures get the codes of ``anatomy.py``. Others are looked up in the DICOM context
groups of segmented structures: CID 7192 (anatomical structures) and CID 7194 (morphologically
abnormal structures). What neither has is coded as an anatomical structure of that name.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydicom.sr.codedict import codes

from mmtool.anatomy import BRAIN, BRAIN_LABELS, LEFT, RIGHT
from mmtool.errors import ModelError
from mmtool.types import Code, Label

Color = tuple[int, int, int]

_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
_ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
_SIDES = {"l": "left", "r": "right"}
_MOST_NAME = 64  # characters of a DICOM segment label
# Names that other tools give to structures of the brain.
_ALSO = {
    "thalamus proper": "thalamus",
    "accumbens": "nucleus accumbens",
    "accumbens area": "nucleus accumbens",
    "ventraldc": "ventral diencephalon",
    "ventral dc": "ventral diencephalon",
    "cerebellum cortex": "cerebellar cortex",
    "cerebellum white matter": "cerebellar white matter",
    "inf lat vent": "inferior lateral ventricle",
    "3rd ventricle": "third ventricle",
    "4th ventricle": "fourth ventricle",
    "brain stem": "brainstem",
    "csf": "cerebrospinal fluid",
}
_ABNORMAL_WORDS = {"tumor": "Neoplasm", "tumour": "Neoplasm", "cancer": "Neoplasm"}
_ABNORMAL_WORDS |= {"oedema": "Edema", "edema": "Edema", "lesion": "Lesion", "lesions": "Lesion"}


def make_labels(
    names: Mapping[int, str], colors: Mapping[int, Color] | None = None
) -> tuple[Label, ...]:
    """Labels of a model's classes.

    Args:
        names: Voxel value, 1 to 255 -> name as the model's makers wrote it.
        colors: Voxel value -> sRGB; others get a colour of their own.

    Raises:
        ModelError: More classes than a label map of 8 bits holds.
    """
    if not names or min(names) < 1 or max(names) > 255:
        raise ModelError(
            f"the model has {len(names)} classes with values {min(names, default=0)} to "
            f"{max(names, default=0)}",
            "mmtool holds labels of 1 to 255",
        )
    plain = {index: plain_name(name) or f"class {index}" for index, name in names.items()}
    out: list[Label] = []
    for index, name in sorted(plain.items()):
        body, side = split_side(name)
        code, category = _coded(body)
        if body in _ALSO:
            name = name.removesuffix(body) + _ALSO[body]
        if any(label.name == name for label in out):
            name = f"{name} {index}"
        color = (colors or {}).get(index) or _color(index)
        out.append(Label(index, name[:_MOST_NAME], code, side, category, color))
    return tuple(out)


def plain_name(name: str) -> str:
    """``Left-Thalamus-Proper*`` -> ``left thalamus proper``; a side at the end comes first."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", " ".join(name.split()))
    words = re.sub(r"[^\w.+/()' ]|_", " ", words).lower()
    text = " ".join(words.split())
    for pattern, side in ((r"lh|l", "left"), (r"rh|r", "right")):
        text = re.sub(rf"^(ctx )?(?:{pattern})(?= \w)", rf"{side} \1", text)
    match = re.fullmatch(r"(.+?)[ (]+(left|right|l|r)\)?", text)
    if match and not text.startswith(("left ", "right ")):
        text = f"{_SIDES.get(match[2], match[2])} {match[1]}"
    return " ".join(text.split())


def split_side(name: str) -> tuple[str, Code | None]:
    """Name without its side, and the side."""
    word, _, rest = name.partition(" ")
    side = {"left": LEFT, "right": RIGHT}.get(word)
    # The left atrium, lobe or ventricle of the heart has its side in its name.
    if side is None or not rest or _keyword(name) in _known():
        return name, None
    return rest, side


def _coded(name: str) -> tuple[Code, Code]:
    """Code and category of a structure."""
    brain = _brain().get(_ALSO.get(name, name))
    if brain is not None:
        return brain
    # By the last word too: "kidney tumor" and "enhancing tumor" are neoplasms, "kidneys" kidneys.
    words = (_keyword(name), _ABNORMAL_WORDS.get(name.rpartition(" ")[2], ""))
    plural = _keyword(name.removesuffix("s"))
    found = next((_known()[w] for w in (*words, plural) if w in _known()), None)
    return found or (_STRUCTURE, _STRUCTURE)


def _keyword(name: str) -> str:
    return "".join(word.capitalize() for word in re.findall(r"\w+", name))


@cache
def _brain() -> dict[str, tuple[Code, Code]]:
    return {split_side(x.name)[0]: (x.code, x.category) for x in (BRAIN, *BRAIN_LABELS)}


@cache
def _known() -> dict[str, tuple[Code, Code]]:
    """Keyword -> code and category."""
    known = {}
    for group, category in ((codes.cid7194, _ABNORMAL), (codes.cid7192, _STRUCTURE)):
        for word in group.dir():
            code = getattr(group, word)
            if code.scheme_designator == "SCT":
                known[word] = (Code(code.value, "SCT", code.meaning), category)
    return known


def _color(index: int) -> Color:
    """Colours that are far from those of their neighbours."""
    shade = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.55 + 0.15 * (index % 3), 0.95)
    return int(shade[0] * 255), int(shade[1] * 255), int(shade[2] * 255)


def read_colors(content: Mapping[str, Any], count: int) -> dict[int, Color]:
    """Colours of classes 1 to ``count - 1`` in a colour map of three lists ``R``, ``G``, ``B``."""
    out = {}
    for index in range(1, count):
        try:
            red, green, blue = (int(content[channel][index]) for channel in "RGB")
        except (KeyError, IndexError, TypeError, ValueError):
            continue
        if all(0 <= value <= 255 for value in (red, green, blue)):
            out[index] = (red, green, blue)
    return out
