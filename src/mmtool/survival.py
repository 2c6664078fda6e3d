"""Patients, what is known of them, and what a model says of their survival.

The shape that the default model, the fusion networks, stacking and benchmarks share: a `Learner`
is fitted to a `Cohort` with outcomes and gives a `SurvivalModel`; that predicts for any cohort,
whatever blocks its patients lack. Columns are matched by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Kind = Literal["clinical", "omics", "image", "bag"]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64] | Sequence[int]


@dataclass(frozen=True)
class Outcome:
    """How long each patient was watched, and how it ended.

    Attributes:
        time: (P,) float64 > 0, in the unit of the user's table (months in all of TCGA here).
        event: (P,) bool, whether the event was seen at `time`; else the patient was lost from
            sight alive then (right censoring).
    """

    time: Floats
    event: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.time)

    def subset(self, indices: Indices) -> Outcome:
        """The outcome of some patients, in the order of ``indices``."""
        where = np.asarray(indices, np.int64)
        return Outcome(self.time[where], self.event[where])


@dataclass(frozen=True)
class Block:
    """One modality of a cohort: a table with a row for each patient of the cohort.

    Attributes:
        name: E.g. ``clinical``, ``rnaseq``, ``cnv``.
        kind: What it holds. ``bag`` is tile features of slides.
        columns: F names.
        values: (P, F) float32; NaN is unknown. Of a bag, the mean over the patient's tiles.
        present: (P,) bool; False where nothing of the patient is known here: the row is all NaN.
        tiles: Of a bag, for each patient (N_p, F) float32 tile features, N_p = 0 if absent.
    """

    name: str
    kind: Kind
    columns: tuple[str, ...]
    values: NDArray[np.float32]
    present: NDArray[np.bool_]
    tiles: tuple[NDArray[np.float32], ...] | None = None

    def subset(self, indices: Indices) -> Block:
        """The rows of some patients, in the order of ``indices``."""
        where = np.asarray(indices, np.int64)
        tiles = None if self.tiles is None else tuple(self.tiles[i] for i in where)
        return replace(self, values=self.values[where], present=self.present[where], tiles=tiles)


@dataclass(frozen=True)
class Cohort:
    """Patients.

    Attributes:
        ids: P names, each once.
        blocks: Name -> block with a row for each patient, in the order of `ids`.
        outcome: What happened, or None where it is not known.
        groups: (P,) str, patients who must stay on one side of a split (site, family), or None.
    """

    ids: tuple[str, ...]
    blocks: Mapping[str, Block]
    outcome: Outcome | None = None
    groups: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, indices: Indices) -> Cohort:
        """Some patients, in the order of ``indices``."""
        where = np.asarray(indices, np.int64)
        return Cohort(
            tuple(self.ids[i] for i in where),
            {name: block.subset(where) for name, block in self.blocks.items()},
            None if self.outcome is None else self.outcome.subset(where),
            None if self.groups is None else self.groups[where],
        )

    def with_blocks(self, names: Sequence[str]) -> Cohort:
        """The same patients with some of the blocks only."""
        return replace(self, blocks={name: self.blocks[name] for name in names})

    def known_outcome(self) -> Outcome:
        """The outcome.

        Raises:
            ValueError: There is none; a learner asked for it.
        """
        if self.outcome is None:
            raise ValueError("a cohort without outcomes")
        return self.outcome


@dataclass(frozen=True)
class Prediction:
    """What a model says of P patients.

    Attributes:
        risk: (P,) float64, higher = earlier event; the log of the hazard over that of the average
            training patient as far as the model knows one. NaN where nothing of the patient is
            known.
        times: (T,) float64 ascending, in the unit of the training outcomes.
        survival: (P, T) float64 in [0, 1], probability to be free of the event beyond each time;
            right-continuous steps, 1 before the first time.
        modalities: M names.
        used: (P, M) bool, which modalities spoke for each patient.
        contributions: (P, M) float64, what each added to `risk`; 0 where it was not used. They sum
            to `risk` where the model is additive, else see `notes`.
        notes: Plain sentences for the user.
    """

    risk: Floats
    times: Floats
    survival: Floats
    modalities: tuple[str, ...]
    used: NDArray[np.bool_]
    contributions: Floats
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.risk)

    def survival_at(self, times: Floats) -> Floats:
        """(P, T') survival at any times; NaN of whom nothing is known."""
        ones = np.where(np.isnan(self.survival[:, :1]), np.nan, 1.0)
        place = np.searchsorted(self.times, times, "right")
        return np.concatenate([ones, self.survival], axis=1)[:, place]

    def median(self) -> Floats:
        """(P,) first time at which survival is at most 0.5; infinite where it never is."""
        found = np.append(self.times, np.inf)[(self.survival > 0.5).sum(axis=1)]
        return np.where(np.isnan(self.survival).any(axis=1), np.nan, found)

    def subset(self, indices: Indices) -> Prediction:
        """What is said of some patients, in the order of ``indices``."""
        where = np.asarray(indices, np.int64)
        return replace(
            self,
            risk=self.risk[where],
            survival=self.survival[where],
            used=self.used[where],
            contributions=self.contributions[where],
        )


class SurvivalModel(Protocol):
    """A fitted model. A block that it knows may be absent from the cohort, whole or in part."""

    def predict(self, cohort: Cohort) -> Prediction:
        """Predict; the patients don't know of each other."""
        ...


class Learner(Protocol):
    """A way to make a model; its settings are chosen inside the cohort that it is given."""

    def fit(self, cohort: Cohort, seed: int) -> SurvivalModel:
        """Fit to a cohort with outcomes.

        Args:
            cohort: The training patients, and no others.
            seed: Of everything random; the same seed gives the same model.
        """
        ...
