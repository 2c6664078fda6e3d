"""TITAN's nearest-neighbour baseline as a model of ``mmtool tcr-bind``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.models.tcr.levenshtein import PairIndex, edits, lengths, shares, smallest
from mmtool.pipelines.binding_model import BindingModel
from mmtool.receptors import Binder, BindingScores, Receptor

NETWORK = "levenshtein_knn"
_ROWS = 256  # receptors that are compared at a time
_TRIES = 20  # draws of an epitope that a receptor is not known to bind


@dataclass
class LevenshteinKnn:
    """Known binders, and the same receptors shuffled among the epitopes, as neighbours.

    Receptors are compared by the CDR3 of the beta chain; those of an alpha chain only, by that.
    Each known pair has one negative: its receptor with another epitope, drawn as often as the
    epitope has binders, so that an epitope's own frequency says nothing.

    Attributes:
        config: ``k`` neighbours, ``seed`` of the negatives, ``few``, ``unseen_skill``.
        binders: Known binders.
    """

    config: Mapping[str, Any]
    binders: Sequence[Binder]
    purpose: str = "human alpha-beta T-cell receptors"
    _pairs: dict[str, PairIndex] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.k = int(self.config.get("k", 25))
        self.few = int(self.config.get("few", 20))
        skill = self.config.get("unseen_skill")
        self.unseen_skill = None if skill is None else float(skill)
        self._of: dict[str, list[int]] = {}
        for place, binder in enumerate(self.binders):
            self._of.setdefault(binder.epitope, []).append(place)
        self.epitopes = tuple(sorted(self._of, key=lambda e: (-len(self._of[e]), e)))

    def with_binders(self, extra: Sequence[Binder]) -> BindingModel:
        """The same model with more known binders."""
        return LevenshteinKnn(self.config, [*self.binders, *extra])

    def score(self, receptors: Sequence[Receptor], epitopes: Sequence[str]) -> BindingScores:
        """Log odds of positive to negative pairs among the k nearest, with half a pair of each."""
        shape = (len(receptors), len(epitopes))
        score = np.full(shape, np.nan, np.float32)
        nearest = np.full(shape, -1, np.int64)
        distance = np.full(shape, np.nan, np.float32)
        for begin in range(0, len(receptors), _ROWS):
            rows = slice(begin, begin + _ROWS)
            found = self.positive_shares(receptors[rows], epitopes, (self.k,))[0] * self.k
            score[rows] = np.log((found + 0.5) / (self.k - found + 0.5))
        for column, epitope in enumerate(epitopes):
            place, apart = self.neighbours(receptors, epitope, 1)
            nearest[:, column], distance[:, column] = place[:, 0], apart[:, 0]
        return BindingScores(
            score=score,
            percentile=np.full(shape, np.nan, np.float32),
            probability=(1 / (1 + np.exp(-score))).astype(np.float32),
            nearest=nearest,
            distance=distance,
            known=np.array([self.known(e) for e in epitopes], np.int64),
            notes=("probabilities are for as many binders as non-binders",),
        )

    def known(self, epitope: str) -> int:
        """Binders of an epitope."""
        return len(self._of.get(epitope, ()))

    def neighbours(
        self, receptors: Sequence[Receptor], epitope: str, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Known binders by edits of the CDR3 over its length."""
        place = np.full((len(receptors), k), -1, np.int64)
        distance = np.full((len(receptors), k), np.nan, np.float32)
        known = self._of.get(epitope, [])
        for chain, rows in _by_chain(receptors).items():
            there = [p for p in known if getattr(self.binders[p].receptor, chain)]
            if not there or not rows:
                continue
            asked, back = _distinct([getattr(receptors[r], chain) for r in rows])
            choices = [getattr(self.binders[p].receptor, chain) for p in there]
            near, which = smallest(edits(asked, choices, torch.get_num_threads()), k)
            n = near.shape[1]
            place[rows, :n] = np.array(there)[which][back]
            distance[rows, :n] = (near / lengths(asked))[back]
        return place, distance

    def positive_shares(
        self, receptors: Sequence[Receptor], epitopes: Sequence[str], numbers: Sequence[int]
    ) -> NDArray[np.float64]:
        """Share of binders among the nearest pairs, (K, N, E); NaN where there is no answer.

        Args:
            receptors: N receptors.
            epitopes: E peptides.
            numbers: K numbers of neighbours.
        """
        out = np.full((len(numbers), len(receptors), len(epitopes)), np.nan)
        for chain, rows in _by_chain(receptors).items():
            pairs = self._chain_pairs(chain)
            if not rows or all(labels.all() for labels in pairs.labels):
                continue  # without negatives every neighbour would be a binder
            asked, back = _distinct([getattr(receptors[r], chain) for r in rows])
            near = pairs.neighbours(asked, max(numbers), torch.get_num_threads())
            for column, epitope in enumerate(epitopes):
                labels = near.of(epitope)[back]
                for place, k in enumerate(numbers):
                    out[place, rows, column] = shares(labels, k)
        return out

    def _chain_pairs(self, chain: str) -> PairIndex:
        """Positive and negative pairs of one chain, made when first asked for."""
        if chain not in self._pairs:
            known = [(getattr(b.receptor, chain), b.epitope) for b in self.binders]
            positives = list(dict.fromkeys(pair for pair in known if pair[0]))
            negatives = shuffled_pairs(positives, int(self.config.get("seed", 0)))
            pairs = [*positives, *negatives]
            labels = [1] * len(positives) + [0] * len(negatives)
            self._pairs[chain] = PairIndex.of([e for _, e in pairs], [s for s, _ in pairs], labels)
        return self._pairs[chain]


def shuffled_pairs(
    positives: Sequence[tuple[str, str]],
    seed: int,
    *,
    known: Iterable[tuple[str, str]] = (),
    uniform: bool = False,
) -> list[tuple[str, str]]:
    """One pair for each known one: its receptor with an epitope that it is not known to bind.

    A receptor for which none is found, as where all pairs are of one epitope, has none.

    Args:
        positives: Pairs of receptor and epitope.
        seed: Of the draws.
        known: Further known pairs, which are no negatives.
        uniform: Draw each epitope with the same chance, not in proportion to its known pairs.
    """
    bound = {*positives, *known}
    count = Counter(epitope for _, epitope in positives)
    if len(count) < 2:
        return []
    names = list(count)
    weight = np.ones(len(names)) if uniform else np.array(list(count.values()), np.float64)
    share = weight / weight.sum()
    draws = np.random.default_rng(seed).choice(len(names), (len(positives), _TRIES), p=share)
    out = []
    for (sequence, _), drawn in zip(positives, draws, strict=True):
        tried = ((sequence, names[i]) for i in drawn)
        pair = next((p for p in tried if p not in bound), None)
        if pair is not None:
            out.append(pair)
    return out


def _by_chain(receptors: Sequence[Receptor]) -> dict[str, list[int]]:
    """Rows that are compared by beta, and those that have an alpha chain only."""
    rows: dict[str, list[int]] = {"cdr3_b": [], "cdr3_a": []}
    for row, receptor in enumerate(receptors):
        if receptor.usable:
            rows["cdr3_b" if receptor.cdr3_b else "cdr3_a"].append(row)
    return rows


def _distinct(sequences: Sequence[str]) -> tuple[list[str], NDArray[np.intp]]:
    """Each sequence once, and where each row finds its own."""
    places = {s: i for i, s in enumerate(dict.fromkeys(sequences))}
    return list(places), np.array([places[s] for s in sequences], np.intp)
