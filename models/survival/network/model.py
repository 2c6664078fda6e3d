"""A fitted fusion network: what it says of patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import factorial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import stdtrit
from torch import Tensor
from torch.nn.functional import softplus

from mmtool.models.explainers.effects import Effects
from mmtool.models.survival.network.attention import attention_of
from mmtool.models.survival.network.hazard_net import HazardNet
from mmtool.models.survival.network.hazards import Bins, Calibration, log_risk
from mmtool.models.survival.network.tokens import Part, Parts, Tokeniser, make_parts
from mmtool.models.survival.network.training import logits_of
from mmtool.survival import Cohort, Floats, Prediction

_MOST_SHARED = 5  # modalities whose Shapley values are computed: 2^M predictions each
_NOT_ADDITIVE = "contributions are what the risk loses without each modality; they need not sum up"
_SHIFTED = 100  # columns of a modality that are moved by a sd
_PATH = 8  # steps of integrated gradients


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

    @property
    def reference(self) -> Floats:
        """Held-out risks of the training patients, ascending, for percentiles."""
        return np.sort(self.held_out[~np.isnan(self.held_out)])

    def columns(self, name: str) -> tuple[str, ...]:
        """Columns of a modality that the model looks at."""
        return self.tokenisers[self.modalities.index(name)].columns

    def intervals(self, cohort: Cohort, times: Floats) -> tuple[Floats, Floats]:
        """95 % intervals of survival, by leaving out one member at a time.

        The jackknife over members on the scale of log(-log S), with Student's t. Each member
        learned without another part of the training patients, so this covers what other weights
        and other patients would change, though not the calibration.

        Args:
            cohort: P patients.
            times: (T,).

        Returns:
            (P, T) lower and upper ends; NaN where nothing is known of a patient.

        Raises:
            ValueError: The model has one member alone.
        """
        count = len(self.members)
        if count < 2:
            raise ValueError("a model of one network has no spread")
        parted = [
            _log_hazard(
                self._at(self._curves(cohort, self.members[:k] + self.members[k + 1 :]), times)
            )
            for k in range(count)
        ]
        middle = _log_hazard(self._at(self._curves(cohort, self.members), times))
        drawn = np.array(parted)
        spread = ((drawn - drawn.mean(axis=0)) ** 2).sum(axis=0)
        reach = float(stdtrit(count - 1, 0.975)) * np.sqrt((count - 1) / count * spread)
        return np.exp(-np.exp(middle + reach)), np.exp(-np.exp(middle - reach))

    def _curves(self, cohort: Cohort, members: Sequence[HazardNet]) -> Floats:
        """(P, U) survival at the model's own times."""
        parts = make_parts(self.tokenisers, cohort)
        raw = np.mean([logits_of(network, parts, self.device) for network in members], axis=0)
        curves = self.bins.curves(self.calibration(raw))
        curves[~np.stack([t.present(cohort) for t in self.tokenisers], axis=1).any(axis=1)] = np.nan
        return curves

    def _at(self, curves: Floats, times: Floats) -> Floats:
        ones = np.where(np.isnan(curves[:, :1]), np.nan, 1.0)
        place = np.searchsorted(self.bins.times, times, "right")
        return np.concatenate([ones, curves], axis=1)[:, place]

    def contributions(self, cohort: Cohort, name: str) -> tuple[tuple[str, ...], Floats]:
        """Columns of a modality and (P, F) what each adds to the risk, in place of its average.

        Integrated gradients (Sundararajan et al., arXiv 1703.01365) from the average training
        patient's values of this modality to the patient's own, all others as they are. Of a bag,
        the sum over its tiles.

        Args:
            cohort: P patients.
            name: Of the modality.
        """
        tokeniser = self.tokenisers[self.modalities.index(name)]
        out = np.zeros((len(cohort), len(tokeniser.columns)))
        slope, moved = self._added(make_parts(self.tokenisers, cohort), name)
        added = moved.double().numpy()
        scaled, gradient = tokeniser.scaled(cohort), slope.double().numpy()
        if scaled is None:  # tiles have no columns that could be told apart from their tokens
            return (f"{name} tiles",), added.sum(axis=(1, 2))[:, None]
        for t, group in enumerate(tokeniser.groups):
            own = gradient[:, t, : group.basis.shape[1]] @ group.basis.T
            out[:, group.places] += own * scaled[:, group.places]
        return tokeniser.columns, out * tokeniser.present(cohort)[:, None]

    def own_fits(self) -> tuple[NetworkModel, ...]:
        """A model of each member, which learned without one part of the training patients."""
        return tuple(replace(self, members=(network,)) for network in self.members)

    def middle(self, name: str) -> Floats | None:
        """(F,) values of the median training patient; None of bags of tiles."""
        tokeniser = self.tokenisers[self.modalities.index(name)]
        return None if tokeniser.kind == "bag" else tokeniser.scaler.middle

    def slopes(self, cohort: Cohort, name: str) -> Floats | None:
        """(P, F) gradient of the risk by each column, in its sd; None of bags of tiles."""
        tokeniser = self.tokenisers[self.modalities.index(name)]
        if tokeniser.kind == "bag":
            return None
        parts = make_parts(self.tokenisers, cohort)
        gradient = self._gradient(parts, name, parts[name].x).double().numpy()
        out = np.zeros((len(cohort), len(tokeniser.columns)))
        for t, group in enumerate(tokeniser.groups):
            out[:, group.places] += gradient[:, t, : group.basis.shape[1]] @ group.basis.T
        return out

    def shifts(self, cohort: Cohort, name: str) -> Floats | None:
        """(P, F) half the change of the risk from one sd below to one above, by each column.

        Of the `_SHIFTED` columns with the largest mean gradient; NaN of the others.
        """
        slopes = self.slopes(cohort, name)
        if slopes is None:
            return None
        tokeniser = self.tokenisers[self.modalities.index(name)]
        parts, nobody = make_parts(self.tokenisers, cohort), np.zeros((len(cohort), 1), np.bool_)
        nobody = np.repeat(nobody, len(self.tokenisers), axis=1)
        out = np.full(slopes.shape, np.nan)
        for f in np.argsort(-np.abs(slopes).mean(axis=0), kind="stable")[:_SHIFTED]:
            step = torch.zeros_like(parts[name].x[:1])
            for t, group in enumerate(tokeniser.groups):
                for row in group.basis[group.places == f]:
                    step[0, t, : len(row)] += torch.from_numpy(row)
            risks = []
            for sign in (1, -1):
                x = (parts[name].x + sign * step) * parts[name].mask[..., None]
                moved = {**parts, name: Part(x, parts[name].mask)}
                risks.append(self.risk_without(moved, nobody))
            out[:, f] = (risks[0] - risks[1]) / 2
        return out

    def tile_effects(self, cohort: Cohort, name: str) -> list[Floats] | None:
        """(N_p,) of each patient's tiles, the integrated gradient of each; None of no bag.

        NaN of the tiles of a large bag that the networks don't see.
        """
        tokeniser = self.tokenisers[self.modalities.index(name)]
        if tokeniser.kind != "bag":
            return None
        added = self._added(make_parts(self.tokenisers, cohort), name)[1].sum(dim=2)
        out = []
        for p, (tokens, places) in enumerate(tokeniser.tiles_of(cohort.blocks[name])):
            effects = np.full(len((cohort.blocks[name].tiles or ())[p]), np.nan)
            effects[places] = added[p, : len(tokens)].double().numpy()
            out.append(effects)
        return out

    def _added(self, parts: Parts, name: str) -> tuple[Tensor, Tensor]:
        """Mean gradient from the average to the tokens of a modality, and that times the tokens."""
        slope = torch.zeros_like(parts[name].x)
        for step in range(_PATH):
            slope += self._gradient(parts, name, (step + 0.5) / _PATH * parts[name].x) / _PATH
        return slope, slope * parts[name].x

    def attention(self, cohort: Cohort) -> list[Effects]:
        """See :func:`mmtool.models.survival.network.attention.attention_of`."""
        return attention_of(self.tokenisers, self.members, cohort, self.device)

    def _gradient(self, parts: Parts, name: str, at: Tensor) -> Tensor:
        """Gradient of the risk by the tokens of a modality, where they are ``at``."""
        x = at.to(self.device).requires_grad_()
        given = {n: p.to(self.device) for n, p in parts.items()}
        given[name] = Part(x, given[name].mask)
        found: Tensor = torch.autograd.grad(self._torch_risk(given).sum(), x)[0].cpu()
        return found

    def _torch_risk(self, parts: Parts) -> Tensor:
        """(P,) as :meth:`risk_without`, with gradients."""
        raw = torch.stack([network(parts).logits for network in self.members]).mean(dim=0)
        shift = torch.as_tensor(self.calibration.shift, dtype=raw.dtype, device=raw.device)
        logits = self.calibration.slope * raw + shift
        survival = torch.exp(-softplus(logits).cumsum(dim=1)).mean(dim=1).clamp(1e-6, 1 - 1e-6)
        return torch.log(-torch.log(survival))


def _log_hazard(survival: Floats) -> Floats:
    return np.asarray(np.log(-np.log(np.clip(survival, 1e-12, 1 - 1e-12))), np.float64)
