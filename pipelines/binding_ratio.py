"""The default model of ``mmtool tcr-bind``: how much denser are known binders around a receptor
than receptors in general, chain by chain, and what letters set them apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    background_density,
    log_ratio,
    squared_distances,
)
from mmtool.models.tcr.germline import v_loops
from mmtool.models.tcr.motif import Motifs
from mmtool.models.tcr.reference import unpack
from mmtool.pipelines.binding_model import BindingModel
from mmtool.receptors import Binder, BindingScores, Receptor

NETWORK = "kernel_ratio"
_ROWS = 2048  # receptors that are compared at a time
_BINDERS = 6000  # known binders of several epitopes that are compared at a time


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


@dataclass(frozen=True)
class _Known:
    """Known binders of E epitopes, B in all, side by side.

    Attributes:
        places: (B,) long, index of each in the model's binders; those of an epitope lie together.
        bounds: E + 1 places where the binders of each epitope begin.
        points: Chain -> (R, D).
        epitope: Chain -> (R,) long, below E.
        binder: Chain -> (R,) long, below B.
        count: Chain -> (E,) how many of the epitope's binders have it.
        heads: Chain -> (R, E) and (E,) of its motifs.
        told: Chain -> (E,) whether the epitope has a motif.
    """

    places: Tensor
    bounds: tuple[int, ...]
    points: dict[str, Tensor]
    epitope: dict[str, Tensor]
    binder: dict[str, Tensor]
    count: dict[str, Tensor]
    heads: dict[str, tuple[Tensor, Tensor]]
    told: dict[str, Tensor]


@dataclass(frozen=True)
class _Seen:
    """N receptors by the chains they have.

    Attributes:
        points: Chain -> (N, D).
        density: Chain -> (N,) of receptors in general.
        motifs: Chain -> (N, R) on the axes of the motifs; empty if these don't count.
    """

    points: dict[str, Tensor]
    density: dict[str, Tensor]
    motifs: dict[str, Tensor]


@dataclass
class KernelRatio:
    """Log ratio of two kernel densities for each chain, added up and calibrated.

    Where an epitope has many binders, the log odds of its motifs are added, with a weight, to
    receptors whose V genes are known; motifs were learned with them. A receptor with one chain is
    scored by that one. The rows don't know of each other: the
    density of receptors in general comes from the model's own controls.

    Attributes:
        config: ``prior`` (chain -> see `log_ratio`), ``calibration`` (chains -> slope and
            intercept), ``calibration_with_motif`` likewise, ``motif_weight``, ``prevalence``,
            ``few``, ``unseen_skill``, ``left_out`` (epitope -> known binders that the model does
            not hold).
        chains: ``a`` and ``b``.
        binders: Known binders; where a source does not allow to pass a sequence on, the receptor
            is empty and only its point is in the model.
        motifs: ``a`` and ``b``; or none.
    """

    config: Mapping[str, Any]
    chains: Mapping[str, ChainReference]
    binders: Sequence[Binder]
    purpose: str = "human alpha-beta T-cell receptors"
    motifs: Mapping[str, Motifs] = field(default_factory=dict)
    _known: dict[tuple[str, ...], _Known] = field(default_factory=dict, repr=False)
    _places: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _rows: dict[str, dict[str, NDArray[np.int64]]] = field(default_factory=dict, repr=False)
    _controls: dict[tuple[tuple[str, ...], str, bool], Tensor] = field(
        default_factory=dict, repr=False
    )

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
        return KernelRatio(self.config, chains, [*self.binders, *extra], self.purpose, self.motifs)

    def score(self, receptors: Sequence[Receptor], epitopes: Sequence[str]) -> BindingScores:
        """Calibrated log ratio, percentile among controls, probability, nearest binder."""
        shape = (len(receptors), len(epitopes))
        found = {n: np.full(shape, np.nan, np.float32) for n in ("score", "percentile", "distance")}
        nearest = np.full(shape, -1, np.int64)
        for chains, genes, some in _alike(receptors):
            seen = self._seen([receptors[r] for r in some], chains, genes=genes)
            for columns in self._batches(epitopes, chains):
                batch = tuple(epitopes[c] for c in columns)
                known = self._side_by_side(batch)
                apart = self._apart(seen, known)
                raw = self._raw(apart, known, seen)
                near, which = self._nearest(apart, known)
                at = np.ix_(some, columns)
                found["score"][at] = self._calibrated(raw, known, seen).cpu()
                found["percentile"][at] = self._percentile(raw, batch, seen)
                found["distance"][at] = near.cpu()
                nearest[at] = known.places[which].cpu()
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
        distance = np.full((len(receptors), k), np.nan, np.float32)
        for chains, genes, some in _alike(receptors):
            if not self._answers(epitope, chains):
                continue
            known = self._side_by_side((epitope,))
            seen = self._seen([receptors[r] for r in some], chains, genes=genes)
            whole = self._distance(self._apart(seen, known), known)
            near, which = whole.topk(min(k, whole.shape[1]), largest=False)
            n = near.shape[1]
            distance[some, :n] = near.cpu()
            place[some, :n] = known.places[which].cpu()
        return place, distance

    def raw_scores(self, receptors: Sequence[Receptor], epitope: str) -> NDArray[np.float32]:
        """(N,) sums of log ratios before calibration, for training; NaN without a junction."""
        out = np.full(len(receptors), np.nan, np.float32)
        for chains, genes, some in _alike(receptors):
            if not self._answers(epitope, chains):
                continue
            known = self._side_by_side((epitope,))
            seen = self._seen([receptors[r] for r in some], chains, genes=genes)
            raw = self._raw(self._apart(seen, known), known, seen)
            out[some] = raw[:, 0].cpu()
        return out

    def _answers(self, epitope: str, chains: str) -> bool:
        """Whether a binder of the epitope has one of the chains."""
        return any(len(self._rows[chain].get(epitope, ())) for chain in chains)

    def _batches(self, epitopes: Sequence[str], chains: str) -> Iterator[list[int]]:
        """Columns of the epitopes that have an answer, so many as may be compared together."""
        batch: list[int] = []
        held = 0
        for column, epitope in enumerate(epitopes):
            if not self._answers(epitope, chains):
                continue
            size = len(self._places[epitope])
            if batch and held + size > _BINDERS:
                yield batch
                batch, held = [], 0
            batch.append(column)
            held += size
        if batch:
            yield batch

    def _seen(self, receptors: Sequence[Receptor], chains: str, *, genes: bool) -> _Seen:
        points = {c: self.chains[c].space.points(codes_of(receptors, c)) for c in chains}
        return _Seen(
            points,
            {c: background_density(at, self.chains[c].background) for c, at in points.items()},
            {c: m.points(receptors, c) for c, m in self.motifs.items() if genes and c in chains},
        )

    def _apart(self, seen: _Seen, known: _Known) -> dict[str, Tensor]:
        """(N, R) squared distances to the binders' chains, for each chain."""
        return {c: squared_distances(at, known.points[c]) for c, at in seen.points.items()}

    def _raw(self, apart: Mapping[str, Tensor], known: _Known, seen: _Seen) -> Tensor:
        """Sum of the chains' log ratios and log odds, (N, E)."""
        total = torch.stack(
            [self._ratio(c, far, known, seen.density[c]) for c, far in apart.items()]
        ).sum(0)
        for chain, at in seen.motifs.items():
            heads, offsets = known.heads[chain]
            total += float(self.config["motif_weight"]) * (at @ heads + offsets)
        return total

    def _ratio(self, chain: str, apart: Tensor, known: _Known, density: Tensor) -> Tensor:
        """Log ratios of one chain, (N, E)."""
        total = torch.zeros(len(apart), len(known.bounds) - 1, device=self.device)
        total.index_add_(1, known.epitope[chain], torch.exp(-apart))
        prior = float(self.config["prior"][chain])
        return log_ratio(total, known.count[chain], density[:, None], prior)

    def _distance(self, apart: Mapping[str, Tensor], known: _Known) -> Tensor:
        """(N, B) squared distances over the chains of the receptors.

        A chain that a binder lacks is as far away as two chains are on average.
        """
        total = torch.zeros(len(next(iter(apart.values()))), len(known.places), device=self.device)
        for chain, far in apart.items():
            total += self.chains[chain].apart
            total.index_add_(1, known.binder[chain], far - self.chains[chain].apart)
        return total

    def _nearest(self, apart: Mapping[str, Tensor], known: _Known) -> tuple[Tensor, Tensor]:
        """Distance (N, E) to the nearest binder of each epitope, and which of the B it is."""
        total = self._distance(apart, known)
        found = [total[:, a:b].min(1) for a, b in pairwise(known.bounds)]
        begins = torch.tensor(known.bounds[:-1], device=self.device)
        return (
            torch.stack([f.values for f in found], 1),
            torch.stack([f.indices for f in found], 1) + begins,
        )

    def _side_by_side(self, epitopes: tuple[str, ...]) -> _Known:
        """The binders of some epitopes, found when first asked for."""
        if epitopes not in self._known:
            places = torch.cat([self._places[e] for e in epitopes]).to(self.device)
            at = torch.full((len(self.binders),), -1, device=self.device)
            at[places] = torch.arange(len(places), device=self.device)
            sizes = [len(self._places[e]) for e in epitopes]
            points, columns, binders, count = {}, {}, {}, {}
            for name, chain in self.chains.items():
                rows = [self._rows[name][e] for e in epitopes]
                every = torch.from_numpy(np.concatenate(rows)).to(self.device)
                number = torch.tensor([len(r) for r in rows], device=self.device)
                points[name], binders[name] = chain.points[every], at[chain.binder[every]]
                columns[name] = torch.repeat_interleave(
                    torch.arange(len(epitopes), device=self.device), number
                )
                count[name] = number.float()
            bounds = (0, *np.cumsum(sizes).tolist())
            heads = {c: motifs.chosen(epitopes) for c, motifs in self.motifs.items()}
            told = {
                c: torch.tensor([e in motifs.epitopes for e in epitopes], device=self.device)
                for c, motifs in self.motifs.items()
            }
            self._known[epitopes] = _Known(
                places, bounds, points, columns, binders, count, heads, told
            )
        return self._known[epitopes]

    def _calibrated(self, raw: Tensor, known: _Known, seen: _Seen) -> Tensor:
        chains = "".join(seen.points)
        slope, intercept = self.config["calibration"][chains]
        plain = raw * float(slope) + float(intercept)
        if not seen.motifs:
            return plain
        told = torch.stack([known.told[c] for c in seen.motifs]).any(0)
        slope, intercept = self.config["calibration_with_motif"][chains]
        return torch.where(told, raw * float(slope) + float(intercept), plain)

    def _percentile(self, raw: Tensor, epitopes: tuple[str, ...], seen: _Seen) -> Tensor:
        """Share of control receptors that score lower, in percent, (N, E) on the CPU."""
        key = (epitopes, "".join(seen.points), bool(seen.motifs))
        if key not in self._controls:
            scores = self.control_scores(*key)
            self._controls[key] = scores.T.contiguous().sort(1).values
        controls = self._controls[key]
        below = torch.searchsorted(controls, raw.T.contiguous()).T
        return (100 * below / controls.shape[1]).float().cpu()

    def control_scores(self, epitopes: tuple[str, ...], chains: str, motifs: bool) -> Tensor:
        """(M, E) raw scores of the controls by those chains; none is background to itself."""
        known, parts = self._side_by_side(epitopes), []
        for begin in range(0, len(self.chains["b"].background), _ROWS):
            some = slice(begin, begin + _ROWS)
            seen = _Seen(
                {c: self.chains[c].background[some] for c in chains},
                {c: self.chains[c].density[some] for c in chains},
                {c: m.controls[some] for c, m in self.motifs.items() if motifs and c in chains},
            )
            parts.append(self._raw(self._apart(seen, known), known, seen))
        return torch.cat(parts)


def load_kernel_ratio(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str
) -> KernelRatio:
    """Build the model from its config and tensors.

    Points are stored as int8 with one step for each dimension (``step.a``); motifs, if there are
    any, as float16, and their epitopes in ``motifs`` of the config.

    Raises:
        ModelError: A tensor is missing.
    """
    chains, motifs = {}, {}
    try:
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
            if name in config.get("motifs", ()):
                motifs[name] = Motifs(
                    tensors[f"motif_axes.{name}"].float(),
                    tensors[f"motif_heads.{name}"].float(),
                    tensors[f"motif_offsets.{name}"].float(),
                    tensors[f"motif_controls.{name}"].float(),
                    {epitope: i for i, epitope in enumerate(config["motifs"][name])},
                )
    except KeyError as error:
        raise ModelError(f"{where}: the model has no {error}", "install mmtool again") from error
    return KernelRatio(config, chains, unpack(tensors), motifs=motifs)


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


def _alike(receptors: Sequence[Receptor]) -> Iterator[tuple[str, bool, list[int]]]:
    """Chains whose junctions are known (``ab``, ``a``, ``b``), whether their V genes are, and at
    most `_ROWS` such rows.
    """
    rows: dict[tuple[str, bool], list[int]] = {}
    for row, receptor in enumerate(receptors):
        chains = "".join(c for c in CHAINS if getattr(receptor, f"cdr3_{c}"))
        if chains:
            genes = [getattr(receptor, f"v_{c}") for c in chains]
            known = all(gene and v_loops(gene) for gene in genes)
            rows.setdefault((chains, known), []).append(row)
    for (chains, known), every in rows.items():
        for begin in range(0, len(every), _ROWS):
            yield chains, known, every[begin : begin + _ROWS]
