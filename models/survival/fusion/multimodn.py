"""Modalities one after another into one state (MultiModN, Swamy et al., arXiv 2309.14118).

A state s0 (D) is learned; the encoder of modality m makes s_m = MLP([x_m, s_(m-1)]); one decoder
reads the hazards from every state. The loss is the mean over the states. Who lacks a modality
keeps the state, to the bit.

The released code skips a whole batch when one of its patients lacks a modality; here each patient
is skipped alone. The exact skip does not by itself keep absence from teaching anything: an encoder
that sees survivors alone learns to tell of survival. So in the loss of a step those who have the
modality are weighted to stand for all of their class (:func:`as_if_present`), and of what a step
changes in the logits its mean over held-back patients is taken away: a modality tells how a
patient differs from others who have it, and to have it tells nothing. The penalty on changes of
the state, 0 in the published runs on what is missing not at random, is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtool.models.survival.fusion.concat import flat
from mmtool.models.survival.network.hazard_net import Fused, HazardNet, Layout, present
from mmtool.models.survival.network.hazards import as_if_present, nll
from mmtool.models.survival.network.layers import ByName
from mmtool.models.survival.network.tokens import Parts

HIDDEN = 32


class Network(HazardNet):
    """A state, an encoder a modality, one decoder; ``centre`` is (M, K)."""

    centre: Tensor

    def __init__(self, layout: Layout, bins: int, dim: int, dropout: float) -> None:
        super().__init__(layout, bins)
        self.start = nn.Parameter(torch.randn(dim))
        self.dropout = nn.Dropout(min(dropout, 0.2))
        self.encode = ByName({s.name: _mlp(s.numbers + dim, dim) for s in layout})
        self.body = _mlp(dim, HIDDEN)
        self.head = nn.Linear(HIDDEN, bins)
        self.register_buffer("centre", torch.zeros(len(layout), bins))

    def forward(self, parts: Parts) -> Fused:
        """See :class:`HazardNet`; of the trace, ``states`` (B, M + 1, D), ``steps`` (B, M + 1, K).

        The steps are the logits after each modality in the order of the layout, the first of
        nothing at all.
        """
        there = present(parts, self.layout)
        state = self.start.expand(len(there), -1)
        states = [state]
        for m, shape in enumerate(self.layout):
            given = torch.cat([self.dropout(flat(parts[shape.name], shape)), state], dim=1)
            state = torch.where(there[:, m : m + 1], self.encode[shape.name](given), state)
            states.append(state)
        stacked = torch.stack(states, dim=1)
        steps = self.head(self.body(stacked))
        trace = {"states": stacked, "steps": steps, "present": there}
        shift = (there[..., None] * self.centre).sum(dim=1)
        return Fused(steps[:, -1] - shift, trace=trace)

    @torch.no_grad()
    def finish(self, parts: Parts, label: Tensor, event: Tensor) -> None:
        """Take from every step its mean over patients who did not train it."""
        trace = self(parts).trace
        weight = as_if_present(label, event, trace["present"])[..., None]
        change = trace["steps"].diff(dim=1)
        self.centre = (change * weight).sum(dim=0) / weight.sum(dim=0).clamp(min=1e-6)

    def loss(self, fused: Fused, label: Tensor, event: Tensor) -> Tensor:
        """(B,) mean over the states, each patient that went through one standing for its class."""
        steps, there = fused.trace["steps"], fused.trace["present"]
        taken = torch.cat([torch.ones_like(there[:, :1]), there], dim=1)
        own = torch.stack([nll(steps[:, m], label, event) for m in range(steps.shape[1])], dim=1)
        return (own * as_if_present(label, event, taken)).mean(dim=1)


def _mlp(inside: int, outside: int) -> nn.Sequential:
    """Two hidden layers, ReLU after every layer."""
    layers: list[nn.Module] = []
    for a, b in ((inside, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, outside)):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers)
