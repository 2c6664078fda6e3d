"""Which findings may be told of which images: a hard mask.

After FetalMind: an expert's graph between views and diseases, so that a
model is never credited with what a view can't show, such as a pleural effusion on a head CT.
"""

from __future__ import annotations

from collections.abc import Mapping

CT, MR, XRAY = "CT", "MR", "XR"
HEAD, CHEST, ABDOMEN = "head", "chest", "abdomen"
LIMBS, PELVIS = "spine and limbs", "pelvis and urinary tract"
REGIONS = (HEAD, CHEST, ABDOMEN, LIMBS, PELVIS)
_SLICES = frozenset({CT, MR})
_ALL = frozenset({CT, MR, XRAY})
_ANYWHERE = frozenset(REGIONS)
_TRUNK = frozenset({CHEST, ABDOMEN, PELVIS})

# Finding -> modalities and regions in which it may be told.
_GRAPH: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "pleural effusion": (_ALL, frozenset({CHEST})),
    "pneumothorax": (_ALL, frozenset({CHEST})),
    "consolidation": (_ALL, frozenset({CHEST})),
    "lung opacity": (_ALL, frozenset({CHEST})),
    "atelectasis": (_ALL, frozenset({CHEST})),
    "cardiomegaly": (_ALL, frozenset({CHEST})),
    "pulmonary edema": (frozenset({CT, XRAY}), frozenset({CHEST})),
    "emphysema": (frozenset({CT, XRAY}), frozenset({CHEST})),
    "interstitial change": (frozenset({CT, XRAY}), frozenset({CHEST})),
    "hiatal hernia": (_ALL, frozenset({CHEST, ABDOMEN})),
    "nodule": (_ALL, _ANYWHERE),
    "mass": (_ALL, _ANYWHERE),
    "lesion": (_SLICES, _ANYWHERE),
    "cyst": (_SLICES, _ANYWHERE),
    "calcification": (frozenset({CT, XRAY}), _ANYWHERE),
    "enhancement": (_SLICES, _ANYWHERE),
    "edema": (_SLICES, frozenset({HEAD, LIMBS})),
    "hemorrhage": (_SLICES, _ANYWHERE),
    "infarct": (_SLICES, frozenset({HEAD})),
    "hydrocephalus": (_SLICES, frozenset({HEAD})),
    "mass effect": (_SLICES, frozenset({HEAD})),
    "fracture": (_ALL, _ANYWHERE),
    "abscess": (_SLICES, _ANYWHERE),
    "aneurysm": (_SLICES, _ANYWHERE),
    "thrombus": (_SLICES, _ANYWHERE),
    "enlarged lymph nodes": (_SLICES, _TRUNK | {HEAD}),
    "degenerative change": (_ALL, frozenset({LIMBS})),
    "device": (_ALL, _ANYWHERE),
}


def admissible(finding: str, modality: str, region: str, contrast: str = "") -> bool:
    """Whether a finding may be told.

    Args:
        finding: Its name as in ``models/text/findings.py``.
        modality: Of the image, or "" where it is not known: then nothing may be told.
        region: Of the image, likewise.
        contrast: ``yes``, ``no`` or ""; without contrast agent nothing enhances.
    """
    if finding == "enhancement" and contrast == "no":
        return False
    modalities, regions = _GRAPH.get(finding, (frozenset[str](), frozenset[str]()))
    return modality in modalities and region in regions
