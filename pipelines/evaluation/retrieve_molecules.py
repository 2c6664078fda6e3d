"""How well molecules are found by descriptions and descriptions by molecules, beside floors.

The protocol of Text2Mol (doi 10.18653/v1/2021.emnlp-main.47): the gallery is all that was left out,
each query has one right answer (molecules of equal descriptions are right, too), and ranks give
mean reciprocal rank, hits at 1 and at 10, and the mean rank.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import solve
from scipy.sparse.linalg import svds

from mmtool.models.encoders.molecule import fragment_counts
from mmtool.pipelines.evaluation.retrieve_measures import mid_ranks

DIRECTIONS = ("molecule to text", "text to molecule")
RIDGE_TOPICS, RIDGE_WORDS = "ridge to topics", "ridge to TF-IDF"
NEIGHBOUR = "nearest by Tanimoto"
_PENALTIES = (1.0, 10.0, 100.0)
_TOPICS = 128
_WORD = re.compile(r"[a-z0-9]+")

_Array = NDArray[np.float64]
_Rows = NDArray[np.int64]


def both_ranks(scores: _Array, texts: _Rows) -> _Array:
    """(2, N) ranks from 1, in the order of `DIRECTIONS`; ties take the middle of their places.

    Args:
        scores: (N, N): of molecules with texts, the right ones on the diagonal.
        texts: (N,) numbers; equal ones are of equal descriptions.
    """
    right = texts[:, None] == texts[None]
    return np.stack([mid_ranks(scores, right), mid_ranks(scores.T, right)])


def measures(ranks: _Array) -> dict[str, float]:
    """MRR, hits at 1 and 10 in %, and the mean of (N,) ranks."""
    return {
        "MRR": float(100 * (1 / ranks).mean()),
        "Hits@1": float(100 * (ranks <= 1).mean()),
        "Hits@10": float(100 * (ranks <= 10).mean()),
        "mean rank": float(ranks.mean()),
    }


def chance(count: int) -> dict[str, float]:
    """What a random order of ``count`` answers gives."""
    return measures(np.arange(1, count + 1, dtype=np.float64))


class MoleculeFloors:
    """Simple ways from molecules to words, over N pairs.

    Args:
        smiles: N molecules.
        texts: N descriptions.
    """

    def __init__(self, smiles: Sequence[str], texts: Sequence[str]) -> None:
        counted = [fragment_counts(s) for s in smiles]
        logs = [{key: math.log1p(often) for key, often in found.items()} for found in counted]
        fragments = _matrix(logs)
        self._inner = (fragments @ fragments.T).toarray().astype(np.float32)
        held = fragments.sign()
        shared = (held @ held.T).toarray()
        sizes = shared.diagonal()
        self._alike = shared / (sizes[:, None] + sizes - shared)
        self._words = [Counter(_WORD.findall(text.lower())) for text in texts]

    def scores(self, train: _Rows, inner: tuple[_Rows, _Rows], test: _Rows) -> dict[str, _Array]:
        """(T, T) scores of the test molecules with the test texts, by each floor.

        Args:
            train: Rows that may be learned from.
            inner: The same in two parts: penalties are chosen by what the first does on the second.
            test: Rows of the gallery.
        """
        out = {}
        for name, topics in ((RIDGE_TOPICS, _TOPICS), (RIDGE_WORDS, 0)):
            right = np.arange(len(inner[1]))
            tried = {
                penalty: sum(
                    measures(ranks)["MRR"]
                    for ranks in both_ranks(self._ridge(*inner, topics, penalty), right)
                )
                for penalty in _PENALTIES
            }
            out[name] = self._ridge(train, test, topics, max(tried, key=lambda p: tried[p]))
        words = self._weighed(train)
        nearest = train[self._alike[np.ix_(test, train)].argmax(1)]
        out[NEIGHBOUR] = (words[nearest] @ words[test].T).toarray()
        return out

    def _ridge(self, train: _Rows, test: _Rows, topics: int, penalty: float) -> _Array:
        """Cosines of foretold and own words, or topics: kernel form, as fragments are many."""
        inner = self._inner[np.ix_(train, train)]
        inner[np.diag_indices(len(train))] += penalty
        asked = self._inner[np.ix_(train, test)]
        weights = solve(inner, asked, assume_a="pos", overwrite_a=True).T
        words = self._weighed(train)
        if topics:
            _, _, axes = svds(
                words[train], k=min(topics, min(words[train].shape) - 1), random_state=0
            )
            dense = words @ axes.T
            dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9)
            foretold, own = weights @ dense[train], dense[test]
            length = np.linalg.norm(foretold, axis=1, keepdims=True)
            return np.asarray(foretold @ own.T / np.maximum(length, 1e-9))
        foretold = (words[train].T @ weights.T).T
        length = np.linalg.norm(foretold, axis=1, keepdims=True)
        return np.asarray((words[test] @ foretold.T).T / np.maximum(length, 1e-9))

    def _weighed(self, train: _Rows) -> sparse.csr_array:
        """(N, words of the training texts) TF-IDF, each row of length 1."""
        held = Counter(word for row in train for word in self._words[row])
        rarity = {w: math.log((1 + len(train)) / (1 + n)) + 1 for w, n in held.items()}
        rows = []
        for found in self._words:
            row = {w: (1 + math.log(n)) * rarity[w] for w, n in found.items() if w in rarity}
            length = math.sqrt(math.fsum(v * v for v in row.values())) or 1.0
            rows.append({word: value / length for word, value in row.items()})
        return _matrix(rows)


def _matrix(rows: Sequence[Mapping[Any, float]]) -> sparse.csr_array:
    """(N, distinct keys) in the order in which keys first come."""
    place: dict[Any, int] = {}
    numbers, columns, values = [], [], []
    for number, row in enumerate(rows):
        for key, value in row.items():
            numbers.append(number)
            columns.append(place.setdefault(key, len(place)))
            values.append(value)
    return sparse.csr_array((values, (numbers, columns)), (len(rows), max(1, len(place))))
