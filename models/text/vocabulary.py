"""Words for structures: what can be asked for, and what is known but can't be segmented.

A *concept* is a set of unsided structures (one, or a group such as the basal ganglia). The phrases
are in singular, lower case, American spelling; :func:`normalise_word` brings others there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.types import Label

_SUBCORTICAL = (
    "thalamus", "caudate", "putamen", "pallidum", "hippocampus", "amygdala", "nucleus accumbens",
)  # fmt: skip

# Concept -> (structure names of anatomy.py without sides, phrases).
_CONCEPTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "hippocampus": (("hippocampus",), ("hippocampus", "hippocampal formation", "ammon's horn")),
    "amygdala": (("amygdala",), ("amygdala", "amygdaloid complex", "amygdaloid body")),
    "thalamus": (("thalamus",), ("thalamus", "thalamic nucleus", "thalamus proper")),
    "caudate": (
        ("caudate",),
        ("caudate", "caudate nucleus", "caudate head", "head of the caudate"),
    ),
    "putamen": (("putamen",), ("putamen",)),
    "pallidum": (("pallidum",), ("pallidum", "globus pallidus")),
    "nucleus accumbens": (
        ("nucleus accumbens",),
        ("nucleus accumbens", "accumbens", "accumbens area", "ventral striatum"),
    ),
    "ventral diencephalon": (
        ("ventral diencephalon",),
        ("ventral diencephalon", "ventral dc", "ventraldc"),
    ),
    "lateral ventricle": (
        ("lateral ventricle", "inferior lateral ventricle"),
        ("lateral ventricle",),
    ),
    "temporal horn": (
        ("inferior lateral ventricle",),
        (
            "temporal horn",
            "inferior horn",
            "inferior lateral ventricle",
            "temporal horn of the lateral ventricle",
            "inferior horn of the lateral ventricle",
        ),
    ),
    "third ventricle": (
        ("third ventricle",),
        ("third ventricle", "3rd ventricle", "iii ventricle"),
    ),
    "fourth ventricle": (
        ("fourth ventricle",),
        ("fourth ventricle", "4th ventricle", "iv ventricle"),
    ),
    "ventricles": (
        (
            "lateral ventricle",
            "inferior lateral ventricle",
            "third ventricle",
            "fourth ventricle",
        ),
        ("ventricle", "ventricular system", "cerebral ventricle"),
    ),
    "brainstem": (("brainstem",), ("brainstem", "brain stem", "truncus encephali")),
    "cerebellar cortex": (
        ("cerebellar cortex",),
        ("cerebellar cortex", "cerebellar gray matter", "cerebellum cortex"),
    ),
    "cerebellar white matter": (
        ("cerebellar white matter",),
        ("cerebellar white matter", "cerebellum white matter"),
    ),
    "cerebellum": (
        ("cerebellar cortex", "cerebellar white matter"),
        ("cerebellum", "cerebellar hemisphere"),
    ),
    "cerebral cortex": (
        ("cerebral cortex",),
        ("cerebral cortex", "cortex", "cortical gray matter", "cortical ribbon", "neocortex"),
    ),
    "cerebral white matter": (
        ("cerebral white matter",),
        ("cerebral white matter", "white matter", "periventricular white matter",
         "subcortical white matter", "deep white matter"),
    ),
    "gray matter": (
        ("cerebral cortex", *_SUBCORTICAL),
        ("gray matter", "cerebral gray matter"),
    ),
    "deep gray matter": (
        ("thalamus", "caudate", "putamen", "pallidum", "nucleus accumbens"),
        (
            "deep gray matter",
            "deep gray nucleus",
            "subcortical gray matter",
            "deep nucleus",
            "deep gray structure",
            "subcortical nucleus",
        ),
    ),
    "subcortical structures": (
        _SUBCORTICAL,
        ("subcortical structure",),
    ),
    "basal ganglia": (
        ("caudate", "putamen", "pallidum", "nucleus accumbens"),
        ("basal ganglion", "basal nucleus"),
    ),
    "limbic structures": (
        ("hippocampus", "amygdala"),
        ("limbic structure", "limbic system", "limbic lobe", "limbic complex"),
    ),
    "striatum": (
        ("caudate", "putamen", "nucleus accumbens"),
        ("striatum", "corpus striatum", "neostriatum"),
    ),
    "lentiform nucleus": (
        ("putamen", "pallidum"),
        ("lentiform nucleus", "lenticular nucleus", "lentiform"),
    ),
    "cerebrum": (
        (
            "cerebral white matter",
            "cerebral cortex",
            "lateral ventricle",
            "inferior lateral ventricle",
            *_SUBCORTICAL,
            "ventral diencephalon",
        ),
        ("cerebrum", "cerebral hemisphere", "hemisphere", "supratentorial brain"),
    ),
    "cerebrospinal fluid": (
        ("cerebrospinal fluid",),
        ("cerebrospinal fluid", "csf", "liquor", "subarachnoid space", "extra-axial csf",
         "csf space"),
    ),
    "brain": (("brain",), ("brain", "whole brain", "brain mask", "encephalon", "parenchyma",
         "brain parenchyma", "brain tissue")),
    "everything": (
        (),
        ("everything", "all structure", "all label", "all of it", "all brain structure",
         "every structure"),
    ),
}  # fmt: skip

# Known to a reader of reports, unknown to the model: these are named, never guessed.
UNKNOWN_PHRASES = (
    # parts of the brain
    "frontal", "parietal", "occipital", "frontal lobe", "temporal lobe",
    "parietal lobe", "occipital lobe", "insula", "insular cortex",
    "cingulate gyrus", "cingulate cortex", "corpus callosum", "internal capsule",
    "external capsule", "corona radiata", "centrum semiovale", "fornix", "hypothalamus",
    "pituitary", "pituitary gland", "pineal gland", "pineal", "midbrain", "pons", "medulla",
    "medulla oblongata", "cerebellar vermis", "vermis", "cerebellar tonsil", "substantia nigra",
    "subthalamic nucleus", "red nucleus", "mammillary body", "optic chiasm", "optic nerve",
    "cardiac ventricle", "optic tract", "choroid plexus", "septum pellucidum",
    "cavum septum pellucidum",
    "entorhinal cortex", "parahippocampal gyrus", "fusiform gyrus", "precuneus", "cuneus",
    "prefrontal cortex", "motor cortex", "visual cortex", "sylvian fissure", "sulcus", "gyrus",
    "basal cistern", "cistern", "cerebral aqueduct", "aqueduct", "frontal horn", "occipital horn",
    "mesial temporal structure", "medial temporal structure", "mesial temporal lobe",
    "medial temporal lobe", "claustrum", "uncus", "habenula", "dentate nucleus",
    "cerebral peduncle",
    # other parts of the head and body
    "skull", "calvarium", "scalp", "skull base", "meninges", "meninx", "dura", "dura mater", "falx",
    "tentorium", "orbit", "eye", "globe", "paranasal sinus", "maxillary sinus", "sphenoid sinus",
    "mastoid", "mastoid air cell", "internal auditory canal", "cranial nerve", "spinal cord",
    "circle of willis", "middle cerebral artery", "carotid artery", "basilar artery",
    "venous sinus", "sagittal sinus", "liver", "spleen", "kidney", "lung", "heart", "pancreas",
    "stomach", "aorta", "prostate", "bladder", "gallbladder", "vertebra", "femur", "hip",
    # findings
    "tumor", "mass", "lesion", "metastasis", "glioma", "glioblastoma", "meningioma", "edema",
    "necrosis", "hemorrhage", "hematoma", "infarct", "infarction", "stroke", "cyst", "abscess",
    "aneurysm", "hydrocephalus", "white matter hyperintensity", "white matter lesion",
    "mesial temporal sclerosis", "microbleed", "enhancement", "midline shift",
)  # fmt: skip

_ABBREVIATIONS = {
    "hippocampi": "hippocampus", "hippocampal": "hippocampus", "amygdalae": "amygdala",
    "amygdalar": "amygdala", "thalami": "thalamus", "thalamic": "thalamus",
    "caudates": "caudate", "caudatus": "caudate", "putamina": "putamen", "putaminal": "putamen",
    "pallidi": "pallidus", "pallidal": "pallidum", "pallida": "pallidum", "nuclei": "nucleus",
    "ganglia": "ganglion", "hemispheres": "hemisphere", "hemispheric": "hemisphere",
    "cortices": "cortex", "cortical": "cortex", "cerebella": "cerebellum",
    "brainstems": "brainstem", "stems": "stem", "ventricles": "ventricle",
    "ventricular": "ventricle", "striatal": "striatum", "striata": "striatum",
    "lobes": "lobe", "horns": "horn", "grey": "gray", "tumours": "tumor", "tumour": "tumor",
    "tumors": "tumor", "oedema": "edema", "haemorrhage": "hemorrhage",
    "haemorrhages": "hemorrhage", "hemorrhages": "hemorrhage", "haematoma": "hematoma",
    "lesions": "lesion", "masses": "mass", "metastases": "metastasis", "cysts": "cyst",
    "infarcts": "infarct", "infarctions": "infarct", "gyri": "gyrus", "sulci": "sulcus",
    "cisterns": "cistern", "sinuses": "sinus", "orbits": "orbit", "eyes": "eye",
    "globes": "globe", "kidneys": "kidney", "lungs": "lung", "structures": "structure",
    "labels": "label", "matters": "matter", "brains": "brain", "masks": "mask",
    "tonsils": "tonsil", "capsules": "capsule", "peduncles": "peduncle", "bodies": "body",
    "nerves": "nerve", "tracts": "tract", "cells": "cell", "hippo": "hippocampus",
    "hyperintensities": "hyperintensity", "hippocampuses": "hippocampus",
    "spaces": "space", "vertebrae": "vertebra", "meningeal": "meninges",
    "haemorrhagic": "hemorrhage", "hemorrhagic": "hemorrhage",
}  # fmt: skip


def normalise_word(word: str) -> str:
    """Lower-case singular American form of one word."""
    return _ABBREVIATIONS.get(word, word)


@dataclass(frozen=True)
class Phrase:
    """A vocabulary entry.

    Attributes:
        words: Normalised words.
        concept: Name of the concept.
        structures: Structure names without sides; empty for ``everything`` and for the unknown.
        known: Whether the model has it.
    """

    words: tuple[str, ...]
    concept: str
    structures: tuple[str, ...]
    known: bool


_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")


def words_of(text: str) -> tuple[str, ...]:
    """Normalised words of a phrase."""
    return tuple(normalise_word(w) for w in _WORD.findall(text.lower()))


@cache
def phrases() -> dict[str, tuple[Phrase, ...]]:
    """Entries by their first word, longest first."""
    found: dict[tuple[str, ...], Phrase] = {}
    for concept, (structures, spellings) in _CONCEPTS.items():
        for spelling in spellings:
            words = words_of(spelling)
            found.setdefault(words, Phrase(words, concept, structures, True))
            short = tuple(w for w in words if w not in ("of", "the"))
            found.setdefault(short, Phrase(short, concept, structures, True))
    for spelling in UNKNOWN_PHRASES:
        words = words_of(spelling)
        found.setdefault(words, Phrase(words, spelling, (), False))
    by_first: dict[str, list[Phrase]] = {}
    for phrase in sorted(found.values(), key=lambda p: -len(p.words)):
        by_first.setdefault(phrase.words[0], []).append(phrase)
    return {first: tuple(entries) for first, entries in by_first.items()}


@cache
def by_concept() -> dict[str, Phrase]:
    """One entry of each concept."""
    return {p.concept: p for entries in phrases().values() for p in entries}


@cache
def _by_structure() -> dict[str, tuple[Label, ...]]:
    out: dict[str, list[Label]] = {"brain": [BRAIN]}
    for label in BRAIN_LABELS:
        name = label.name.removeprefix("left ").removeprefix("right ")
        out.setdefault(name, []).append(label)
    return {name: tuple(labels) for name, labels in out.items()}


def labels_of(phrase: Phrase, side: str) -> Iterator[Label]:
    """Labels that a phrase means.

    Args:
        phrase: A known phrase.
        side: ``left``, ``right`` or empty for both. What lies in the midline is given only if
            nothing of the phrase has sides: the left ventricle is no third ventricle.
    """
    names = phrase.structures or (tuple(_by_structure()) if phrase.concept == "everything" else ())
    labels: list[Label] = []
    for name in names:
        if phrase.concept == "everything" and name == "brain":
            continue
        labels += _by_structure()[name]
    sides = {_own_side(label) for label in labels}
    for label in labels:
        if not side or _own_side(label) == side or sides == {""}:
            yield label


def _own_side(label: Label) -> str:
    return "" if label.laterality is None else label.laterality.meaning.lower()


@cache
def single_words() -> frozenset[str]:
    """All words of the vocabulary that are long enough to compare a misspelling with."""
    return frozenset(
        word
        for entries in phrases().values()
        for phrase in entries
        if phrase.known
        for word in phrase.words
        if len(word) >= 6
    )
