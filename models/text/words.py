"""Words in their singular, American form, and what a concept is."""

from __future__ import annotations

import re
from dataclasses import dataclass

_KNOWN = {
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
    "hippos": "hippocampus", "neocortices": "neocortex",
    "hyperintensities": "hyperintensity", "hippocampuses": "hippocampus",
    "spaces": "space", "vertebrae": "vertebra", "meningeal": "meninges",
    "amygdalas": "amygdala", "areas": "area", "atria": "atrium",
    "atrial": "atrium", "folia": "folium", "globi": "globus",
    "caudati": "caudate", "corpora": "corpus", "laterales": "lateralis",
    "ventriculi": "ventriculus", "cornua": "cornu", "temporalia": "temporale",
    "arbores": "arbor", "medullaria": "medullare", "complexes": "complex",
    "accumbentes": "accumbens", "amygdaloidea": "amygdaloideum", "paleostriata": "paleostriatum",
    "neostriata": "neostriatum", "caudata": "caudatum", "diencephala": "diencephalon",
    "telencephala": "telencephalon", "cerebra": "cerebrum",
    "ossa": "bone", "oesophagus": "esophagus", "oesophageal": "esophagus",
    "colour": "color", "centre": "center", "necrotic": "necrosis", "tumoral": "tumor",
    "vena": "vein", "venae": "vein", "lenses": "lens", "pancreases": "pancreas",
    "foramina": "foramen", "axes": "axis",
    "haemorrhagic": "hemorrhage", "hemorrhagic": "hemorrhage",
}  # fmt: skip


_AS_THEY_ARE = frozenset("accumbens pons lens biceps triceps mons septi basales".split())
# Plurals that no rule of English tells; in a list they mean both sides.
_PLURALS = frozenset(
    "hippocampi hippos amygdalae amygdalas thalami caudates putamina putamens pallidi pallida "
    "hemispheres ventricles horns nuclei hippocampuses striata cortices neocortices atria "
    "vertebrae".split()
)
_WORD = re.compile(r"[^\W_]+(?:'[a-z]+)?")


def normalise_word(word: str) -> str:
    """Singular American form of one lower-case word; adjectives of a few structures become it."""
    return _KNOWN.get(word) or _singular(word)


def _singular(word: str) -> str:
    if len(word) < 4 or word[-1] != "s" or word in _AS_THEY_ARE or "'" in word:
        return word
    if word.endswith(("ss", "us", "is", "as", "os")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-2] if word.endswith(("ches", "shes", "xes", "sses")) else word[:-1]


def is_plural(word: str) -> bool:
    """Whether a lower-case word is a plural."""
    return word in _PLURALS or _singular(word) != word


def words_of(text: str) -> tuple[str, ...]:
    """Normalised words of a phrase."""
    return tuple(normalise_word(w) for w in _WORD.findall(text.lower()))


@dataclass(frozen=True)
class Concept:
    """Something that can be asked for, whatever the label table.

    Attributes:
        structures: Names of labels without sides that it means: one, or a group of which a table
            may have some.
        phrases: How people call it, in the singular.
        short: Abbreviations that are also other words; in a report only in capitals.
        terse: Words that mean it only in a prompt, and only to a table that has a structure of it.
        instead: What it means in a table that has none of ``structures``.
    """

    structures: tuple[str, ...]
    phrases: tuple[str, ...]
    short: tuple[str, ...] = ()
    terse: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
