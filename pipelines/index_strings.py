"""Encoders of molecules and proteins, and the space that an encoder fills. Brings no torch."""

from __future__ import annotations

from collections.abc import Mapping

from mmtool.io.index import Space
from mmtool.models.encoders import molecule, protein
from mmtool.retrieval import JointEncoder, Kind, StringEncoder

# Molecules, and the texts that belong to them, by what was learned of molecules and descriptions.
MOLECULE_WORDS, MOLECULE_TEXT = "molecule_words", "molecule_text"


def string_encoders() -> Mapping[Kind, StringEncoder]:
    """By the kind that they take."""
    return {"molecule": molecule.build(), "protein": protein.build()}


def space_of(name: str, encoder: JointEncoder | StringEncoder) -> Space:
    """The space that an encoder fills, under a name."""
    return Space(name, encoder.name, encoder.sha256, encoder.preprocessing, encoder.dim)
