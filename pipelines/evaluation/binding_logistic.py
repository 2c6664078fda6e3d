"""A logistic regression for each epitope, the plain baseline that ``tcr-bind`` has to beat.

It reads which letter stands in each place of the loops, and how often each pair of neighbouring
letters occurs in the junction; an unknown gene or chain reads as zeros. Binders of other epitopes
and receptors in general are its negatives. The penalty, one for all epitopes, is chosen on
publications that are left out of the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.linear_probe import weighted_logistic
from mmtool.models.tcr.chain_space import CHAINS
from mmtool.models.tcr.motif import counts_of, tokens_of
from mmtool.pipelines.evaluation.binding_measures import measure
from mmtool.pipelines.training.tcr_data import publication
from mmtool.receptors import Binder, Receptor

PENALTIES = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
_FOLDS = 3


@dataclass(frozen=True)
class Logistic:
    """Fitted regressions.

    Attributes:
        weights: (D, E).
        offsets: (E,).
        penalty: That was chosen.
    """

    weights: Tensor
    offsets: Tensor
    penalty: float

    def scores(self, receptors: Sequence[Receptor]) -> NDArray[np.float64]:
        """Log odds (N, E)."""
        found = features(receptors) @ self.weights + self.offsets
        return found.numpy().astype(np.float64)


def fit_logistic(
    binders: Sequence[Binder],
    general: Sequence[Receptor],
    epitopes: Sequence[str],
    seed: int = 0,
) -> Logistic:
    """Fit a regression for each epitope.

    Args:
        binders: Known binders, of other epitopes too.
        general: Receptors that count as binding none of the epitopes.
        epitopes: E names.
        seed: Of the parts that choose the penalty.
    """
    study = {b.receptor: publication(b) for b in binders}
    receptors = [*study, *(r for r in dict.fromkeys(general) if r not in study)]
    pairs = {(b.receptor, b.epitope) for b in binders}
    truth = torch.tensor([[(r, e) in pairs for e in epitopes] for r in receptors])
    inputs = features(receptors)
    draw = np.random.default_rng(seed)
    part = _parts([study.get(r) for r in receptors], draw)
    level = np.zeros(len(PENALTIES))
    for fold in range(_FOLDS):
        held = part == fold
        level += _levels(inputs, truth, held)
    penalty = PENALTIES[int(np.argmax(level))]
    return Logistic(*_fitted(inputs, truth, penalty, None), penalty)


def features(receptors: Sequence[Receptor]) -> Tensor:
    """(N, D): letters in their places, and pairs of letters of the junction, of both chains."""
    return torch.cat([counts_of(tokens_of(receptors, c, (1,)), (1,)) for c in CHAINS], 1)


def _parts(studies: Sequence[str | None], draw: np.random.Generator) -> NDArray[np.int64]:
    """Part of each receptor: publications are dealt out whole, the rest one by one."""
    names = sorted({s for s in studies if s is not None})
    dealt = dict(zip(names, (draw.permutation(len(names)) % _FOLDS).tolist(), strict=True))
    alone = draw.integers(_FOLDS, size=len(studies))
    return np.array(
        [one if s is None else dealt[s] for s, one in zip(studies, alone.tolist(), strict=True)]
    )


def _levels(inputs: Tensor, truth: Tensor, held: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean AUC over epitopes in the part held out, for each of `PENALTIES`."""
    kept, out = torch.from_numpy(~held), torch.from_numpy(held)
    labels = truth[out].numpy()
    columns = np.flatnonzero(labels.any(0) & truth[kept].any(0).numpy())
    if not len(columns):
        return np.zeros(len(PENALTIES))
    fitted: tuple[Tensor, Tensor] | None = None
    found = []
    for penalty in PENALTIES:
        fitted = _fitted(inputs[kept], truth[kept], penalty, fitted)
        scores = (inputs[out] @ fitted[0] + fitted[1]).numpy().astype(np.float64)
        found.append(np.mean([measure(scores[:, c], labels[:, c])["auc"] for c in columns]))
    return np.array(found)


def _fitted(
    inputs: Tensor, truth: Tensor, penalty: float, start: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Weights (D, E) and offsets (E,); both labels of an epitope weigh the same."""
    labels = truth.float()
    counts = labels.sum(0), (1 - labels).sum(0)
    share = (labels / counts[0].clamp(min=1) + (1 - labels) / counts[1].clamp(min=1)) / 2
    return weighted_logistic(inputs, labels, share, penalty, start)
