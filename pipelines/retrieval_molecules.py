"""Molecules that hold a substructure, and exact similarity: what fingerprints only estimate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError, LimitError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers.decoding_child import DecodingChild
from mmtool.models.encoders.molecule import fragments

_CHILD = "mmtool.pipelines.substructure_child"
_MOST_PATTERN = 1_000  # letters
_TOGETHER = 1_000  # molecules that the child is asked for at a time
_SECONDS = 60


def substructure(pattern: str, smiles: Sequence[str], seconds: int = _SECONDS) -> NDArray[np.bool_]:
    """Find molecules that hold a pattern.

    Args:
        pattern: SMARTS. One without brackets and wild cards is read as SMILES: whichever way the
            aromatic rings are written, they mean the same.
        smiles: (N,) molecules; one that can't be read holds nothing.
        seconds: That a thousand molecules may take; after as many no further thousand is begun.

    Returns:
        (N,) whether each holds it.

    Raises:
        UsageError: The pattern can't be read, is too long, or the search takes too long.
    """
    if not 0 < len(pattern) <= _MOST_PATTERN:
        raise UsageError(
            f"a pattern of {len(pattern):,} letters", f"SMARTS of 1 to {_MOST_PATTERN:,} letters"
        )
    return np.concatenate([np.zeros(0, np.bool_), *_answers(pattern, smiles, seconds)])


def _answers(pattern: str, smiles: Sequence[str], seconds: int) -> Iterator[NDArray[np.bool_]]:
    limits = replace(Limits(), decode_seconds=seconds)
    end = time.monotonic() + seconds
    late = UsageError(
        f"looking for '{pattern[:60]}' took too long", "give a simpler pattern, or a filter"
    )
    with DecodingChild(_CHILD, limits) as child:
        for start in range(0, max(len(smiles), 1), _TOGETHER):
            if time.monotonic() > end:
                raise late
            some = list(smiles[start : start + _TOGETHER])
            try:
                _, arrays = child.ask({"pattern": pattern, "smiles": some}, "pattern")
            except LimitError as error:
                raise late from error
            except InputError as error:
                reason = error.message.removeprefix("pattern: ")
                raise UsageError(f"'{pattern[:60]}': {reason}", error.hint) from error
            yield arrays[0].astype(np.bool_)


def tanimoto(query: str, smiles: Sequence[str]) -> NDArray[np.float32]:
    """Share of fragments that two molecules have in common.

    Args:
        query: SMILES.
        smiles: (N,) SMILES.

    Returns:
        (N,) fragments of both / fragments of either, of radius 2, unfolded; NaN where a molecule
        can't be read.

    Raises:
        InputError: The query can't be read.
    """
    own = fragments(query)
    out = np.full(len(smiles), np.nan, np.float32)
    for row, other in enumerate(smiles):
        try:
            theirs = fragments(other)
        except InputError:
            continue
        shared = len(np.intersect1d(own, theirs, assume_unique=True))
        out[row] = shared / (len(own) + len(theirs) - shared)
    return out
