"""A forest of relative-risk trees, for what is not linear in the columns of a block.

Each tree splits where the Poisson deviance of events against expected events falls most, expected
by the cumulative hazard of all patients: one step of the full likelihood of proportional hazards
(LeBlanc and Crowley 1992, 10.2307/2532300). The forest averages the logs of the leaves' relative
risks over bootstrap samples and random columns (Breiman 2001, 10.1023/A:1010933404324).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmtool.models.survival.statistics.breslow import breslow
from mmtool.survival import Floats, Outcome

Indices = NDArray[np.int64]
TREES = 100
_BINS = 32
_LEAF = 15  # patients of the bootstrap sample
_PRIOR = 2.0  # events and expected events added to each node: keeps small leaves near 1
_DEPTH = 6


@dataclass(frozen=True)
class Forest:
    """T trees of at most M nodes; node 0 is the root, the right child follows the left one.

    Attributes:
        column: (T, M) int32, the column that a node splits; -1 for a leaf.
        cut: (T, M) float32; scaled values above it go right.
        left: (T, M) int32 place of the left child.
        value: (T, M) float32 log relative risk of each node's patients.
        centre: Mean log risk of the training patients.
    """

    column: NDArray[np.int32]
    cut: NDArray[np.float32]
    left: NDArray[np.int32]
    value: NDArray[np.float32]
    centre: float

    def first(self, count: int) -> Forest:
        """The forest of the first trees alone, with the same centre."""
        return Forest(
            self.column[:count],
            self.cut[:count],
            self.left[:count],
            self.value[:count],
            self.centre,
        )

    def risk(self, scaled: Floats) -> Floats:
        """(N,) log risk of (N, F) scaled values; 0 for the average training patient."""
        *_, (_, _, leaf) = self._steps(scaled)
        trees = np.arange(len(self.column))[:, None]
        return np.asarray(self.value[trees, leaf].mean(axis=0) - self.centre, np.float64)

    def shifts(self, scaled: Floats) -> Floats:
        """(N, F) half the change of the log risk from a unit below to a unit above each value."""
        z, out = scaled.astype(np.float32), np.zeros(scaled.shape)
        for column in np.unique(self.column[self.column >= 0]):
            own = np.flatnonzero((self.column == column).any(axis=1))
            part = Forest(self.column[own], self.cut[own], self.left[own], self.value[own], 0.0)
            share, kept = len(own) / len(self.column), z[:, column].copy()
            for sign in (1, -1):
                z[:, column] = kept + sign
                out[:, column] += sign * share / 2 * part.risk(z.astype(np.float64))
            z[:, column] = kept
        return out

    def slopes(self, width: int) -> Floats:
        """(F,) 0: the gradient of a step function wherever it has one."""
        return np.zeros(width)

    def _steps(self, scaled: Floats) -> Iterator[tuple[Indices, Indices, Indices]]:
        """Level by level the columns, nodes and nodes below, (T, N) each, on the patients' ways."""
        z = scaled.astype(np.float32, copy=False)
        trees = np.arange(len(self.column))[:, None]
        rows = np.arange(len(z))[None, :]
        node = np.zeros((len(self.column), len(z)), np.int64)
        for _ in range(_DEPTH):
            column = self.column[trees, node]
            right = z[rows, np.maximum(column, 0)] > self.cut[trees, node]
            child = np.where(column < 0, node, self.left[trees, node] + right)
            yield np.maximum(column, 0), node, child
            node = child

    def contributions(self, scaled: Floats) -> Floats:
        """(N, F) the steps in log risk at each column's splits.

        They sum to the risk but for a constant (Lundberg et al. 2020, 10.1038/s42256-019-0138-9,
        on the method of Saabas).
        """
        out = np.zeros(scaled.shape)
        trees = np.arange(len(self.column))[:, None]
        rows = np.arange(len(scaled))[None, :]
        for column, node, child in self._steps(scaled):
            step = self.value[trees, child] - self.value[trees, node]
            np.add.at(out, (np.broadcast_to(rows, node.shape), column), step)
        return out / len(self.column)


def fit_forest(scaled: Floats, outcome: Outcome, seed: int, trees: int = TREES) -> Forest:
    """Grow a forest.

    Args:
        scaled: (N, F) finite.
        outcome: Of the N patients, with at least one event.
        seed: Of bootstrap samples and columns.
        trees: How many.
    """
    rng = np.random.default_rng(seed)
    z = scaled.astype(np.float32)
    cuts = _cuts(z)
    bins = np.empty(z.shape, np.uint8)
    for f, c in enumerate(cuts):
        bins[:, f] = np.searchsorted(c, z[:, f], side="left")
    baseline = breslow(outcome.time, outcome.event, np.zeros(len(outcome)))
    place = np.searchsorted(baseline.times, outcome.time, side="right")
    expected = np.append(0.0, baseline.hazard)[place]
    event = outcome.event.astype(np.float64)
    grown = []
    for _ in range(trees):
        drawn = rng.integers(len(z), size=len(z))
        grown.append(_grow(drawn, bins, event, expected, cuts, rng))
    size = max(len(tree) for tree in grown)
    packed = np.zeros((trees, size), _NODE)
    packed["column"] = -1
    for row, tree in zip(packed, grown, strict=True):
        row[: len(tree)] = tree
    parts = (packed["column"], packed["cut"], packed["left"], packed["value"])
    column, cut, left, value = map(np.ascontiguousarray, parts)
    forest = Forest(column, cut, left, value, 0.0)
    return replace(forest, centre=float(forest.risk(scaled).mean()))


_NODE = np.dtype([("column", "i4"), ("cut", "f4"), ("left", "i4"), ("value", "f4")])


def _cuts(z: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Ascending borders of at most _BINS bins of each column."""
    out = []
    for column in z.T:
        distinct = np.unique(column)
        if len(distinct) > _BINS:
            distinct = np.unique(np.quantile(column, np.arange(1, _BINS) / _BINS))
            out.append(distinct.astype(np.float32))
        else:
            out.append((distinct[:-1] + distinct[1:]) / 2)
    return out


def _grow(
    drawn: NDArray[np.int64],
    bins: NDArray[np.uint8],
    event: Floats,
    expected: Floats,
    cuts: list[NDArray[np.float32]],
    rng: np.random.Generator,
) -> NDArray[np.void]:
    """One tree, as an array of nodes."""
    root = (-1, 0.0, 0, _value(event[drawn], expected[drawn]))
    nodes: list[tuple[int, float, int, float]] = [root]
    waiting = [(0, drawn, 0)]
    tried = max(1, round(bins.shape[1] ** 0.5))
    while waiting:
        place, rows, depth = waiting.pop()
        columns = rng.choice(bins.shape[1], size=min(tried, bins.shape[1]), replace=False)
        found = _split(bins[rows[:, None], columns], event[rows], expected[rows])
        if found is None:
            continue
        column, border = int(columns[found[0]]), found[1]
        right = bins[rows, column] > border
        left_place = len(nodes)
        nodes[place] = (column, float(cuts[column][border]), left_place, nodes[place][3])
        for part in (rows[~right], rows[right]):
            nodes.append((-1, 0.0, 0, _value(event[part], expected[part])))
        if depth + 1 < _DEPTH:
            waiting.append((left_place, rows[~right], depth + 1))
            waiting.append((left_place + 1, rows[right], depth + 1))
    return np.array(nodes, _NODE)


def _value(event: Floats, expected: Floats) -> float:
    return float(np.log((event.sum() + _PRIOR) / (expected.sum() + _PRIOR)))


def _split(bins: NDArray[np.uint8], event: Floats, expected: Floats) -> tuple[int, int] | None:
    """Column and last left bin of the split that explains most; None if none may be made."""
    count, width = bins.shape
    if count < 2 * _LEAF or not event.any():
        return None
    flat = (bins.astype(np.int64) + np.arange(width) * _BINS).ravel()
    size = width * _BINS

    def left(weights: Floats | None) -> Floats:
        per_row = None if weights is None else np.repeat(weights, width)
        sums = np.bincount(flat, per_row, minlength=size)
        return np.cumsum(sums.reshape(width, _BINS), axis=1, dtype=np.float64)

    patients, events, hoped = left(None), left(event), left(expected)
    gain = _explained(events, hoped) + _explained(event.sum() - events, expected.sum() - hoped)
    gain[(patients < _LEAF) | (count - patients < _LEAF)] = -np.inf
    best = int(np.argmax(gain))
    if gain.flat[best] <= float(_explained(event.sum(), expected.sum())) + 1e-9:
        return None
    return best // _BINS, best % _BINS


def _explained(events: Floats | float, hoped: Floats | float) -> Floats:
    """Events times the log of events over expected ones: half the deviance but for a constant."""
    events = np.maximum(np.asarray(events, np.float64), 0.0)
    hoped = np.maximum(np.asarray(hoped, np.float64), 1e-12)
    return np.asarray(events * np.log(np.maximum(events, 1e-12) / hoped), np.float64)
