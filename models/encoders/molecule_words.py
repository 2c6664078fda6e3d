"""Descriptions of molecules as counted words and groups of letters.

Names of compounds are long words that share parts (``hydroxytetradecanedioyl``), so each word
counts by itself and by its groups of three and four letters (after doi 10.1162/tacl_a_00051), all
hashed into buckets (doi 10.1145/1553374.1553516). The order of words is not read.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

BUCKETS = 4096
_WORD = re.compile(r"[a-z0-9]+(?:[+-](?=\)))?")  # a charge, 5-, is a word of its own
_MOST_LETTERS = 20_000  # of a text
_GROUPS = (3, 4)


def bags(texts: Sequence[str]) -> NDArray[np.float32]:
    """(N, BUCKETS): of each text the sum of 1 + log(how often) over the units of a bucket."""
    out = np.zeros((len(texts), BUCKETS), np.float32)
    for row, text in enumerate(texts):
        for unit, often in Counter(_units(text)).items():
            out[row, zlib.crc32(unit.encode()) % BUCKETS] += 1 + math.log(often)
    return out


def _units(text: str) -> Iterator[str]:
    """Words, and their groups of letters behind a ``#``; < and > mark a word's ends."""
    for word in _WORD.findall(text[:_MOST_LETTERS].lower()):
        yield word
        marked = f"<{word}>"
        for size in _GROUPS:
            for start in range(len(marked) + 1 - size):
                yield "#" + marked[start : start + size]
