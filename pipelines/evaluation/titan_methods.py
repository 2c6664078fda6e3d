"""Methods that TITAN's test compares: each is fitted to the training pairs of a fold alone.

Another method is one more function from training pairs to a scorer, and a line in `METHODS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.tcr.chain_space import PARTS, codes_of, letter_points
from mmtool.models.tcr.density import TINY, log_ratio, squared_distances
from mmtool.models.tcr.levenshtein import Neighbours, PairIndex, shares
from mmtool.pipelines.binding_titan import TitanBinding
from mmtool.pipelines.evaluation.binding_measures import measure
from mmtool.pipelines.training.titan import train_titan, uncalibrated
from mmtool.pipelines.training.titan_pairs import TitanOptions
from mmtool.receptors import Binder, Receptor

Floats = NDArray[np.float64]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """CDR3 of a beta chain, peptide, and whether they bind."""

    cdr3: str
    epitope: str
    binds: bool


Scorer = Callable[[Sequence[LabelledPair]], Floats]  # (N,); it doesn't look at `binds`
Method = Callable[[Sequence[LabelledPair], int], Scorer]  # training pairs, seed

_NUMBERS = tuple(range(1, 26, 2))  # of neighbours, those that TITAN tried
_WIDTHS = (7.0, 10.0, 15.0, 21.0)
_PRIOR = 5.0  # binders that the background counts for
_WEIGHT = 3.0  # of the junction without its ends, as in tcrdist
_BACKGROUND = 4000
_INNER, _MOST_INNER = 10, 1000  # a tenth of the training receptors chooses, at most so many
_ROWS = 1024
_EPOCHS = 12


def prior(train: Sequence[LabelledPair], seed: int) -> Scorer:
    """Share of positives among an epitope's training pairs; the receptor is not looked at."""
    del seed
    pairs = Counter(p.epitope for p in train)
    binders = Counter(p.epitope for p in train if p.binds)
    rate = {e: binders[e] / n for e, n in pairs.items()}
    typical = binders.total() / len(train)
    return lambda pairs: np.array([rate.get(p.epitope, typical) for p in pairs])


def knn(train: Sequence[LabelledPair], seed: int) -> Scorer:
    """TITAN's nearest neighbours; their number is the one of best pooled AUC in the training."""
    inner, held = _inner(train, seed)
    labels = np.array([p.binds for p in held])
    nearest = _nearest_labels(inner, held)
    k = max(_NUMBERS, key=lambda n: measure(shares(nearest, n), labels)["auc"])
    return lambda pairs: shares(_nearest_labels(train, pairs), k)


def kernel(train: Sequence[LabelledPair], seed: int) -> Scorer:
    """The default model's density ratio over the junction of the beta chain alone.

    The background is the training receptors; the width of the kernel is the one of best mean AUC
    over epitopes in the training. No share of positives enters it.
    """
    inner, held = _inner(train, seed)
    rows = both_labels(held)
    labels = np.array([p.binds for p in held])
    tried = _Kernel.of(inner, seed).scores(held, _WIDTHS)
    level = [np.mean([measure(s[r], labels[r])["auc"] for r in rows]) for s in tried]
    width = _WIDTHS[int(np.argmax(level))]
    fitted = _Kernel.of(train, seed)
    return lambda pairs: np.asarray(fitted.scores(pairs, (width,))[0], np.float64)


def network(spelling: str) -> Method:
    """TITAN's network on the CDR3 and the epitope in one of its spellings.

    It is trained on the fold's labelled pairs for a number of epochs that was fixed beforehand.
    """

    def fit(train: Sequence[LabelledPair], seed: int) -> Scorer:
        options = TitanOptions(
            spelling=spelling,
            least=1,
            most=len(train),
            epochs=_EPOCHS,
            negatives=0,
            hidden=0.0,
            seed=seed,
        )
        known, others = (
            [Binder(Receptor(cdr3_b=p.cdr3), p.epitope) for p in train if p.binds == binds]
            for binds in (True, False)
        )
        trained = train_titan(known, options, negatives=others)
        model = uncalibrated(trained, options, Counter(b.epitope for b in known))
        return lambda pairs: _each(model, pairs)

    return fit


def _each(model: TitanBinding, pairs: Sequence[LabelledPair]) -> Floats:
    """Log odds of each pair, epitope by epitope."""
    of: dict[str, list[int]] = {}
    for row, pair in enumerate(pairs):
        of.setdefault(pair.epitope, []).append(row)
    out = np.zeros(len(pairs))
    for epitope, rows in of.items():
        receptors = [Receptor(cdr3_b=pairs[r].cdr3) for r in rows]
        out[rows] = model.raw_scores(receptors, [epitope])[:, 0]
    return out


METHODS: Mapping[str, Method] = {
    "prior": prior,
    "knn": knn,
    "kernel-ratio": kernel,
    "titan-letters": network("letters"),
    "titan-smiles": network("smiles"),
}
FAST = ("prior", "knn", "kernel-ratio")  # seconds a fold, not minutes
ADD_PRIOR = "kernel-ratio"  # what `prior` is added to, to show what pooled AUC gains by it


def _inner(
    train: Sequence[LabelledPair], seed: int
) -> tuple[list[LabelledPair], list[LabelledPair]]:
    """The training pairs without some of their receptors, and those of these."""
    names = sorted({p.cdr3 for p in train})
    order = np.random.default_rng(seed).permutation(len(names))
    held = {names[i] for i in order[: min(len(names) // _INNER, _MOST_INNER)].tolist()}
    return [p for p in train if p.cdr3 not in held], [p for p in train if p.cdr3 in held]


def both_labels(pairs: Sequence[LabelledPair]) -> list[NDArray[np.intp]]:
    """Rows of each epitope that has pairs of both labels."""
    names = np.array([p.epitope for p in pairs])
    binds = np.array([p.binds for p in pairs])
    groups = [np.flatnonzero(names == name) for name in np.unique(names)]
    return [rows for rows in groups if 0 < binds[rows].sum() < len(rows)]


def _nearest_labels(
    train: Sequence[LabelledPair], pairs: Sequence[LabelledPair]
) -> NDArray[np.int8]:
    """Labels of the nearest training pairs of each pair, nearest first, (N, k)."""
    index = PairIndex.of(
        [p.epitope for p in train], [p.cdr3 for p in train], [int(p.binds) for p in train]
    )
    out = np.full((len(pairs), _NUMBERS[-1]), -1, np.int8)
    asked = list(dict.fromkeys(p.cdr3 for p in pairs))
    for begin in range(0, len(asked), _ROWS):
        place = {s: i for i, s in enumerate(asked[begin : begin + _ROWS])}
        near = index.neighbours(list(place), _NUMBERS[-1], torch.get_num_threads())
        _fill(out, near, pairs, place)
    return out


def _fill(
    out: NDArray[np.int8],
    near: Neighbours,
    pairs: Sequence[LabelledPair],
    place: Mapping[str, int],
) -> None:
    of: dict[str, list[int]] = {}
    for row, pair in enumerate(pairs):
        if pair.cdr3 in place:
            of.setdefault(pair.epitope, []).append(row)
    for epitope, rows in of.items():
        found = near.of(epitope, np.array([place[pairs[r].cdr3] for r in rows]))
        out[rows, : found.shape[1]] = found


@dataclass(frozen=True)
class _Kernel:
    """Density of an epitope's binders over that of the training receptors.

    Attributes:
        background: (M, D).
        points: (R, D) of the binders.
        bound: (R, E) 1 where a binder is one of the epitope.
        epitopes: Epitope -> its number.
    """

    background: Tensor
    points: Tensor
    bound: Tensor
    epitopes: Mapping[str, int]

    @classmethod
    def of(cls, train: Sequence[LabelledPair], seed: int) -> _Kernel:
        names = sorted({p.cdr3 for p in train})
        order = np.random.default_rng(seed).permutation(len(names))[:_BACKGROUND]
        binders = [p for p in train if p.binds]
        epitopes = {e: i for i, e in enumerate(sorted({p.epitope for p in binders}))}
        number = torch.tensor([epitopes[p.epitope] for p in binders])
        return cls(
            _points([names[i] for i in order.tolist()]),
            _points([p.cdr3 for p in binders]),
            torch.nn.functional.one_hot(number, len(epitopes)).float(),
            epitopes,
        )

    def scores(self, pairs: Sequence[LabelledPair], widths: Sequence[float]) -> Floats:
        """Log ratios (W, N); 0, which is no evidence, for an epitope without binders."""
        out = np.zeros((len(widths), len(pairs)))
        for begin in range(0, len(pairs), _ROWS):
            some = pairs[begin : begin + _ROWS]
            points = _points([p.cdr3 for p in some])
            binders = squared_distances(points, self.points)
            general = squared_distances(points, self.background)
            rows = [i for i, p in enumerate(some) if p.epitope in self.epitopes]
            columns = [self.epitopes[some[i].epitope] for i in rows]
            for place, width in enumerate(widths):
                total = torch.exp(binders / -width) @ self.bound
                density = torch.exp(general / -width).mean(1)[:, None] + TINY
                ratio = log_ratio(total, self.bound.sum(0), density, _PRIOR).numpy()
                out[place, np.array(rows, np.intp) + begin] = ratio[rows, columns]
        return out


def _points(junctions: Sequence[str]) -> Tensor:
    """What tcrdist compares of the junctions, three times weighed, as points (N, D)."""
    codes = codes_of([Receptor(cdr3_b=s) for s in junctions], "b")
    begin, end = PARTS["middle"][0], PARTS["join"][1]
    letters: Tensor = torch.from_numpy(letter_points()).float() * _WEIGHT**0.5
    return letters[torch.from_numpy(codes[:, begin:end])].flatten(1)
