"""A fusion network behind the protocols of :mod:`mmtool.survival`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.errors import InputError
from mmtool.models.survival.folds import assign_folds
from mmtool.models.survival.network.hazard_net import HazardNet, build, network_class
from mmtool.models.survival.network.hazards import Bins, Calibration, log_risk
from mmtool.models.survival.network.model import NetworkModel
from mmtool.models.survival.network.tokens import (
    Signatures,
    Tokeniser,
    fit_tokenisers,
    make_parts,
)
from mmtool.models.survival.network.training import Examples, Recipe, logits_of, train_network
from mmtool.survival import Cohort, Floats

_LEAST_EVENTS = 5


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
