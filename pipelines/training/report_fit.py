"""Fit the heads of ``mmtool report``; every setting is chosen on folds of the training images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmtool.models.report.evidential import Opinion, fuse
from mmtool.models.report.head import Head, fit_head, fit_temperature, tempered
from mmtool.models.report.model import (
    GATE,
    INSIDE,
    KNOWN,
    Reference,
    ReportModel,
    Thresholds,
    likeness,
    neighbour_opinion,
    unit,
)
from mmtool.models.text.findings import TERMS

_DECAYS = (1e-3, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)  # each begins where the one before ended
_SHARPNESS = 10.0
_WIDTH = 2.0  # chosen among 1, 2 and 4 by the same folds
_AXES = 400  # of the kernel that the heads are fitted on
_FOLDS = 5
_COPY = 0.9  # cosine from which on images of two cases count as nearly the same
_FEWEST = 40  # training images that have a finding, to learn it from
_FEWEST_CLASS = 12  # of a class of the gate
_DRAWS = 2000
_KEPT = 0.99  # share of known training images that the gate must let through
_PRECISION = 0.75  # of a finding among held-out training images, from which on it is told
_SPECIFIC = 0.9  # share of the images without a finding of which it is not told as possible
_FEWEST_TOLD = 10  # held-out images that a precision is measured on
CLASSES = ("absent", "present")
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Kernel:
    """Axes of the likeness to the training images, on which a penalty is that of the kernel.

    Attributes:
        reference: (M, dim) training images of known kinds.
        axes: (M, A).
    """

    reference: Vectors
    axes: NDArray[np.float64]

    @classmethod
    def of(cls, vectors: Vectors) -> Kernel:
        """The kernel of (M, dim) images, which are rounded as they are stored."""
        reference = unit(vectors.astype(np.float16).astype(np.float32))
        values, axes = np.linalg.eigh(likeness(reference, reference, _WIDTH).astype(np.float64))
        return cls(reference, axes[:, -_AXES:] / np.sqrt(values[-_AXES:].clip(1e-9)))

    def __call__(self, vectors: Vectors) -> Vectors:
        """(N, A) features of (N, dim) vectors."""
        return np.asarray(likeness(vectors, self.reference, _WIDTH) @ self.axes, np.float32)

    def unfolded(self, head: Head) -> Head:
        """The head on the likenesses themselves."""
        return replace(head, weight=np.asarray(head.weight @ self.axes.T, np.float32))


@dataclass(frozen=True)
class Rows:
    """Training images as arrays.

    Attributes:
        vectors: (N, dim) of length 1.
        groups: (N,) number of the case.
        labels: Question -> (N,) class names, "" where it is not known.
    """

    vectors: Vectors
    groups: NDArray[np.int64]
    labels: dict[str, NDArray[np.str_]]


@dataclass(frozen=True)
class FindingChance:
    """How well a finding is known among held-out training images.

    Attributes:
        name: Of the finding.
        cases: Images that have it.
        auc: Among images of the same modality and region.
        low: Lower end of its interval, widened for the number of findings tried.
        high: Upper end.
        kept: Whether it is told.
    """

    name: str
    cases: int
    auc: float
    low: float
    high: float
    kept: bool


@dataclass(frozen=True)
class Fitted:
    """A model and how its findings were chosen."""

    model: ReportModel
    findings: tuple[FindingChance, ...]


def fit_report_model(
    rows: Rows, encoder: dict[str, object], *, seed: int, tell: Callable[[str], None]
) -> Fitted:
    """Fit all heads, choose the findings that can be told and the thresholds.

    Args:
        rows: Training images, strangers with the label ``other`` among them.
        encoder: What made the vectors.
        seed: Of the folds and draws.
        tell: Progress.
    """
    folds = folds_drawn(joined(rows.groups, rows.vectors), seed)
    known = np.flatnonzero(rows.labels[INSIDE] == KNOWN)
    kernel = Kernel.of(rows.vectors[known])
    features = kernel(rows.vectors)
    heads: dict[str, Head] = {}
    outside: dict[str, tuple[NDArray[np.int64], Opinion]] = {}
    for question in (*GATE, INSIDE):
        head, there, held = fitted(question, rows, features, folds, votes=question != INSIDE)
        heads[question], outside[question] = head, (there, held)
        tell(f"{question}: {len(there)} images, {len(head.classes)} classes, "
             f"{_right(rows, question, head, there, held):.3f} right on folds")  # fmt: skip
    chances: list[FindingChance] = []
    cuts: dict[str, tuple[float, float]] = {}
    candidates = [t.name for t in TERMS if _cases(rows, t.name) >= _FEWEST]
    for name in candidates:
        chance, finding, cut = _finding(name, rows, features, folds, seed, 0.05 / len(candidates))
        chances.append(chance)
        tell(f"{chance.name}: {chance.cases} cases, AUC {chance.auc:.2f} "
                 f"({chance.low:.2f} to {chance.high:.2f}){', kept' * chance.kept}")  # fmt: skip
        if finding is not None:
            heads[name] = finding
            cuts[name] = cut
    classes = {
        name: _numbers(rows.labels[name], head.classes)[known]
        for name, head in heads.items()
        if name != INSIDE
    }
    model = ReportModel(
        {name: kernel.unfolded(head) for name, head in heads.items()},
        cuts,
        Reference(kernel.reference, classes),
        _thresholds(rows, heads, outside, known),
        _SHARPNESS,
        _WIDTH,
        _pairs(rows),
        encoder,
    )
    return Fitted(model, tuple(chances))


def joined(groups: NDArray[np.int64], vectors: Vectors) -> NDArray[np.int64]:
    """(N,) cases, those with nearly the same image as one, so that no fold learns from a copy.

    Args:
        groups: (N,) number of the case.
        vectors: (N, dim) of length 1.
    """
    one, two = np.nonzero(np.triu(vectors @ vectors.T > _COPY, 1))
    names, place = np.unique(groups, return_inverse=True)
    links = coo_array((np.ones(len(one)), (place[one], place[two])), (len(names), len(names)))
    found: NDArray[np.int64] = connected_components(links, directed=False)[1][place].astype(
        np.int64
    )
    return found


def folds_drawn(groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """(N,) fold of each image; the images of a case are in one."""
    names = np.unique(groups)
    order = np.random.default_rng(seed).permutation(len(names))
    place = dict(zip(names[order].tolist(), np.arange(len(names)) % _FOLDS, strict=True))
    return np.array([place[g] for g in groups.tolist()], np.int64)


def _numbers(labels: NDArray[np.str_], classes: Sequence[str]) -> NDArray[np.int64]:
    """(N,) class number of each label, -1 where there is none."""
    place = {name: i for i, name in enumerate(classes)}
    return np.array([place.get(str(x), -1) for x in labels], np.int64)


def fitted(
    question: str, rows: Rows, features: Vectors, folds: NDArray[np.int64], *, votes: bool
) -> tuple[Head, NDArray[np.int64], Opinion]:
    """A head, the images that know its answer, and the opinion on each by the other folds."""
    labels = rows.labels[question]
    names, counts = np.unique(labels[labels != ""], return_counts=True)
    classes = tuple(n for n, c in zip(names.tolist(), counts, strict=True) if c >= _FEWEST_CLASS)
    target = _numbers(labels, classes)
    there = np.flatnonzero(target >= 0)
    x, y, fold = features[there], target[there], folds[there]
    near = rows.vectors[there] if votes else None
    best: tuple[float, float, Opinion] | None = None
    found: list[Head] = []
    for decay in _DECAYS:
        found = [
            fit_head(
                question,
                classes,
                x[fold != k],
                y[fold != k],
                decay=decay,
                start=found[k] if found else None,
            )
            for k in range(_FOLDS)
        ]
        held = _held_out(found, x, y, fold, near)
        loss = float(-np.log(held.probability[np.arange(len(y)), y].clip(1e-9)).mean())
        if best is None or loss < best[0]:
            best = (loss, decay, held)
    assert best is not None
    head = fit_head(question, classes, x, y, decay=best[1])
    temperature = fit_temperature(best[2].probability, y)
    return replace(head, temperature=temperature), there, best[2]


def _held_out(
    heads: Sequence[Head],
    x: Vectors,
    y: NDArray[np.int64],
    fold: NDArray[np.int64],
    near: Vectors | None,
) -> Opinion:
    """Opinion on each image by the head that was fitted without its fold, and by neighbours of
    the other folds where there are vectors ``near``."""
    count = len(heads[0].classes)
    belief, uncertainty = np.zeros((len(y), count)), np.ones(len(y))
    for k, head in enumerate(heads):
        own, rest = fold == k, fold != k
        found = head.opinion(x[own])
        if near is not None:
            voted = neighbour_opinion(near[own], near[rest], y[rest], count, _SHARPNESS)
            found = fuse(found, voted)
        belief[own], uncertainty[own] = found.belief, found.uncertainty
    return Opinion(belief, uncertainty)


def _right(rows: Rows, question: str, head: Head, there: NDArray[np.int64], held: Opinion) -> float:
    """Share of held-out training images that are told rightly."""
    said = np.array(head.classes)[held.probability.argmax(1)]
    return float((said == rows.labels[question][there]).mean())


def _cases(rows: Rows, name: str) -> int:
    """Images with a finding or without it, whichever are fewer."""
    labels = rows.labels.get(name)
    return 0 if labels is None else min(int((labels == c).sum()) for c in CLASSES)


def _finding(
    name: str, rows: Rows, features: Vectors, folds: NDArray[np.int64], seed: int, error: float
) -> tuple[FindingChance, Head | None, tuple[float, float]]:
    """A finding's head with its cuts, if it is known better than chance among like images.

    ``error`` is shared out among all findings that are tried (Bonferroni): of many, some look
    good by chance.
    """
    labels = rows.labels[name]
    head, there, held = fitted(name, rows, features, folds, votes=True)
    truth = labels[there] == "present"
    modality, region = (rows.labels[q][there].tolist() for q in ("modality", "region"))
    kinds = np.array([f"{m}|{r}" for m, r in zip(modality, region, strict=True)])
    chances = tempered(held.probability, head.temperature)[:, head.classes.index("present")]
    auc, low, high = auc_within(chances, truth, kinds, rows.groups[there], seed, error)
    kept = low > 0.5
    chance = FindingChance(name, int(truth.sum()), auc, low, high, kept)
    return chance, head if kept else None, _cuts(chances, truth)


def _cuts(chances: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Probabilities from which on a finding is told as possible, and as present.

    Possible is told of few of the images without it; present only where most have it, which may
    be nowhere: then the cut is above 1.
    """
    possible = float(np.quantile(chances[~truth], _SPECIFIC))
    order = np.argsort(-chances)
    right = np.cumsum(truth[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(right >= _PRECISION)
    enough = enough[enough >= _FEWEST_TOLD - 1]
    present = float(chances[order[enough[-1]]]) if len(enough) else 1.1
    return round(min(possible, present), 4), round(present, 4)


def auc_within(
    score: NDArray[np.float64],
    truth: NDArray[np.bool_],
    kinds: NDArray[np.str_],
    groups: NDArray[np.int64],
    seed: int,
    error: float = 0.05,
) -> tuple[float, float, float]:
    """AUC over pairs of the same kind, with the interval of drawing other cases.

    Pairs of different kinds are left out: that hydrocephalus is of the head is no news.
    """
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    rows = {g: np.flatnonzero(groups == g) for g in names.tolist()}
    value = _auc_of(score, truth, kinds)
    draws = []
    for _ in range(_DRAWS):
        drawn = rng.choice(names, len(names))
        pick = np.concatenate([rows[g] for g in drawn.tolist()])
        found = _auc_of(score[pick], truth[pick], kinds[pick])
        if np.isfinite(found):
            draws.append(found)
    low, high = np.quantile(draws, (error / 2, 1 - error / 2)) if draws else (np.nan, np.nan)
    return value, float(low), float(high)


def _auc_of(score: NDArray[np.float64], truth: NDArray[np.bool_], kinds: NDArray[np.str_]) -> float:
    right = pairs = 0.0
    for kind in np.unique(kinds):
        inside = kinds == kind
        yes, no = np.sort(score[inside & truth]), np.sort(score[inside & ~truth])
        if len(yes) and len(no):
            below = np.searchsorted(no, yes, "left").sum()
            ties = np.searchsorted(no, yes, "right").sum() - below
            right += below + ties / 2
            pairs += len(yes) * len(no)
    return right / pairs if pairs else float("nan")


def _thresholds(
    rows: Rows,
    heads: dict[str, Head],
    outside: dict[str, tuple[NDArray[np.int64], Opinion]],
    known: NDArray[np.int64],
) -> Thresholds:
    """Where the gate closes: it lets through what it must of the known training images."""
    there, held = outside[INSIDE]
    head = heads[INSIDE]
    chance = tempered(held.probability, head.temperature)[:, head.classes.index(KNOWN)]
    of_known = chance[rows.labels[INSIDE][there] == KNOWN]
    vectors = rows.vectors[known]
    cosine = vectors @ vectors.T
    cosine[rows.groups[known][:, None] == rows.groups[known][None]] = -1
    modality = outside["modality"][1].uncertainty
    return Thresholds(
        inside=round(float(np.quantile(of_known, 1 - _KEPT)), 4),
        nearest=round(float(np.quantile(cosine.max(1), (1 - _KEPT) / 2)), 4),
        uncertainty=round(float(np.quantile(modality, _KEPT)), 4),
    )


def _pairs(rows: Rows) -> frozenset[tuple[str, str]]:
    """Modality and region that enough training images have."""
    both = list(zip(rows.labels["modality"].tolist(), rows.labels["region"].tolist(), strict=True))
    return frozenset(p for p in set(both) if all(p) and both.count(p) >= _FEWEST_CLASS)
