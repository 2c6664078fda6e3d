"""Words for structures outside the brain table: the heart, tumours of the brain, organs.

A label table need not use these names: one that calls a structure by any phrase here has it.
"""

from __future__ import annotations

from mmtool.models.text.words import Concept

# The parts of a glioma are those of BraTS (10.1109/TMI.2014.2377694): the core is what is
# necrotic, does not enhance or enhances; the whole tumour is the core and the oedema.
_CORE = ("necrosis", "non-enhancing tumor", "enhancing tumor")
_TUMOR = ("tumor", "tumor core", *_CORE, "edema")

_GLIOMA: dict[str, Concept] = {
    "edema": Concept(
        ("edema",),
        ("edema", "peritumor edema", "peritumoral edema", "vasogenic edema", "perifocal edema",
         "perilesional edema", "surrounding edema", "tumor edema", "edematous tissue",
         "peritumoral edematous tissue", "invaded tissue"),
        short=("ed",),
    ),
    "enhancing tumor": Concept(
        ("enhancing tumor",),
        ("enhancing tumor", "enhancement", "enhancing", "enhancing part", "enhancing lesion",
         "enhancing component", "enhancing rim", "enhancing portion", "enhancing mass",
         "enhancing core", "enhancing area", "enhancing part of the tumor", "contrast enhancement",
         "contrast enhancing tumor", "gadolinium enhancing tumor", "gd enhancing tumor",
         "active tumor", "ring enhancement", "rim enhancement", "enhancing tissue"),
        short=("et",),
    ),
    "non-enhancing tumor": Concept(
        ("non-enhancing tumor",),
        ("non enhancing tumor", "nonenhancing tumor", "non enhancing core", "nonenhancing core",
         "non enhancing component", "non enhancing part", "non enhancing", "nonenhancing"),
        short=("net",),
        instead=("tumor core",),
    ),
    "necrosis": Concept(
        ("necrosis",),
        ("necrosis", "necrosis core", "necrosis tumor", "necrosis center", "necrosis tissue",
         "necrosis part", "necrosis area", "tumor necrosis", "ncr",
         "necrosis tumor core", "necrosis and non enhancing tumor core"),
        instead=("non-enhancing tumor", "tumor core"),
    ),
    "tumor core": Concept(
        ("tumor core",),
        ("tumor core", "core of the tumor", "solid tumor", "solid core"),
        short=("tc", "core"),
        instead=_CORE,
    ),
    "whole tumor": Concept(
        _TUMOR,
        ("whole tumor", "tumor", "entire tumor", "complete tumor", "total tumor",
         "all of the tumor", "tumor mass", "brain tumor", "glioma", "glioblastoma",
         "neoplasm", "mass", "lesion",
         "gbm", "astrocytoma", "space occupying lesion"),
        short=("wt",),
    ),
}  # fmt: skip

_HEART: dict[str, Concept] = {
    # With "left" before them when a table has one side only: the word belongs to the name.
    "atrium": Concept(
        ("atrium",),
        ("atrium", "atrium cavity", "atrium chamber", "atrium body", "atrium blood pool",
         "heart atrium", "cardiac atrium", "atrium of the heart", "atrium wall and cavity",
         "cavity of the atrium", "atrium and pulmonary vein", "atrium with pulmonary vein",
         "atrium including the pulmonary vein"),
    ),
    "cardiac chamber": Concept(
        ("ventricle of the heart",),
        ("heart ventricle", "cardiac ventricle", "ventricle", "ventricle of the heart",
         "ventricular cavity", "ventricle cavity", "ventricle blood pool"),
    ),
    "left atrium": Concept(("left atrium",), (), short=("la",)),
    "right atrium": Concept(("right atrium",), (), short=("ra",)),
    "left ventricle": Concept(
        ("left ventricle of the heart", "left ventricle"), (), short=("lv",)
    ),
    "right ventricle": Concept(
        ("right ventricle of the heart", "right ventricle"), (), short=("rv",)
    ),
    "myocardium": Concept(
        ("myocardium",),
        ("myocardium", "heart myocardium", "cardiac muscle", "heart muscle",
         "ventricle myocardium"),
    ),
}  # fmt: skip


def _organ(name: str, *others: str) -> Concept:
    return Concept((name,), (name, *others))


_ORGANS: dict[str, Concept] = {
    concept.structures[0]: concept
    for concept in (
        _organ("urinary bladder", "bladder", "vesica urinaria"),
        _organ("gallbladder", "gall bladder", "vesica fellea"),
        _organ("adrenal gland", "adrenal", "suprarenal gland", "glandula suprarenalis"),
        _organ("inferior vena cava", "ivc", "vena cava inferior"),
        _organ("superior vena cava", "svc", "vena cava superior"),
        _organ("small bowel", "small intestine"),
        _organ("colon", "large bowel", "large intestine"),
        _organ("esophagus", "gullet"),
        _organ("trachea", "windpipe"),
        _organ("clavicle", "clavicula", "collarbone"),
        _organ("scapula", "shoulder blade"),
        _organ("femur", "thigh bone"),
        _organ("prostate", "prostate gland"),
        _organ("thyroid gland", "thyroid"),
        _organ("pulmonary vein", "lung vein"),
    )
}

BODY_CONCEPTS: dict[str, Concept] = _GLIOMA | _HEART | _ORGANS
