"""Proteins by their triples of letters: 1,331 numbers, nothing learned.

Amino acids that replace each other often count as one: ten groups (Murphy,
https://doi.org/10.1093/protein/13.3.149), and an eleventh for the ends and for unknown letters. Of
each of the 11³ triples the root of its number is kept, so that repeats don't outweigh the rest.
It finds relatives with stretches in common; far ones need an alignment or a learned model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError, UsageError
from mmtool.retrieval import Encoded, Kind

# B, Z, J, U and O are taken for the nearest of the twenty.
_GROUPS = ("LVIMJ", "CU", "A", "G", "ST", "P", "FYW", "EDNQBZ", "KRO", "H")
_SYMBOLS = len(_GROUPS) + 1
_LENGTH = 3
_VERSION = "1"


def _table() -> NDArray[np.int64]:
    table = np.zeros(256, np.int64)
    for number, group in enumerate(_GROUPS, start=1):
        table[list(group.encode())] = number
    return table


_NUMBER = _table()  # of each byte; 0 for all that is no known letter


class LetterTriples:
    """See the module; `mmtool.retrieval.StringEncoder`."""

    name = "triples"
    sha256 = hashlib.sha256(f"letter triples {_VERSION}".encode()).hexdigest()
    preprocessing: Mapping[str, object] = {"groups": list(_GROUPS), "length": _LENGTH}
    dim = _SYMBOLS**_LENGTH
    kind: Kind = "protein"
    reads_text = False

    def encode(self, items: Sequence[str]) -> Encoded:
        """(N, 1331) vectors of letters in upper case."""
        rows = [_spectrum(letters) for letters in items]
        return Encoded(np.stack(rows) if rows else np.zeros((0, self.dim), np.float32))

    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """Refuse: it reads no words."""
        raise UsageError("the encoder 'triples' reads no words", "give a protein by its letters")


def build() -> LetterTriples:
    """The encoder."""
    return LetterTriples()


def _spectrum(letters: str) -> NDArray[np.float32]:
    """(1331,) of length 1; an end before and behind, so that one letter is a triple too."""
    if not letters.isascii() or not letters:
        raise InputError("letters that are no protein", "use one-letter codes of amino acids")
    numbers = np.pad(_NUMBER[np.frombuffer(letters.encode(), np.uint8)], 1)
    triples = numbers[:-2] * _SYMBOLS**2 + numbers[1:-1] * _SYMBOLS + numbers[2:]
    roots = np.sqrt(np.bincount(triples, minlength=_SYMBOLS**_LENGTH))
    return np.asarray(roots / np.linalg.norm(roots), np.float32)
