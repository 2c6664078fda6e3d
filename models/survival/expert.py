"""What one block says of the risk: the mean of a ridge Cox regression and of a forest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtool.models.survival.forest import Forest, fit_forest
from mmtool.models.survival.linear import Linear, directions, fit_linear
from mmtool.models.survival.scaling import Scaler
from mmtool.survival import Block, Floats, Outcome

Part = Linear | Forest
KEPT_TREES = 25  # of the forests that serve for intervals alone
_LEAST = 20  # patients with an outcome, and a quarter as many events, to learn a block from


@dataclass(frozen=True)
class Expert:
    """A fitted block.

    Attributes:
        name: Of the block.
        columns: F names.
        scaler: Of the columns.
        parts: Models of the scaled columns.
        factors: One a part, so that their sum, less `shift`, has mean 0 and variance 1 over
            patients that were held out.
        shift: See `factors`.
    """

    name: str
    columns: tuple[str, ...]
    scaler: Scaler
    parts: tuple[Part, ...]
    factors: tuple[float, ...]
    shift: float

    def values(self, block: Block) -> NDArray[np.float32]:
        """(P, F) of the expert's columns, by name; NaN where the block lacks one."""
        if block.columns == self.columns:
            return block.values
        places = {name: i for i, name in enumerate(block.columns)}
        out = np.full((len(block.values), len(self.columns)), np.nan, np.float32)
        there = [i for i, name in enumerate(self.columns) if name in places]
        out[:, there] = block.values[:, [places[self.columns[i]] for i in there]]
        return out

    def risk(self, values: NDArray[np.float32]) -> Floats:
        """(P,) standardised log risk of (P, F) values."""
        scaled = self.scaler(values)
        return self.of_scaled(scaled)

    def of_scaled(self, scaled: Floats) -> Floats:
        """(P,) standardised log risk of (P, F) scaled values."""
        pairs = zip(self.factors, self.parts, strict=True)
        total = np.zeros(len(scaled))
        for factor, part in pairs:
            total += factor * part.risk(scaled)
        return total - self.shift

    def shifts(self, values: NDArray[np.float32]) -> Floats:
        """(P, F) change of the standardised risk by one sd of each column, trees included."""
        scaled = self.scaler(values)
        total = np.zeros(scaled.shape)
        for factor, part in zip(self.factors, self.parts, strict=True):
            total += factor * part.shifts(scaled)
        return total

    def slopes(self) -> Floats:
        """(F,) gradient of the standardised risk by each scaled column."""
        total = np.zeros(len(self.columns))
        for factor, part in zip(self.factors, self.parts, strict=True):
            total += factor * part.slopes(len(self.columns))
        return total

    def contributions(self, values: NDArray[np.float32]) -> Floats:
        """(P, F) what each column adds to the standardised risk, but for a constant."""
        scaled = self.scaler(values)
        total = np.zeros(scaled.shape)
        for factor, part in zip(self.factors, self.parts, strict=True):
            total += factor * part.contributions(scaled)
        return total


@dataclass(frozen=True)
class FittedExpert:
    """An expert, and what is needed to join it with others.

    Attributes:
        expert: Fitted to all patients of the block.
        replicates: K experts, each fitted without one fold.
        held_out: (P,) standardised risk of each patient by the expert that did not know the
            patient; NaN for who is absent.
    """

    expert: Expert
    replicates: tuple[Expert, ...]
    held_out: Floats


def enough(block: Block, outcome: Outcome) -> bool:
    """Whether there are patients and events to learn a block from."""
    known = block.present
    return int(known.sum()) >= _LEAST and 4 * int(outcome.event[known].sum()) >= _LEAST


def fit_expert(
    block: Block, outcome: Outcome, fold: NDArray[np.int64], seed: int
) -> FittedExpert | None:
    """Fit a block's expert, whole and without each fold.

    The scale and the components are those of all patients given, whatever their outcomes.

    Args:
        block: Of P patients.
        outcome: Of the P patients.
        fold: (P,) of each patient, 0 to K - 1.
        seed: Of everything random.

    Returns:
        None if no column of the block varies.
    """
    where = np.flatnonzero(block.present)
    scaler = Scaler.fit(block.values[where], counts=block.kind == "omics")
    varies = np.flatnonzero(scaler.scale > 0)
    if not len(varies):
        return None
    columns = tuple(block.columns[i] for i in varies)
    scaler = scaler.only(varies)
    scaled = scaler(block.values[np.ix_(where, varies)])
    basis = directions(scaled)
    known, own = outcome.subset(where), fold[where]
    held_out = np.full((2, len(where)), np.nan)
    without: list[tuple[Part, ...]] = []
    for left in range(int(fold.max()) + 1):
        kept = np.flatnonzero(own != left)
        parts = _parts(scaled[kept], known.subset(kept), seed, basis)
        for place in range(2):
            held_out[place, own == left] = parts[place].risk(scaled[own == left])
        without.append((parts[0], parts[1].first(KEPT_TREES)))
    factors, shift, risk = _standardised(held_out)

    def expert(parts: tuple[Part, ...]) -> Expert:
        return Expert(block.name, columns, scaler, parts, factors, shift)

    out = np.full(len(outcome), np.nan)
    out[where] = risk
    whole = expert(_parts(scaled, known, seed, basis))
    return FittedExpert(whole, tuple(expert(parts) for parts in without), out)


def _parts(scaled: Floats, outcome: Outcome, seed: int, basis: Floats) -> tuple[Linear, Forest]:
    return fit_linear(scaled, outcome, seed, basis), fit_forest(scaled, outcome, seed)


def _standardised(held_out: Floats) -> tuple[tuple[float, ...], float, Floats]:
    """Factors and shift of the parts, and the standardised mean of their risks.

    Args:
        held_out: (parts, N) risks.
    """
    centre, spread = held_out.mean(axis=1), held_out.std(axis=1)
    speaking = spread > 1e-6  # a part whose penalty silenced it says nothing
    factors = np.where(speaking, 1 / np.where(speaking, spread, 1.0), 0.0)
    mean = factors @ (held_out - centre[:, None])
    size = max(float(mean.std()), 1e-6)
    factors = factors / size
    shift = float(factors @ centre)
    return tuple(float(f) for f in factors), shift, mean / size
