"""Motifs of the default binding model: a logistic regression for each epitope and chain.

Their weight and penalty are chosen on held-out studies, as the settings of the densities are.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmtool.models.linear_probe import weighted_logistic
from mmtool.models.tcr.chain_space import CHAINS
from mmtool.models.tcr.motif import Motifs, counts_of, summed, tokens_of
from mmtool.pipelines.training.tcr_data import thinned
from mmtool.receptors import Binder, Receptor

log = logging.getLogger(__name__)

_NEGATIVES = 2500  # receptors in general that count as binding nothing
_OTHERS = 20  # binders of an epitope without a motif, as negatives of the others
_TOGETHER = 16  # epitopes whose regressions are fitted at once


@dataclass(frozen=True)
class MotifSettings:
    """How motifs are fitted, and how much they count.

    Attributes:
        weight: Of their log odds beside the log ratios of densities; 0 for a model without them.
        penalty: On squared coefficients.
    """

    weight: float
    penalty: float


@dataclass(frozen=True)
class MotifSize:
    """How many there are.

    Attributes:
        least: Binders with the chain that an epitope needs.
        most: Binders of an epitope, paired and unpaired each.
        rank: Axes that the epitopes share.
    """

    least: int = 20
    most: int = 400
    rank: int = 96


@dataclass(frozen=True)
class Regressions:
    """One for each of E epitopes, all of one chain.

    Attributes:
        weights: (tokens, E).
        offsets: (E,).
        counts: (N, tokens) of the receptors they were fitted to.
        epitopes: E names.
    """

    weights: Tensor
    offsets: Tensor
    counts: Tensor
    epitopes: tuple[str, ...]

    def odds(self, receptors: Sequence[Receptor], chain: str) -> Tensor:
        """(N, E) log odds."""
        return summed(tokens_of(receptors, chain), self.weights) + self.offsets


def fit_motifs(
    known: Sequence[Binder],
    general: Sequence[Receptor],
    settings: MotifSettings,
    size: MotifSize,
    seed: int,
) -> dict[str, Motifs]:
    """Motifs of both chains.

    Args:
        known: Binders.
        general: The model's control receptors; some of them are negatives.
        settings: How.
        size: How many.
        seed: Of the draws.
    """
    out = {}
    for chain in CHAINS:
        found = regressions(known, general, chain, settings.penalty, size, seed)
        out[chain] = _shared(found, general, chain, size.rank)
    return out


def regressions(
    known: Sequence[Binder],
    general: Sequence[Receptor],
    chain: str,
    penalty: float,
    size: MotifSize,
    seed: int,
    only: frozenset[str] | None = None,
) -> Regressions:
    """Fit one for each epitope that has enough binders with the chain.

    Binders weigh half; of the other half, binders of other epitopes and receptors in general
    weigh the same.

    Args:
        known: Binders.
        general: Control receptors.
        chain: ``a`` or ``b``.
        penalty: On squared coefficients.
        size: How many.
        seed: Of the draws.
        only: Epitopes; all when None.
    """
    held = [b for b in known if getattr(b.receptor, f"cdr3_{chain}")]
    count = Counter(b.epitope for b in held)
    epitopes = sorted(
        e for e, n in count.items() if n >= size.least and (only is None or e in only)
    )
    column = {e: i for i, e in enumerate(epitopes)}
    own = thinned([b for b in held if b.epitope in column], size.most, seed)
    others = thinned([b for b in held if b.epitope not in column], _OTHERS, seed)
    receptors = list(
        dict.fromkeys([b.receptor for b in (*own, *others)] + list(general[:_NEGATIVES]))
    )
    row = {r: i for i, r in enumerate(receptors)}
    truth = torch.zeros(len(receptors), len(epitopes))
    for binder in own:
        truth[row[binder.receptor], column[binder.epitope]] = 1
    counts = counts_of(tokens_of(receptors, chain))
    binders = {b.receptor for b in held}
    plain = torch.tensor([r not in binders for r in receptors])
    parts = [
        _fitted(counts, truth[:, begin : begin + _TOGETHER], plain, penalty)
        for begin in range(0, len(epitopes), _TOGETHER)
    ]
    none = torch.zeros(counts.shape[1], 0), torch.zeros(0)
    return Regressions(
        torch.cat([none[0], *(p[0] for p in parts)], 1),
        torch.cat([none[1], *(p[1] for p in parts)]),
        counts,
        tuple(epitopes),
    )


def _fitted(counts: Tensor, truth: Tensor, plain: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights (tokens, E) and offsets (E,); ``plain`` (N,) is whether a row is no binder at all."""
    share = torch.zeros_like(truth)
    others = (1 - truth) * ~plain[:, None]
    for kind, weight in ((truth, 0.5), (others, 0.25), (plain[:, None].float(), 0.25)):
        share += weight * kind / kind.sum(0).clamp(min=1)
    return weighted_logistic(counts, truth, share, penalty)


def _shared(found: Regressions, general: Sequence[Receptor], chain: str, rank: int) -> Motifs:
    """The same on few axes: those along which the odds of the receptors differ most."""
    odds = found.counts @ found.weights
    axes = torch.linalg.eigh((odds.T @ odds).double())[1].flip(1)[:, :rank].float()
    tables = found.weights @ axes
    return Motifs(
        tables,
        axes.T.contiguous(),
        found.offsets,
        summed(tokens_of(general, chain), tables),
        {e: i for i, e in enumerate(found.epitopes)},
    )
