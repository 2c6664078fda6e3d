"""Structures of the head: label indices, codes and colours.

Indices are those of FreeSurfer. Codes are those of DICOM CID 7140 (Brain Structure for Volumetric
Measurement): SNOMED CT where it has the structure.
"""

from __future__ import annotations

from mmtool.types import Code, Label

LEFT = Code("7771000", "SCT", "Left")
RIGHT = Code("24028007", "SCT", "Right")
STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
ALTERED = Code("49755003", "SCT", "Morphologically Abnormal Structure")
_SUBSTANCE = Code("91720002", "SCT", "Body Substance")


def _code(value: str, meaning: str, scheme: str = "SCT") -> Code:
    return Code(value, scheme, meaning)


# Name -> left and right index (or one index), code, colour.
_PAIRS: tuple[tuple[str, int, int, Code, tuple[int, int, int]], ...] = (
    ("cerebral white matter", 2, 41, _code("68523003", "Cerebral White Matter"), (225, 225, 225)),
    ("cerebral cortex", 3, 42, _code("40146001", "Cerebral Gray Matter"), (205, 62, 78)),
    ("lateral ventricle", 4, 43, _code("66720007", "Lateral Ventricle"), (140, 30, 200)),
    (
        "inferior lateral ventricle",
        5,
        44,
        _code("53118009", "Inferior Horn of Lateral Ventricle"),
        (196, 58, 250),
    ),
    (
        "cerebellar white matter",
        7,
        46,
        _code("33060004", "Cerebellar White Matter"),
        (220, 248, 164),
    ),
    ("cerebellar cortex", 8, 47, _code("25991003", "Cerebellar Cortex"), (230, 148, 34)),
    ("thalamus", 10, 49, _code("119406000", "Thalamus"), (0, 158, 64)),
    ("caudate", 11, 50, _code("11000004", "Caudate Nucleus"), (122, 186, 220)),
    ("putamen", 12, 51, _code("89278009", "Putamen"), (236, 13, 176)),
    ("pallidum", 13, 52, _code("14738005", "Globus Pallidus"), (60, 90, 255)),
    ("hippocampus", 17, 53, _code("5366008", "Hippocampus"), (220, 216, 20)),
    ("amygdala", 18, 54, _code("4958002", "Amygdala"), (103, 255, 255)),
    ("nucleus accumbens", 26, 58, _code("427667007", "Nucleus Accumbens"), (255, 165, 0)),
    (
        "ventral diencephalon",
        28,
        60,
        _code("110700", "Ventral Diencephalon", "DCM"),
        (165, 42, 42),
    ),
)
_MIDLINE: tuple[tuple[str, int, Code, tuple[int, int, int]], ...] = (
    ("third ventricle", 14, _code("49841001", "Third ventricle"), (204, 182, 142)),
    ("fourth ventricle", 15, _code("35918002", "Fourth Ventricle"), (42, 204, 164)),
    ("brainstem", 16, _code("119238007", "Brain Stem"), (119, 159, 176)),
    ("cerebrospinal fluid", 24, _code("65216001", "Cerebrospinal fluid"), (60, 60, 200)),
)

BRAIN = Label(1, "brain", _code("12738006", "Brain"), None, STRUCTURE, (90, 200, 140))


def _labels() -> tuple[Label, ...]:
    out = []
    for name, left, right, code, color in _PAIRS:
        darker = (int(color[0] * 0.72), int(color[1] * 0.72), int(color[2] * 0.72))
        out.append(Label(left, f"left {name}", code, LEFT, STRUCTURE, color))
        out.append(Label(right, f"right {name}", code, RIGHT, STRUCTURE, darker))
    for name, index, code, color in _MIDLINE:
        category = _SUBSTANCE if "fluid" in name else STRUCTURE
        out.append(Label(index, name, code, None, category, color))
    return tuple(sorted(out, key=lambda label: label.index))


BRAIN_LABELS = _labels()
