"""The default model of ``mmtool tcr-bind``: how much denser are known binders around a receptor
than receptors in general, chain by chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.errors import ModelError
from mmtool.models.tcr.chain_space import CHAINS, ChainSpace, codes_of
from mmtool.models.tcr.density import (
    ChainBinders,
    background_density,
    log_ratio,
    squared_distances,
)
from mmtool.models.tcr.reference import unpack
from mmtool.pipelines.binding_model import BindingModel
from mmtool.receptors import Binder, BindingScores, Receptor

NETWORK = "kernel_ratio"
_ROWS = 2048  # receptors that are compared at a time


@dataclass(frozen=True)
class ChainReference:
    """What is known of chains of one kind.

    Attributes:
        space: Where they lie.
        background: (M, D) chains of M control receptors, in the same order for both kinds.
        density: (M,) of the others at each of them.
        points: (R, D) chains of known binders.
        binder: (R,) long, index of each in the list of binders.
        apart: Mean squared distance of two chains of the background.
    """

    space: ChainSpace
    background: Tensor
    density: Tensor
    points: Tensor
    binder: Tensor
    apart: float


@dataclass
class KernelRatio:
    """Log ratio of two kernel densities for each chain, added up and calibrated.

    A receptor with one chain is scored by that one. The rows don't know of each other: the
    density of receptors in general comes from the model's own controls.

    Attributes:
        config: ``prior`` (chain -> see `log_ratio`), ``calibration`` (chains -> slope and
            intercept), ``prevalence``, ``few``, ``unseen_skill``, ``left_out`` (epitope -> known
            binders that the model does not hold).
        chains: ``a`` and ``b``.
        binders: Known binders; where a source does not allow to pass a sequence on, the receptor
            is empty and only its point is in the model.
    """

    config: Mapping[str, Any]
    chains: Mapping[str, ChainReference]
    binders: Sequence[Binder]
    purpose: str = "human alpha-beta T-cell receptors"
    _of: dict[str, dict[str, ChainBinders]] = field(default_factory=dict, repr=False)
    _places: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _rows: dict[str, dict[str, NDArray[np.int64]]] = field(default_factory=dict, repr=False)
    _controls: dict[tuple[str, str], Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.few = int(self.config["few"])
        skill = self.config.get("unseen_skill")
        self.unseen_skill = None if skill is None else float(skill)
        places: dict[str, list[int]] = {}
        for place, binder in enumerate(self.binders):
            places.setdefault(binder.epitope, []).append(place)
        self.epitopes = tuple(sorted(places, key=lambda e: (-len(places[e]), e)))
        self._places = {e: torch.tensor(p) for e, p in places.items()}
        self._rows = {c: _by_epitope(known, self._places) for c, known in self.chains.items()}

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.chains["b"].background.device

    def with_binders(self, extra: Sequence[Binder]) -> BindingModel:
        """The same model with more known binders."""
        receptors = [b.receptor for b in extra]
        chains = {}
        for name, known in self.chains.items():
            rows = [i for i, r in enumerate(receptors) if getattr(r, f"cdr3_{name}")]
            codes = codes_of([receptors[i] for i in rows], name)
            places = torch.tensor(rows, dtype=torch.long, device=self.device) + len(self.binders)
            chains[name] = replace(
                known,
                points=torch.cat([known.points, known.space.points(codes)]),
                binder=torch.cat([known.binder, places]),
            )
        return KernelRatio(self.config, chains, [*self.binders, *extra], self.purpose)

    def score(self, receptors: Sequence[Receptor], epitopes: Sequence[str]) -> BindingScores:
        """Calibrated log ratio, percentile among controls, probability, nearest binder."""
        shape = (len(receptors), len(epitopes))
        found = {n: np.full(shape, np.nan, np.float32) for n in ("score", "percentile", "distance")}
        nearest = np.full(shape, -1, np.int64)
        for chains, rows in _views(receptors).items():
            for some in (rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS)):
                points = self._points([receptors[r] for r in some], chains)
                density = self._density(points)
                for column, epitope in enumerate(epitopes):
                    if not self._answers(epitope, chains):
                        continue
                    apart = self._apart(points, epitope)
                    raw = self._raw(apart, density)
                    near, which = self._distance(apart, epitope).min(1)
                    found["score"][some, column] = self._calibrated(raw, chains).cpu()
                    found["percentile"][some, column] = self._percentile(raw, epitope, chains)
                    found["distance"][some, column] = near.cpu()
                    nearest[some, column] = self._places[epitope][which.cpu()]
        odds = np.log(self.config["prevalence"] / (1 - self.config["prevalence"]))
        return BindingScores(
            score=found["score"],
            percentile=found["percentile"],
            probability=(1 / (1 + np.exp(-found["score"] - odds))).astype(np.float32),
            nearest=nearest,
            distance=found["distance"],
            known=np.array([self.known(e) for e in epitopes], np.int64),
            notes=(f"probabilities are for 1 binder in {1 / self.config['prevalence']:.0f}",),
        )

    def known(self, epitope: str) -> int:
        """Binders of an epitope, those that were left out of a large set among them."""
        return len(self._places.get(epitope, ())) + int(self.config["left_out"].get(epitope, 0))

    def neighbours(
        self, receptors: Sequence[Receptor], epitope: str, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Known binders by squared distance over the chains that the receptor has."""
        place = np.full((len(receptors), k), -1, np.int64)
        apart = np.full((len(receptors), k), np.nan, np.float32)
        for chains, rows in _views(receptors).items():
            if not self._answers(epitope, chains):
                continue
            for some in (rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS)):
                points = self._points([receptors[r] for r in some], chains)
                distance = self._distance(self._apart(points, epitope), epitope)
                near, which = distance.topk(min(k, distance.shape[1]), largest=False)
                n = near.shape[1]
                apart[some, :n] = near.cpu()
                place[some, :n] = self._places[epitope][which.cpu()]
        return place, apart

    def raw_scores(self, receptors: Sequence[Receptor], epitope: str) -> NDArray[np.float32]:
        """(N,) sums of log ratios before calibration, for training; NaN without a junction."""
        out = np.full(len(receptors), np.nan, np.float32)
        for chains, rows in _views(receptors).items():
            if not self._answers(epitope, chains):
                continue
            for some in (rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS)):
                points = self._points([receptors[r] for r in some], chains)
                raw = self._raw(self._apart(points, epitope), self._density(points))
                out[some] = raw.cpu()
        return out

    def _answers(self, epitope: str, chains: str) -> bool:
        """Whether a binder of the epitope has one of the chains."""
        if epitope not in self._places:
            return False
        return any(len(self._group(epitope)[chain].points) for chain in chains)

    def _points(self, receptors: Sequence[Receptor], chains: str) -> dict[str, Tensor]:
        """(N, D) of each chain."""
        return {c: self.chains[c].space.points(codes_of(receptors, c)) for c in chains}

    def _density(self, points: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """(N,) density of receptors in general, for each chain."""
        return {c: background_density(at, self.chains[c].background) for c, at in points.items()}

    def _apart(self, points: Mapping[str, Tensor], epitope: str) -> dict[str, Tensor]:
        """(N, R) squared distances to the chains of the epitope's binders, for each chain."""
        group = self._group(epitope)
        return {c: squared_distances(at, group[c].points) for c, at in points.items()}

    def _raw(self, apart: Mapping[str, Tensor], density: Mapping[str, Tensor]) -> Tensor:
        """Sum of the chains' log ratios, (N,)."""
        ratios = [
            log_ratio(
                torch.exp(-far).sum(1), far.shape[1], density[c], float(self.config["prior"][c])
            )
            for c, far in apart.items()
        ]
        return torch.stack(ratios).sum(0)

    def _distance(self, apart: Mapping[str, Tensor], epitope: str) -> Tensor:
        """(N, binders) squared distances over the chains of the receptors.

        A chain that a binder lacks is as far away as two chains are on average.
        """
        group, binders = self._group(epitope), len(self._places[epitope])
        total = torch.zeros(len(next(iter(apart.values()))), binders, device=self.device)
        for chain, far in apart.items():
            total += self.chains[chain].apart
            total.index_add_(1, group[chain].binder, far - self.chains[chain].apart)
        return total

    def _group(self, epitope: str) -> dict[str, ChainBinders]:
        """The chains of an epitope's binders, found when first asked for."""
        if epitope not in self._of:
            places = self._places[epitope].to(self.device)
            group = {}
            for name, known in self.chains.items():
                rows = torch.from_numpy(self._rows[name][epitope]).to(self.device)
                local = torch.searchsorted(places, known.binder[rows])
                group[name] = ChainBinders(known.points[rows], local)
            self._of[epitope] = group
        return self._of[epitope]

    def _calibrated(self, raw: Tensor, chains: str) -> Tensor:
        slope, intercept = self.config["calibration"][chains]
        return raw * float(slope) + float(intercept)

    def _percentile(self, raw: Tensor, epitope: str, chains: str) -> Tensor:
        """Share of control receptors that score lower, in percent, (N,) on the CPU."""
        key = (epitope, chains)
        if key not in self._controls:
            self._controls[key] = self.control_scores(epitope, chains).sort().values
        controls = self._controls[key]
        below = torch.searchsorted(controls, raw.contiguous())
        return (100 * below / len(controls)).float().cpu()

    def control_scores(self, epitope: str, chains: str) -> Tensor:
        """(M,) raw scores of the controls by those chains; none is background to itself."""
        total = torch.zeros(len(self.chains["b"].background), device=self.device)
        for name in chains:
            known, own = self.chains[name], self._group(epitope)[name]
            kernel = [
                torch.exp(-squared_distances(some, own.points)).sum(1)
                for some in torch.split(known.background, _ROWS)
            ]
            prior = float(self.config["prior"][name])
            total += log_ratio(torch.cat(kernel), len(own.points), known.density, prior)
        return total


def load_kernel_ratio(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str
) -> KernelRatio:
    """Build the model from its config and tensors.

    Points are stored as int8 with one step for each dimension (``step.a``).

    Raises:
        ModelError: A tensor is missing.
    """
    try:
        chains = {}
        for name in CHAINS:
            step = tensors[f"step.{name}"].float()
            chains[name] = ChainReference(
                ChainSpace(tensors[f"tables.{name}"].float(), tensors[f"typical.{name}"].float()),
                tensors[f"background.{name}"].float() * step,
                tensors[f"density.{name}"].float(),
                tensors[f"points.{name}"].float() * step,
                tensors[f"binder.{name}"].long(),
                float(config["apart"][name]),
            )
    except KeyError as error:
        raise ModelError(f"{where}: the model has no {error}", "install mmtool again") from error
    return KernelRatio(config, chains, unpack(tensors))


def _by_epitope(
    known: ChainReference, places: Mapping[str, Tensor]
) -> dict[str, NDArray[np.int64]]:
    """For each epitope the rows of its binders' chains."""
    of = torch.empty(sum(map(len, places.values())), dtype=torch.long)
    for number, rows in enumerate(places.values()):
        of[rows] = number
    epitope = of[known.binder.cpu()].numpy()
    order = np.argsort(epitope, kind="stable")
    bounds = np.searchsorted(epitope[order], np.arange(len(places) + 1))
    return {e: order[a:b] for e, (a, b) in zip(places, pairwise(bounds), strict=True)}


def _views(receptors: Sequence[Receptor]) -> dict[str, list[int]]:
    """Rows by the chains whose junctions they have: ``ab``, ``a``, ``b``."""
    rows: dict[str, list[int]] = {}
    for row, receptor in enumerate(receptors):
        chains = "".join(c for c in CHAINS if getattr(receptor, f"cdr3_{c}"))
        if chains:
            rows.setdefault(chains, []).append(row)
    return rows
