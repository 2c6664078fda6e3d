"""Training of one network, stopped by patients of an inner split."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmtool.models.survival.network.hazard_net import HazardNet
from mmtool.models.survival.network.hazards import balance
from mmtool.models.survival.network.iemf import InverseEffectiveness
from mmtool.models.survival.network.tokens import Part, Parts


@dataclass(frozen=True)
class Recipe:
    """How networks are trained. The values were set before any evaluation fold was looked at.

    Attributes:
        members: Networks whose logits are averaged; each is stopped by another part of the
            training patients.
        folds: Parts of equal size; one of them stops a member, at least as many as members.
        dim: Width inside.
        dropout: Share.
        rate: Of AdamW.
        decay: Weight decay of AdamW.
        epochs: At most, of each round.
        patience: Epochs without a better loss of the inner split before a round ends.
        batch: Patients of a step.
        absent: Share of the modalities that are taken from training patients at random, so that
            those who lack some later are no surprise; never all of a patient's.
        iemf: Whether the fusion's gradient is scaled (:mod:`mmtool.models.survival.network.iemf`).
        device: Of torch.
    """

    members: int = 5
    folds: int = 5
    dim: int = 64
    dropout: float = 0.25
    rate: float = 1e-3
    decay: float = 1e-2
    epochs: int = 30
    patience: int = 6
    batch: int = 64
    absent: float = 0.1
    iemf: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class Examples:
    """Patients to train on or to be stopped by.

    Attributes:
        parts: Modality -> tokens of P patients.
        label: (P,) long, interval.
        event: (P,) bool.
    """

    parts: Parts
    label: Tensor
    event: Tensor

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, where: Tensor) -> Examples:
        """Some of the patients."""
        parts = {name: part.rows(where) for name, part in self.parts.items()}
        return Examples(parts, self.label[where], self.event[where])

    def to(self, device: str) -> Examples:
        """On another device."""
        parts = {name: part.to(device) for name, part in self.parts.items()}
        return Examples(parts, self.label.to(device), self.event.to(device))


def train_network(
    make: Callable[[], HazardNet], train: Examples, inner: Examples, recipe: Recipe, seed: int
) -> HazardNet:
    """Train on ``train``; keep the weights of the epoch at which ``inner`` fared best.

    Classes (interval x event) are drawn evenly, as published, and the loss that stops is weighted
    so too.

    Args:
        make: Builds the network; called with the seed set.
        train: Patients to learn from.
        inner: Patients of the training fold who are kept back. There is no fit to all after it.
        recipe: Settings.
        seed: Of weights, batches and dropout.
    """
    train, inner = train.to(recipe.device), inner.to(recipe.device)
    with torch.random.fork_rng(devices=_cuda(recipe.device)):
        torch.manual_seed(seed)
        network = make().to(recipe.device)
        for stage in network.stages:
            network.begin(stage)
            _round(network, train, inner, recipe)
        network.eval().finish(inner.parts, inner.label, inner.event)
    return network


def _cuda(device: str) -> list[torch.device]:
    return [torch.device(device)] if device.startswith("cuda") else []


def _round(network: HazardNet, train: Examples, inner: Examples, recipe: Recipe) -> None:
    rule = _rule(network, train, recipe)
    parameters = [*network.parameters(), *(rule.parameters() if rule else ())]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.rate, weight_decay=recipe.decay, fused=True)
    weights, inner_weights = balance(train.label, train.event), balance(inner.label, inner.event)
    best, kept, since = _loss(network, inner, inner_weights), deepcopy(network.state_dict()), 0
    for _ in range(recipe.epochs):
        _epoch(network, rule, optimiser, train, weights, recipe)
        loss = _loss(network, inner, inner_weights)
        if loss < best:
            best, kept, since = loss, deepcopy(network.state_dict()), 0
        else:
            since += 1
        if since >= recipe.patience:
            break
    network.load_state_dict(kept)


def _rule(network: HazardNet, train: Examples, recipe: Recipe) -> InverseEffectiveness | None:
    if not recipe.iemf:
        return None
    with torch.no_grad():
        fused = network.eval()(train.rows(torch.arange(2, device=recipe.device)).parts)
    return InverseEffectiveness(network, fused).to(recipe.device)


def _epoch(
    network: HazardNet,
    rule: InverseEffectiveness | None,
    optimiser: torch.optim.Optimizer,
    train: Examples,
    weights: Tensor,
    recipe: Recipe,
) -> None:
    network.train()
    drawn = torch.multinomial(weights, len(train), replacement=True)
    for where in torch.split(drawn, recipe.batch):
        batch = train.rows(where)
        fused = network(take_away(batch.parts, recipe.absent))
        loss = network.loss(fused, batch.label, batch.event).mean()
        if rule is not None:
            loss = loss + rule.loss(fused, batch.label, batch.event).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if rule is not None:
            rule.after_backward(network)
        optimiser.step()


@torch.no_grad()
def _loss(network: HazardNet, patients: Examples, weights: Tensor) -> float:
    network.eval()
    own = network.loss(network(patients.parts), patients.label, patients.event)
    return float((own * weights).mean())


def take_away(parts: Parts, share: float) -> Parts:
    """Take modalities away at random; who would be left with none keeps all."""
    if share <= 0 or len(parts) < 2:
        return parts
    there = torch.stack([part.present for part in parts.values()], dim=1)
    gone = torch.rand(there.shape, device=there.device) < share
    gone &= (there & ~gone).any(dim=1, keepdim=True)
    return {name: part.without(gone[:, m]) for m, (name, part) in enumerate(parts.items())}


@torch.no_grad()
def logits_of(network: HazardNet, parts: Parts, device: str, batch: int = 256) -> np.ndarray:
    """(P, K) logits of all patients, in batches."""
    count = len(next(iter(parts.values())).mask)
    out = []
    for where in torch.split(torch.arange(count), batch):
        chosen: dict[str, Part] = {n: part.rows(where).to(device) for n, part in parts.items()}
        out.append(network(chosen).logits.cpu().double().numpy())
    return np.concatenate(out) if out else np.zeros((0, network.bins))
