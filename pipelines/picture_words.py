"""Words for what an image shows at large: modality, plane and region, in an expert's wordings.

FLAIR (doi 10.1016/j.media.2024.103357) trains on the class name or a description of it, and tells
classes apart by the mean vector of all their descriptions.
"""

from __future__ import annotations

MODALITY = {
    "CT": ("ct", "computed tomography", "ct scan, bone is white", "cat scan"),
    "MR": ("mr", "mri", "magnetic resonance imaging", "mri, cortical bone is dark"),
    "XR": ("x-ray", "radiograph", "plain film", "chest x-ray"),
}
PLANE = {
    "axial": ("axial", "transverse", "axial slice", "cross section"),
    "coronal": ("coronal", "coronal slice", "seen from the front"),
    "sagittal": ("sagittal", "sagittal slice", "midline view from the side"),
    "other": ("other view", "oblique view", "3d reconstruction"),
    "frontal": ("frontal", "pa view", "ap view", "upright or supine film"),
}
REGION = {
    "Head": ("head", "brain", "skull and brain", "neuroradiology, cerebral"),
    "Spine and Muscles": ("spine", "musculoskeletal", "bone, joint and muscle", "vertebrae"),
    "Thorax": ("chest", "thorax", "lung and mediastinum", "heart and lungs"),
    "Abdomen": ("abdomen", "liver, spleen and bowel", "gastrointestinal", "abdominal organs"),
    "Reproductive and Urinary System": (
        "pelvis",
        "kidney and bladder",
        "genitourinary",
        "uterus, ovary or prostate",
    ),
}
_SEQUENCES = (  # parts of MedPix's words for a modality, and how people write them
    ("flair", ("flair", "flair mri, fluid is dark")),
    ("t2*", ("gradient echo", "t2* gre")),
    ("t2", ("t2", "t2 weighted mri, fluid is bright")),
    ("fat suppressed", ("t1 post contrast fat suppressed", "fat suppressed enhanced t1 mri")),
    ("t1w w/", ("t1 post contrast", "contrast enhanced t1 mri, gadolinium")),
    ("t1w", ("t1", "t1 weighted mri, fluid is dark")),
    ("dwi", ("dwi", "diffusion weighted imaging")),
    ("adc", ("adc map", "apparent diffusion coefficient")),
    ("mra", ("mra", "mr angiography")),
    ("cta", ("cta", "ct angiography")),
    ("gi", ("ct with oral contrast", "ct with enteric contrast")),
    ("w/contrast", ("contrast enhanced ct", "ct with iv contrast")),
    ("noncontrast", ("non-contrast ct", "unenhanced ct")),
    ("pdw", ("proton density", "pd weighted mri")),
    ("stir", ("stir", "fat suppressed fluid sensitive mri")),
)


def plane_of(words: str) -> str:
    """One of `PLANE`, of a table's word for a plane or a view."""
    lower = words.lower()
    if lower.startswith(("axial", "transverse")):
        return "axial"
    if lower.startswith(("pa", "ap")):
        return "frontal"
    return lower if lower in PLANE else "other"


def sequence_words(modality: str) -> tuple[str, ...]:
    """Ways to write what a table's word for a modality says beyond CT or MR."""
    lower = modality.lower()
    return next((words for part, words in _SEQUENCES if part in lower), ())
