"""Single measures of an encoder: probes, zero shot, recall by caption and by case, neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmtool.models.linear_probe import logistic_probe
from mmtool.pipelines.evaluation.retrieve_measures import auc, interval, mid_ranks
from mmtool.pipelines.picture_words import MODALITY, PLANE, REGION
from mmtool.pipelines.training.retrieve_data import Shown

Floats = NDArray[np.float64]
_DECAYS = (1e-5, 1e-4, 1e-3, 1e-2)
_PROBED = (("type", "CT or MR"), ("plane", "plane"), ("region", "region"), ("modality", "modality"))
_ZERO = (
    ("type", {k: v for k, v in MODALITY.items() if k != "XR"}, "CT or MR"),
    ("plane", {k: v for k, v in PLANE.items() if k not in ("other", "frontal")}, "plane"),
    ("region", REGION, "region"),
)
_NEAR = 6  # bits of the difference hash: fewer apart is a near duplicate
_TOP = 10


@dataclass(frozen=True)
class Row:
    """One measure with its interval, and what stands beside it."""

    measure: str
    value: float
    low: float
    high: float
    n: int
    floor: str = ""
    floor_value: float | None = None
    chance: float | None = None

    def beside(self, floor: str, value: float) -> Row:
        """The same beside a floor."""
        return replace(self, floor=floor, floor_value=value)

    def to_json(self) -> dict[str, object]:
        """As plain data."""
        return asdict(self)


def cells(row: Row) -> tuple[str | int | float | None, ...]:
    """In the order of the columns."""
    return tuple(asdict(row).values())


@dataclass(frozen=True)
class Probe:
    """A logistic model of a label and the label's values."""

    weights: Floats
    offsets: Floats
    values: tuple[str, ...]

    def hits(self, vectors: Floats, truth: Sequence[str]) -> Floats:
        """1.0 where the likeliest value is the true one."""
        said = (vectors @ self.weights + self.offsets).argmax(1)
        return np.array([self.values[s] == t for s, t in zip(said, truth, strict=True)], float)


def probes(
    train: Sequence[Shown], held: Sequence[Shown], fitted: Floats, asked: Floats, seed: int
) -> tuple[list[Row], dict[str, Probe]]:
    """Accuracy of logistic models of four labels; their penalty is chosen on training cases."""
    rows, models = [], {}
    for label, name in _PROBED:
        truth = [i.labels[label] for i in train]
        probe = _chosen(fitted, truth, [i.case for i in train])
        real = [i.labels[label] for i in held]
        hits = probe.hits(asked, real)
        most = max(set(truth), key=truth.count)
        value, low, high = interval(hits, [i.case for i in held], seed)
        chance = float(np.mean([r == most for r in real]))
        rows.append(Row(f"probe accuracy, {name}", value, low, high, len(hits), chance=chance))
        models[label] = probe
    return rows, models


def _chosen(vectors: Floats, truth: Sequence[str], cases: Sequence[str]) -> Probe:
    """The probe whose penalty does best on a fifth of the training cases."""
    values = tuple(sorted(set(truth)))
    codes = np.array([values.index(t) for t in truth])
    names = {case: k for k, case in enumerate(sorted(set(cases)))}
    inner = np.array([names[c] % 5 == 0 for c in cases])
    scores = []
    for decay in _DECAYS:
        weights, offsets = logistic_probe(vectors[~inner], _dense(codes, inner), decay)
        probe = Probe(weights, offsets, _there(codes, inner, values))
        scores.append(probe.hits(vectors[inner], [values[c] for c in codes[inner]]).mean())
    weights, offsets = logistic_probe(vectors, codes, _DECAYS[int(np.argmax(scores))])
    return Probe(weights, offsets, values)


def _dense(codes: NDArray[np.int64], left: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.unique(codes[~left], return_inverse=True)[1]


def _there(
    codes: NDArray[np.int64], left: NDArray[np.bool_], values: Sequence[str]
) -> tuple[str, ...]:
    return tuple(values[c] for c in np.unique(codes[~left]))


def described() -> list[str]:
    """All descriptions of modality, plane and region."""
    parts = (MODALITY, PLANE, REGION)
    return [text for part in parts for texts in part.values() for text in texts]


def zero_shot(
    held: Sequence[Shown], images: Floats, read: Callable[[Sequence[str]], Floats], seed: int | None
) -> list[Row]:
    """Accuracy and macro AUC of the mean vectors of descriptions, with no label fitted."""
    rows = []
    for label, words, name in _ZERO:
        values = list(words)
        means = np.stack([read(list(words[v])).mean(0) for v in values])
        kept = [k for k, i in enumerate(held) if i.labels[label] in values]
        cases = [held[k].case for k in kept]
        scores = images[kept] @ means.T
        truth = np.array([values.index(held[k].labels[label]) for k in kept])
        hits = (scores.argmax(1) == truth).astype(float)
        most = float(np.bincount(truth).max() / len(truth))
        about = (*interval(hits, cases, seed), len(kept))
        rows.append(Row(f"zero-shot accuracy, {name}", *about, chance=most))
        both = np.concatenate([scores, truth[:, None]], 1)
        spread = (*interval(both, cases, seed, _macro_auc), len(kept))
        rows.append(Row(f"zero-shot AUC, {name}", *spread, chance=0.5))
    return rows


def _macro_auc(rows: Floats) -> float:
    """Mean over the values that are there; 0.5 where all are of one value."""
    scores, truth = rows[:, :-1], rows[:, -1]
    found = [auc(scores[:, k], truth == k) for k in range(scores.shape[1])]
    known = [value for value in found if not np.isnan(value)]
    return float(np.mean(known)) if known else 0.5


def ranked(
    held: Sequence[Shown], images: Floats, texts: Floats, kind: str, seed: int | None
) -> list[Row]:
    """Recall of image to text and text to image; any text of the same caption is right."""
    caption = [i.caption for i in held]
    same = np.array([[a == b for b in caption] for a in caption])
    cases = [i.case for i in held]
    scores = images @ texts.T
    there = recall_rows(scores, same, cases, f"image to text, {kind}", seed)
    return there + recall_rows(scores.T, same, cases, f"text to image, {kind}", seed)


def recall_rows(
    scores: Floats, same: NDArray[np.bool_], cases: Sequence[str], name: str, seed: int | None
) -> list[Row]:
    """Recall at 1, 5 and 10 of rows that have a right answer; nothing where none has."""
    ranks = mid_ranks(scores, same)
    kept = np.flatnonzero(~np.isnan(ranks)).tolist()
    if not kept:
        return []
    names = [cases[k] for k in kept]
    right, most = same[kept].sum(1), np.isfinite(scores[kept]).sum(1)
    rows = []
    for k in (1, 5, 10):
        hits = (ranks[kept] <= k).astype(float)
        missed = np.prod(
            [(most - right - j).clip(0) / (most - j).clip(1) for j in range(k)], axis=0
        )
        about = (*interval(hits, names, seed), len(kept))
        rows.append(Row(f"R@{k} {name}", *about, chance=float(1 - missed.mean())))
    return rows


def same_case(
    held: Sequence[Shown], gallery: Sequence[Shown], vectors: Floats, seed: int | None
) -> list[Row]:
    """Image to another image of its case; copies of the query are left out.

    Args:
        held: Queries, the first items of the gallery.
        gallery: All images.
        vectors: (gallery, dim).
    """
    scores = vectors[: len(held)] @ vectors.T
    copied = copies(held, gallery)
    scores[copied] = -np.inf
    case = np.array([i.case for i in gallery])
    same = (case[: len(held), None] == case[None]) & ~copied
    return recall_rows(scores, same, list(case[: len(held)]), "image to image of its case", seed)


def neighbours(
    held: Sequence[Shown], gallery: Sequence[Shown], vectors: Floats, seed: int | None
) -> list[Row]:
    """Share of the ten nearest images of other cases with the same label."""
    case = np.array([i.case for i in gallery])
    scores = vectors[: len(held)] @ vectors.T
    scores[(case[: len(held), None] == case[None]) | copies(held, gallery)] = -np.inf
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :_TOP]
    rows = []
    for label, name in (("region", "region"), ("modality", "modality"), ("plane", "plane")):
        values = np.array([i.labels[label] for i in gallery])
        alike = values[nearest] == values[: len(held), None]
        chance = float((values[None] == values[: len(held), None]).mean())
        about = (*interval(alike.mean(1), list(case[: len(held)]), seed), len(held))
        rows.append(Row(f"P@10 image to image, same {name}, other cases", *about, chance=chance))
    return rows


def copies(held: Sequence[Shown], gallery: Sequence[Shown]) -> NDArray[np.bool_]:
    """(held, gallery): the query itself, or a picture whose difference hash is nearly the same."""
    bits = np.array([[c == "1" for c in i.row["dhash"].ljust(64, "0")] for i in gallery], np.int16)
    apart = (bits[: len(held), None] != bits[None]).sum(2)
    return np.asarray(apart < _NEAR)
