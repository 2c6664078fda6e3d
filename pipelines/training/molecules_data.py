"""Molecules with descriptions, as ChEBI-20 has them, ready to be learned from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmtool.errors import InputError
from mmtool.io.readers.captioned_images import read_records
from mmtool.models.encoders.molecule_features import Described, count_names, described
from mmtool.models.encoders.molecule_words import bags
from mmtool.pipelines.training.molecules_fit import Pairs

FILE = Path("chebi20") / "validation.jsonl.gz"


@dataclass(frozen=True)
class MoleculeTexts:
    """What was read.

    Attributes:
        smiles: N molecules.
        texts: N descriptions.
        counts: Names of the counts that each molecule has.
        pairs: The same, as it is learned from.
        unread: Rows that are left out: no SMILES that can be read, or no words.
    """

    smiles: list[str]
    texts: list[str]
    counts: list[str]
    pairs: Pairs
    unread: int


def molecule_texts(data: Path) -> MoleculeTexts:
    """Read ``chebi20`` of a folder.

    Raises:
        InputError: It is absent, or has fewer than ten pairs.
    """
    names = count_names()
    smiles: list[str] = []
    texts: list[str] = []
    molecules: list[Described] = []
    unread = 0
    for record in read_records(data / FILE):
        written, text = str(record.get("smiles", "")), str(record.get("description", "")).strip()
        try:
            molecule = described(written, names)
        except InputError:
            unread += 1
            continue
        if not text:
            unread += 1
            continue
        smiles.append(written)
        texts.append(text)
        molecules.append(molecule)
    if len(texts) < _FEWEST:
        raise InputError(
            f"{data / FILE}: {len(texts)} molecules with descriptions, {unread} rows unread",
            f"JSON lines with smiles and description, {_FEWEST} at least",
        )
    numbers = np.unique(texts, return_inverse=True)[1].astype(np.int64)
    return MoleculeTexts(smiles, texts, names, Pairs(molecules, bags(texts), numbers), unread)


_FEWEST = 10
