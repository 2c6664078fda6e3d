"""Inverse effectiveness as a rule of training (IEMF, arXiv 2505.10176).

Where the modalities alone say little of the outcome, the layer that fuses them learns faster: its
gradient is multiplied by k = c (1 + tanh(1 - r)), r the mean likelihood that heads on the
modalities' own embeddings give the batch, over the likelihood that the fused head gives it. The
source's true-class probability becomes exp(-NLL) of each patient, summed over the batch.

Works with networks that give embeddings of their modalities (`Fused.parts`) and have a `head`.
The heads on the embeddings serve training alone and are dropped after it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mmtool.errors import UsageError
from mmtool.models.survival.network.hazard_net import Fused, HazardNet
from mmtool.models.survival.network.hazards import nll
from mmtool.models.survival.network.layers import ByName

COEFFICIENT = 1.0


class InverseEffectiveness(nn.Module):
    """Heads on the embeddings, and the rule.

    Args:
        network: That is trained.
        fused: Of any batch, for the names and widths of the embeddings.

    Raises:
        UsageError: The network has no embeddings of its modalities, or no one head.
    """

    def __init__(self, network: HazardNet, fused: Fused) -> None:
        super().__init__()
        if not fused.parts or not hasattr(network, "head"):
            raise UsageError(
                "this network has no parts that could be judged alone",
                "IEMF goes with concat, itcfn, mcat, motcat and cmta",
            )
        self.heads = ByName(
            {n: nn.Linear(z.shape[1], network.bins) for n, z in fused.parts.items()}
        )
        self._factor = 1.0

    def loss(self, fused: Fused, label: Tensor, event: Tensor) -> Tensor:
        """(B,) sum of the losses of the heads; keeps the factor for :meth:`after_backward`."""
        own = torch.stack([nll(self.heads[n](z), label, event) for n, z in fused.parts.items()])
        with torch.no_grad():
            alone = torch.exp(-own).sum(dim=1).mean()
            together = torch.exp(-nll(fused.logits, label, event)).sum()
            self._factor = factor(float(alone), float(together))
        return own.sum(dim=0)

    def after_backward(self, network: HazardNet) -> None:
        """Multiply the gradient of the fused head."""
        for parameter in network.head.parameters():
            if parameter.grad is not None:
                parameter.grad *= self._factor


def factor(alone: float, together: float) -> float:
    """k of the summed likelihoods of the modalities alone and of their fusion."""
    return COEFFICIENT * (1 + math.tanh(1 - alone / max(together, 1e-12)))
