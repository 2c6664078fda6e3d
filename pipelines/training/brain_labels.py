"""Which training label becomes which class of the ``brain`` model.

The numbers on the left are those of the SynthSeg training label maps: FreeSurfer codes, and
502-530 for tissue outside the brain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Class name -> (left or midline codes, right codes). Lesions of white matter (25, 57) and
# perivascular spaces (30, 62) belong to the white matter that holds them; choroid plexus
# (136/163 in the body, 137/164 in the temporal horn) to its ventricle.
CLASSES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "background": ((), ()),
    "cerebral white matter": ((2, 25, 30), (41, 57, 62)),
    "cerebral cortex": ((3,), (42,)),
    "lateral ventricle": ((4, 136), (43, 163)),
    "inferior lateral ventricle": ((5, 137), (44, 164)),
    "cerebellar white matter": ((7,), (46,)),
    "cerebellar cortex": ((8,), (47,)),
    "thalamus": ((10,), (49,)),
    "caudate": ((11,), (50,)),
    "putamen": ((12,), (51,)),
    "pallidum": ((13,), (52,)),
    "third ventricle": ((14,), ()),
    "fourth ventricle": ((15,), ()),
    "brainstem": ((16,), ()),
    "hippocampus": ((17,), (53,)),
    "amygdala": ((18,), (54,)),
    "cerebrospinal fluid": ((24,), ()),
    "nucleus accumbens": ((26,), (58,)),
    "ventral diencephalon": ((28,), (60,)),
}
NAMES = tuple(CLASSES)
CSF = NAMES.index("cerebrospinal fluid")

# Tissue of its own contrast, whatever class it is taught as. Typical T1-weighted intensity as a
# fraction of white matter, and its usual spread between scans.
T1_LIKE: dict[str, tuple[tuple[int, ...], float, float]] = {
    "air": ((0,), 0.0, 0.02),
    "white matter": ((2, 41), 1.0, 0.03),
    "lesion": ((25, 57), 0.7, 0.2),
    "perivascular": ((30, 62), 0.4, 0.1),
    "cortex": ((3, 42), 0.70, 0.05),
    "ventricle": ((4, 5, 43, 44), 0.22, 0.06),
    "choroid": ((136, 137, 163, 164), 0.45, 0.1),
    "cerebellar white matter": ((7, 46), 0.97, 0.05),
    "cerebellar cortex": ((8, 47), 0.68, 0.06),
    "thalamus": ((10, 49), 0.86, 0.05),
    "caudate": ((11, 50), 0.74, 0.05),
    "putamen": ((12, 51), 0.80, 0.05),
    "pallidum": ((13, 52), 0.93, 0.05),
    "third ventricle": ((14,), 0.30, 0.08),
    "fourth ventricle": ((15,), 0.25, 0.08),
    "brainstem": ((16,), 0.93, 0.05),
    "hippocampus": ((17, 53), 0.70, 0.05),
    "amygdala": ((18, 54), 0.69, 0.05),
    "csf": ((24,), 0.25, 0.10),
    "accumbens": ((26, 58), 0.75, 0.05),
    "ventral diencephalon": ((28, 60), 0.91, 0.05),
    "chiasm": ((85,), 0.80, 0.1),
    "artery": ((502,), 0.5, 0.3),
    "eye": ((506,), 0.25, 0.08),
    "soft tissue": ((507,), 0.60, 0.15),
    "lens": ((508,), 0.45, 0.1),
    "mucosa": ((509,), 0.55, 0.12),
    "skin": ((511,), 0.75, 0.2),
    "cord": ((512,), 0.88, 0.08),
    "venous sinus": ((514,), 0.40, 0.2),
    "compact bone": ((515,), 0.14, 0.08),
    "marrow": ((516,), 0.85, 0.25),
    "optic nerve": ((530,), 0.75, 0.1),
}
TISSUES = tuple(T1_LIKE)
SOFT_TISSUE = TISSUES.index("soft tissue")


@dataclass(frozen=True)
class Lookup:
    """Tables from a raw code to what training needs, each (600,) uint8 or int8.

    Attributes:
        tissue: Index into ``TISSUES``.
        of_class: Index into ``NAMES``.
        side: 1 left, 0 right, -1 neither.
    """

    tissue: NDArray[np.uint8]
    of_class: NDArray[np.uint8]
    side: NDArray[np.int8]


def build_lookup() -> Lookup:
    """Tables for every code of the training maps."""
    tissue = np.zeros(600, np.uint8)
    for index, (codes, _, _) in enumerate(T1_LIKE.values()):
        tissue[list(codes)] = index
    of_class = np.zeros(600, np.uint8)
    side = np.full(600, -1, np.int8)
    for index, (left, right) in enumerate(CLASSES.values()):
        of_class[[*left, *right]] = index
        if right:
            side[list(left)] = 1
            side[list(right)] = 0
    return Lookup(tissue, of_class, side)


def sided_table() -> NDArray[np.uint8]:
    """(classes, 2) label index of each class on the right (0) and on the left (1)."""
    rows = [((right or left)[0], left[0]) for left, right in list(CLASSES.values())[1:]]
    return np.array([(0, 0), *rows], np.uint8)
