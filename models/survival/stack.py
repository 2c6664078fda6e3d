"""The default survival model: an expert for each block, joined by weights that are never negative.

The weights are fitted to risks of patients whom the experts did not know (stacking: Wolpert 1992,
10.1016/S0893-6080(05)80023-1; non-negative after Breiman 1996, 10.1007/BF00117832), for every set
of blocks that a patient may have: who lacks a block is judged by weights made for such patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from mmtool.errors import InputError
from mmtool.models.explainers.effects import Effects
from mmtool.models.survival.cox import positive_cox, ridge_cox, standing
from mmtool.models.survival.expert import Expert, FittedExpert, enough, fit_expert
from mmtool.models.survival.folds import assign_folds
from mmtool.models.survival.statistics.breslow import Baseline, breslow
from mmtool.survival import Block, Cohort, Floats, Outcome, Prediction

FOLDS = 5
MOST_BLOCKS = 10  # weights are kept for each of the 2^M sets of blocks
_CHUNK = 512  # patients whose columns are scaled at a time
_DRAW = 1.0  # pull of the weights towards expected ones, as a share of the events
_HEARD = 1.0  # standard errors above nothing that an expert must reach to be expected to count


@dataclass(frozen=True)
class Joint:
    """How experts are joined.

    Attributes:
        weights: (2^M, M) for each set of blocks, numbered by its bits (block 0 is bit 1), the
            weight of each expert; 0 for those that are not in the set.
        offsets: (2^M,) log hazard of each set beside the risk: with fewer blocks, risks differ
            less, and their mean hazard would not fit the events.
        baseline: Cumulative hazard at log risk 0.
    """

    weights: Floats
    offsets: Floats
    baseline: Baseline

    def log_risk(self, risks: Floats, used: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """(P,) log risk, and (P, M) what each expert adds to it but for the offset.

        Args:
            risks: (P, M) of the experts, anything where they are not used.
            used: (P, M) which are.
        """
        kind = used @ (1 << np.arange(used.shape[1]))
        parts = self.weights[kind] * np.where(used, risks, 0.0)
        return parts.sum(axis=1) + self.offsets[kind], parts


@dataclass(frozen=True)
class Stack:
    """A fitted stack.

    Attributes:
        experts: M, one a block.
        joint: How they are joined.
        replicates: Experts and joint of K fits without one fold each, for intervals.
        reference: Held-out log risks of the training patients, ascending, for percentiles.
        notes: What was left out in training.
    """

    experts: tuple[Expert, ...]
    joint: Joint
    replicates: tuple[tuple[tuple[Expert, ...], Joint], ...] = ()
    reference: Floats = field(default_factory=lambda: np.zeros(0))
    notes: tuple[str, ...] = ()

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the blocks."""
        return tuple(e.name for e in self.experts)

    def predict(self, cohort: Cohort) -> Prediction:
        """Predict; see :class:`mmtool.survival.SurvivalModel`."""
        used = self.used(cohort)
        risk, parts = self.joint.log_risk(expert_risks(self.experts, cohort, used), used)
        times = self.joint.baseline.times
        survival = self.joint.baseline.curves(risk, times)
        nothing = ~used.any(axis=1)
        risk = np.where(nothing, np.nan, risk)
        survival[nothing] = np.nan
        return Prediction(risk, times, survival, self.modalities, used, parts)

    def columns(self, name: str) -> tuple[str, ...]:
        """Columns of a modality that the model looks at."""
        return self.experts[self.modalities.index(name)].columns

    def intervals(self, cohort: Cohort, times: Floats) -> tuple[Floats, Floats]:
        """95 % intervals of survival, by leaving out one fold of the training patients at a time.

        The jackknife over K groups (Quenouille 1956, 10.1093/biomet/43.3-4.353) on the scale of
        log(-log S), with Student's t of K - 1 degrees of freedom. It covers what another draw of
        training patients would change: experts, weights and baseline.

        Args:
            cohort: P patients.
            times: (T,).

        Returns:
            (P, T) lower and upper ends; NaN where nothing is known of a patient, or where no
            event had been seen.
        """
        used = self.used(cohort)
        values = [self._log_hazard(self.experts, self.joint, cohort, used, times)]
        values += [self._log_hazard(e, j, cohort, used, times) for e, j in self.replicates]
        middle, drawn = values[0], np.array(values[1:])
        count = len(drawn)
        with np.errstate(invalid="ignore"):  # before the first event log 0 less log 0 is unknown
            spread = drawn - drawn.mean(axis=0)
        error = np.sqrt((count - 1) / count * (spread**2).sum(axis=0))
        reach = float(stdtrit(count - 1, 0.975)) * error
        low, high = np.exp(-np.exp(middle + reach)), np.exp(-np.exp(middle - reach))
        unknown = ~used.any(axis=1)
        low[unknown], high[unknown] = np.nan, np.nan
        return low, high

    def risk(self, cohort: Cohort) -> Floats:
        """(P,) risk alone; NaN where nothing is known."""
        return self.predict(cohort).risk

    def own_fits(self) -> tuple[Stack, ...]:
        """A stack of each fit without one fold of the training patients."""
        return tuple(Stack(experts, joint) for experts, joint in self.replicates)

    def middle(self, name: str) -> Floats:
        """(F,) values of the median training patient."""
        return self._expert(name).scaler.middle

    def slopes(self, cohort: Cohort, name: str) -> Floats:
        """(P, F) gradient of the log risk by each column, in its sd: that of the regression."""
        return self._weight(cohort, name)[:, None] * self._expert(name).slopes()

    def shifts(self, cohort: Cohort, name: str) -> Floats:
        """(P, F) change of the log risk by one sd of each column, trees included."""
        expert = self._expert(name)
        moved = expert.shifts(expert.values(cohort.blocks[name]))
        return self._weight(cohort, name)[:, None] * moved

    def tile_effects(self, cohort: Cohort, name: str) -> list[Floats] | None:
        """(N_p,) of each patient's tiles, what the log risk loses without each; None of no bag."""
        expert, weight = self._expert(name), self._weight(cohort, name)
        block = cohort.blocks[name]
        if block.tiles is None:
            return None
        out = []
        for p, tiles in enumerate(block.tiles):
            count = len(tiles)
            if count < 2:  # without its one tile the modality is missing: no matter of tiles
                out.append(np.full(count, np.nan))
                continue
            total = tiles.sum(axis=0, dtype=np.float64)
            means = np.vstack([total / count, (total - tiles) / (count - 1)]).astype(np.float32)
            risk = expert.risk(expert.values(replace(block, values=means)))
            out.append(weight[p] * (risk[0] - risk[1:]))
        return out

    def attention(self, cohort: Cohort) -> list[Effects]:
        """Nothing: a stack has no attention."""
        del cohort
        return []

    def _expert(self, name: str) -> Expert:
        return self.experts[self.modalities.index(name)]

    def _weight(self, cohort: Cohort, name: str) -> Floats:
        """(P,) weight of an expert, by what each patient has."""
        used, place = self.used(cohort), self.modalities.index(name)
        kind = used @ (1 << np.arange(used.shape[1]))
        return np.asarray(self.joint.weights[kind, place] * used[:, place], np.float64)

    def contributions(self, cohort: Cohort, name: str) -> tuple[tuple[str, ...], Floats]:
        """Columns of a block and (P, F) what each adds to the log risk, but for a constant.

        Args:
            cohort: P patients.
            name: Of the block.
        """
        expert, weight = self._expert(name), self._weight(cohort, name)
        if name not in cohort.blocks:
            return expert.columns, np.zeros((len(cohort), len(expert.columns)))
        parts = expert.contributions(expert.values(cohort.blocks[name]))
        return expert.columns, parts * weight[:, None]

    def used(self, cohort: Cohort) -> NDArray[np.bool_]:
        """(P, M) whether anything that an expert asks for is known of each patient."""
        used = np.zeros((len(cohort), len(self.experts)), np.bool_)
        for place, expert in enumerate(self.experts):
            if expert.name in cohort.blocks:
                values = expert.values(cohort.blocks[expert.name])
                used[:, place] = ~np.isnan(values).all(axis=1)
        return used

    @staticmethod
    def _log_hazard(
        experts: Sequence[Expert],
        joint: Joint,
        cohort: Cohort,
        used: NDArray[np.bool_],
        times: Floats,
    ) -> Floats:
        """(P, T) log cumulative hazard; -inf before the first event."""
        risk, _ = joint.log_risk(expert_risks(experts, cohort, used), used)
        hazard = joint.baseline.cumulative_hazard(np.zeros(1), times)[0]
        with np.errstate(divide="ignore"):
            return np.asarray(risk[:, None] + np.log(hazard)[None, :], np.float64)


def expert_risks(experts: Sequence[Expert], cohort: Cohort, used: NDArray[np.bool_]) -> Floats:
    """(P, M) standardised risks; 0 where an expert is not used."""
    out = np.zeros(used.shape)
    for place, expert in enumerate(experts):
        there = np.flatnonzero(used[:, place])
        for start in range(0, len(there), _CHUNK):
            rows = there[start : start + _CHUNK]
            values = expert.values(cohort.blocks[expert.name].subset(rows))
            out[rows, place] = expert.risk(values)
    return out


class StackLearner:
    """Fits a stack."""

    def fit(self, cohort: Cohort, seed: int) -> Stack:
        """Fit; see :class:`mmtool.survival.Learner`.

        Raises:
            InputError: Too few patients or events, or too many blocks.
        """
        outcome = cohort.known_outcome()
        if len(cohort.blocks) > MOST_BLOCKS:
            raise InputError(
                f"{len(cohort.blocks)} blocks are more than {MOST_BLOCKS}",
                "join tables of one kind",
            )
        fold = assign_folds(outcome, FOLDS, seed, cohort.groups)
        fitted, notes = _experts(cohort, outcome, fold, seed)
        held_out = np.stack([f.held_out for f in fitted], axis=1)
        joint = _join(held_out, outcome)
        replicates = []
        for left in range(FOLDS):
            kept = np.flatnonzero(fold != left)
            part = _join(held_out[kept], outcome.subset(kept))
            replicates.append((tuple(f.replicates[left] for f in fitted), part))
        used = ~np.isnan(held_out)
        known = used.any(axis=1)
        risk, _ = joint.log_risk(held_out, used)
        return Stack(
            tuple(f.expert for f in fitted),
            joint,
            tuple(replicates),
            np.sort(risk[known]),
            tuple(notes),
        )


def _experts(
    cohort: Cohort, outcome: Outcome, fold: NDArray[np.int64], seed: int
) -> tuple[list[FittedExpert], list[str]]:
    fitted, notes = [], []
    for block in cohort.blocks.values():
        if not enough(block, outcome):
            notes.append(_too_few(block, outcome))
            continue
        expert = fit_expert(block, outcome, fold, seed)
        if expert is None:
            notes.append(f"{block.name}: left out, no column of it varies")
        else:
            fitted.append(expert)
    if not fitted:
        raise InputError(
            "there is too little to learn from: " + ("; ".join(notes) or "no block"),
            "a model needs 20 patients, 5 events and a column that varies",
        )
    return fitted, notes


def _too_few(block: Block, outcome: Outcome) -> str:
    known = block.present
    return (
        f"{block.name}: left out, it is known of {int(known.sum())} patients with "
        f"{int(outcome.event[known].sum())} events"
    )


def _join(held_out: Floats, outcome: Outcome) -> Joint:
    """Weights of each set of blocks, and the baseline.

    Args:
        held_out: (P, M) held-out risks, NaN where a patient lacks a block.
        outcome: Of the P patients.
    """
    used = ~np.isnan(held_out)
    count = held_out.shape[1]
    weights, offsets = np.zeros((1 << count, count)), np.zeros(1 << count)
    risks = np.where(used, held_out, 0.0)
    whole = _weights(risks, outcome)
    known = np.flatnonzero(used.any(axis=1))
    full = risks[known] @ whole
    base = breslow(outcome.time[known], outcome.event[known], full)
    expected = np.append(0.0, base.hazard)[
        np.searchsorted(base.times, outcome.time, side="right")
    ] / np.exp(base.centre)
    for chosen in product((False, True), repeat=count):
        inside = np.array(chosen)
        rows = np.flatnonzero(used[:, inside].any(axis=1))
        kind = int(inside @ (1 << np.arange(count)))
        if not len(rows) or not outcome.event[rows].any():
            continue
        own = outcome.subset(rows)
        weights[kind, inside] = _weights(risks[rows][:, inside], own)
        hoped = expected[rows] @ np.exp(risks[rows] @ weights[kind])
        offsets[kind] = np.log(own.event.sum() / hoped)
    return Joint(weights, offsets, Baseline(base.times, base.hazard, base.centre))


def _weights(risks: Floats, outcome: Outcome) -> Floats:
    """(M,) weights.

    They are drawn towards weights in proportion to how surely each expert says something by
    itself, and towards 0 for an expert that does not.
    """
    events = float(outcome.event.sum())
    sure = np.array([standing(column, outcome) for column in risks.T])
    share = np.where(sure > _HEARD, sure, 0.0)
    if not share.any():
        share = (sure == sure.max()).astype(np.float64)
    share /= share.max()
    size = max(0.0, float(ridge_cox((risks @ share)[:, None], outcome, 1e-3 * events)[0]))
    return positive_cox(risks, outcome, _DRAW * events, size * share)
