"""A fusion network behind the protocols of :mod:`mmtool.survival`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from math import factorial

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.errors import InputError
from mmtool.models.survival.folds import assign_folds
from mmtool.models.survival.network.hazard_net import HazardNet, build, network_class
from mmtool.models.survival.network.hazards import Bins, Calibration, log_risk
from mmtool.models.survival.network.tokens import (
    Parts,
    Signatures,
    Tokeniser,
    fit_tokenisers,
    make_parts,
)
from mmtool.models.survival.network.training import Examples, Recipe, logits_of, train_network
from mmtool.survival import Cohort, Floats, Prediction

_MOST_SHARED = 5  # modalities whose Shapley values are computed: 2^M predictions each
_LEAST_EVENTS = 5
_NOT_ADDITIVE = "contributions are what the risk loses without each modality; they need not sum up"


@dataclass(frozen=True)
class NetworkModel:
    """A fitted fusion network.

    Attributes:
        method: Its name.
        tokenisers: M, one a modality that it uses.
        members: Networks whose logits are averaged.
        bins: Intervals of time.
        calibration: From averaged logits to hazards.
        centre: Mean log risk of held-out training patients: risk 0.
        held_out: (P,) risk of each training patient by the members that were not fitted to the
            patient; NaN where there is none.
        notes: What was left out in training.
        dim: Width of the networks.
        device: Where they are.
    """

    method: str
    tokenisers: tuple[Tokeniser, ...]
    members: tuple[HazardNet, ...]
    bins: Bins
    calibration: Calibration
    centre: float
    held_out: Floats = field(default_factory=lambda: np.zeros(0))
    notes: tuple[str, ...] = ()
    dim: int = 64
    device: str = "cpu"

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the blocks."""
        return tuple(t.name for t in self.tokenisers)

    def predict(self, cohort: Cohort) -> Prediction:
        """Predict; see :class:`mmtool.survival.SurvivalModel`.

        Contributions are Shapley values over the modalities that a patient has, against the
        average training patient: they sum to the risk. With more than five modalities, they are
        what the risk loses without each.
        """
        parts = make_parts(self.tokenisers, cohort)
        used = np.stack([t.present(cohort) for t in self.tokenisers], axis=1)
        logits = self.logits(parts)
        risk = log_risk(logits) - self.centre
        if used.shape[1] <= _MOST_SHARED:
            parted, notes = self._shapley(parts, used), self.notes
        else:
            parted, notes = self._left_out(parts, used, risk), (*self.notes, _NOT_ADDITIVE)
        survival = self.bins.curves(logits)
        nothing = ~used.any(axis=1)
        risk[nothing], survival[nothing], parted[nothing] = np.nan, np.nan, 0.0
        return Prediction(risk, self.bins.times, survival, self.modalities, used, parted, notes)

    def risk(self, cohort: Cohort) -> Floats:
        """(P,) risk alone; NaN where nothing is known."""
        parts = make_parts(self.tokenisers, cohort)
        used = np.stack([t.present(cohort) for t in self.tokenisers], axis=1)
        return np.where(used.any(axis=1), self.risk_without(parts, np.zeros_like(used)), np.nan)

    def logits(self, parts: Parts) -> Floats:
        """(P, K) calibrated logits of the mean of the members."""
        raw = [logits_of(network, parts, self.device) for network in self.members]
        return self.calibration(np.mean(raw, axis=0))

    def risk_without(self, parts: Parts, gone: NDArray[np.bool_]) -> Floats:
        """(P,) risk with the modalities of ``gone`` (P, M) taken away; 0 where none is left."""
        left = {
            name: parts[name].without(torch.from_numpy(gone[:, m]))
            for m, name in enumerate(self.modalities)
        }
        there = torch.stack([part.present for part in left.values()], 1).any(dim=1).numpy()
        risk = np.zeros(len(gone))
        if there.any():
            where = torch.from_numpy(np.flatnonzero(there))
            chosen = {name: part.rows(where) for name, part in left.items()}
            risk[there] = log_risk(self.logits(chosen)) - self.centre
        return risk

    def _shapley(self, parts: Parts, used: NDArray[np.bool_]) -> Floats:
        """(P, M)."""
        count = used.shape[1]
        kinds = np.array(list(product((False, True), repeat=count)))
        value = np.stack([self.risk_without(parts, ~(used & kind)) for kind in kinds])
        place = {tuple(kind): i for i, kind in enumerate(kinds)}
        out = np.zeros(used.shape)
        for m in range(count):
            for kind in kinds[~kinds[:, m]]:
                size = int(kind.sum())
                share = factorial(size) * factorial(count - size - 1) / factorial(count)
                more = kind.copy()
                more[m] = True
                out[:, m] += share * (value[place[tuple(more)]] - value[place[tuple(kind)]])
        return out

    def _left_out(self, parts: Parts, used: NDArray[np.bool_], risk: Floats) -> Floats:
        out = np.zeros(used.shape)
        for m in range(used.shape[1]):
            gone = np.zeros_like(used)
            gone[:, m] = True
            out[:, m] = np.where(used[:, m], risk - self.risk_without(parts, gone), 0.0)
        return out


@dataclass(frozen=True)
class NetworkLearner:
    """Fits a fusion network.

    The training patients are dealt into parts, stratified by event and time; each member is
    stopped by one part and learns from the others. There is no fit to all patients after that: the
    members together have seen them all. What members say of the part that stopped them calibrates
    the hazards.

    Attributes:
        method: See :func:`mmtool.models.survival.network.hazard_net.methods`.
        signatures: Group -> genes, or empty.
        recipe: Settings of the training.
    """

    method: str
    signatures: Signatures = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)

    def fit(self, cohort: Cohort, seed: int) -> NetworkModel:
        """Fit; see :class:`mmtool.survival.Learner`.

        Raises:
            InputError: Too few events, or no modality that the method uses.
        """
        outcome = cohort.known_outcome()
        tokenisers, notes = self._tokenisers(cohort)
        there = np.stack([t.present(cohort) for t in tokenisers], axis=1).any(axis=1)
        rows = np.flatnonzero(there)
        known = outcome.subset(rows)
        if int(known.event.sum()) < _LEAST_EVENTS:
            raise InputError(
                f"{self.method}: {int(known.event.sum())} events among those who have anything",
                f"a network needs {_LEAST_EVENTS} events",
            )
        bins = Bins.fit(known)
        parts = make_parts(tokenisers, cohort.subset(rows))
        examples = Examples(
            parts, torch.from_numpy(bins.label(known.time)), torch.from_numpy(known.event)
        )
        groups = None if cohort.groups is None else cohort.groups[rows]
        fold = assign_folds(known, self.recipe.folds, seed, groups)
        members = self._members(tokenisers, examples, fold, len(bins), seed)
        said = _held_out(members, examples, fold, self.recipe.device)
        held = ~np.isnan(said).any(axis=1)
        kept = np.flatnonzero(held)
        calibration = Calibration.fit(said[kept], known.subset(kept), bins)
        risk = np.full(len(outcome), np.nan)
        risk[rows[kept]] = log_risk(calibration(said[kept]))
        centre = float(np.nanmean(risk))
        return NetworkModel(
            *(self.method, tokenisers, members, bins, calibration, centre, risk - centre),
            notes=tuple(notes),
            dim=self.recipe.dim,
            device=self.recipe.device,
        )

    def _tokenisers(self, cohort: Cohort) -> tuple[tuple[Tokeniser, ...], list[str]]:
        made = fit_tokenisers(cohort, self.signatures)
        uses = network_class(self.method).uses
        used = tuple(t for t in made if uses(t.shape))
        left = sorted(set(cohort.blocks) - {t.name for t in used})
        if not used:
            raise InputError(
                f"{self.method} uses none of the blocks: {', '.join(left)}",
                "choose another network, or add the tables that it looks at",
            )
        return used, [f"{name}: not used by {self.method}" for name in left]

    def _members(
        self,
        tokenisers: Sequence[Tokeniser],
        examples: Examples,
        fold: NDArray[np.int64],
        bins: int,
        seed: int,
    ) -> tuple[HazardNet, ...]:
        layout = tuple(t.shape for t in tokenisers)
        recipe = self.recipe
        make = partial(build, self.method, layout, bins, recipe.dim, recipe.dropout)
        out = []
        for k in range(recipe.members):
            train, inner = (
                examples.rows(torch.from_numpy(np.flatnonzero(side)))
                for side in (fold != k, fold == k)
            )
            out.append(train_network(make, train, inner, recipe, 1000 * seed + k))
        return tuple(out)


def _held_out(
    members: Sequence[HazardNet], examples: Examples, fold: NDArray[np.int64], device: str
) -> Floats:
    """(P, K) logits of each patient by the member that the patient helped to stop; else NaN."""
    out = np.full((len(examples), members[0].bins), np.nan)
    for k, network in enumerate(members):
        where = np.flatnonzero(fold == k)
        parts = examples.rows(torch.from_numpy(where)).parts
        out[where] = logits_of(network, parts, device)
    return out
