"""The two stages in which the text generator learns: write first, then look more closely."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmtool.models.report.uar import Uar, UarSize, Written, triplet_loss
from mmtool.models.report.uar_words import OTHER, PAD

_BATCH = 32
_CLIP = 1.0
_SMOOTH = 0.1  # of the labels
_LOST = 0.15  # share of the words read in training that are hidden, so that the image is needed
_TRIPLET, _BASIS, _MASK = 0.5, 0.1, 0.01  # weights of the losses beside cross entropy


@dataclass(frozen=True)
class UarFit:
    """Epochs and rates, fixed before any run.

    Attributes:
        epochs: Of the first and the second stage, at most.
        rates: Peak learning rates of both.
        decay: Of the weights.
        sizes: Features of a word, blocks that images and words share, blocks of the decoder.
        seed: Of weights, draws and order.
    """

    epochs: tuple[int, int] = (22, 5)
    rates: tuple[float, float] = (1e-3, 2e-4)
    decay: float = 0.05
    sizes: tuple[int, int, int] = (128, 2, 3)
    seed: int = 0


@dataclass(frozen=True)
class Pairs:
    """Images with captions.

    Attributes:
        codes: (V, N, P, L) of V views of N images.
        words: (N, T) with start and end, padded behind.
        groups: (N,) numbers; images of one number are no strangers.
    """

    codes: Tensor
    words: Tensor
    groups: Tensor


@dataclass(frozen=True)
class Trained:
    """What training gives.

    Attributes:
        net: In evaluation mode, with the refiner.
        curve: Cross entropy of the cases left out by epoch, of both stages.
        epochs: Of both stages that were kept.
    """

    net: Uar
    curve: tuple[tuple[float, ...], tuple[float, ...]]
    epochs: tuple[int, int]


def train_uar(
    size: UarSize,
    pairs: Pairs,
    held: Pairs,
    fit: UarFit,
    checkpoint: Path,
    *,
    device: torch.device,
    tell: Callable[[str], None],
) -> Trained:
    """Train both stages; of each the epoch that does best on the cases left out is kept.

    Args:
        size: Of the network.
        pairs: To learn from.
        held: To choose on.
        fit: Epochs and rates.
        checkpoint: Written after each epoch; a run with the same settings goes on from it.
        device: Where.
        tell: Progress.
    """
    torch.manual_seed(fit.seed)
    net = Uar(size).to(device)
    run = _Run(net, pairs, held, fit, checkpoint, tell)
    run.resume()
    if not run.curve[1]:
        run.stage(0)
    run.stage(1)
    net.refined = True
    return Trained(net.eval(), (tuple(run.curve[0]), tuple(run.curve[1])), run.best_epochs())


class _Run:
    """A run with what its checkpoint holds."""

    def __init__(
        self, net: Uar, pairs: Pairs, held: Pairs, fit: UarFit, checkpoint: Path,
        tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.net, self.pairs, self.held, self.fit = net, pairs, held, fit
        self.checkpoint, self.tell = checkpoint, tell
        self.curve: list[list[float]] = [[], []]
        self.best = copy.deepcopy(net.state_dict())
        self.settings = {"fit": asdict(fit), "size": asdict(net.size), "n": len(pairs.words)}
        self.optimizer = self._optimizer(0)

    def best_epochs(self) -> tuple[int, int]:
        """Number of the epoch that is kept, of both stages; 0 where a stage has none."""
        first, second = (1 + c.index(min(c)) if c else 0 for c in self.curve)
        return first, second

    def _optimizer(self, stage: int) -> torch.optim.AdamW:
        values = self.net.parameters()
        return torch.optim.AdamW(values, self.fit.rates[stage], weight_decay=self.fit.decay)

    def resume(self) -> None:
        """Go on from the checkpoint, if it is of the same settings."""
        if not self.checkpoint.is_file():
            return
        kept: dict[str, Any] = torch.load(self.checkpoint, weights_only=True)
        if kept["settings"] != self.settings:
            return
        self.curve, self.best = kept["curve"], kept["best"]
        self.net.load_state_dict(kept["net"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.tell(f"goes on after {sum(map(len, self.curve))} epochs")

    def stage(self, stage: int) -> None:
        """One stage from where it stands; then the weights of its best epoch."""
        self.net.refined = stage == 1
        if stage == 1 and not self.curve[1]:
            self.optimizer = self._optimizer(1)
        for epoch in range(len(self.curve[stage]), self.fit.epochs[stage]):
            # Each epoch has draws of its own, so that a run that goes on gives the same.
            torch.manual_seed(self.fit.seed * 10_007 + 1_000 * stage + epoch + 1)
            loss = self._epoch(stage, epoch)
            score = held_loss(self.net, self.held)
            if not self.curve[stage] or score < min(self.curve[stage]):
                self.best = copy.deepcopy(self.net.state_dict())
            self.curve[stage].append(score)
            where = f"stage {stage + 1}, epoch {epoch + 1}"
            self.tell(f"{where}: loss {loss:.3f}, left out {score:.3f}")
            self._save()
        if self.curve[stage]:
            self.net.load_state_dict(self.best)

    def _epoch(self, stage: int, epoch: int) -> float:
        self.net.train()
        batches = list(_batches(self.pairs))
        total = 0.0
        for k, (codes, words, groups) in enumerate(batches):
            done = (epoch + k / len(batches)) / max(1, self.fit.epochs[stage])
            for group in self.optimizer.param_groups:
                group["lr"] = self.fit.rates[stage] * _share(done)
            device = self.net.bias.device
            loss = self._loss(codes.to(device), words.to(device), groups.to(device))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), _CLIP)
            self.optimizer.step()
            total += loss.item()
        return total / len(batches)

    def _loss(self, codes: Tensor, words: Tensor, groups: Tensor) -> Tensor:
        read = words[:, :-1]
        hidden = (torch.rand(read.shape, device=read.device) < _LOST) & (read > OTHER)
        found = self.net(codes, read.masked_fill(hidden, OTHER))
        loss = cross_entropy(found, words[:, 1:], smooth=_SMOOTH)
        loss = loss + _TRIPLET * triplet_loss(found.image, found.text, groups)
        loss = loss + _BASIS * self.net.aligner.penalty()
        return loss + _MASK * self.net.refiner.penalty() if self.net.refined else loss

    def _save(self) -> None:
        half = self.checkpoint.with_suffix(".half")
        state = {
            "settings": self.settings, "curve": self.curve, "best": self.best,
            "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        torch.save(state, half)
        half.replace(self.checkpoint)


def cross_entropy(found: Written, target: Tensor, *, smooth: float = 0.0) -> Tensor:
    """Mean over words that are there; words that are not in the vocabulary are not asked for."""
    asked = target.masked_fill(target == OTHER, PAD)
    return functional.cross_entropy(
        found.logits.flatten(0, 1), asked.flatten(), ignore_index=PAD, label_smoothing=smooth
    )


@torch.inference_mode()
def held_loss(net: Uar, held: Pairs) -> float:
    """Cross entropy of images as they are."""
    net.eval()
    device = net.bias.device
    found = net(held.codes[0].to(device), held.words[:, :-1].to(device))
    return float(cross_entropy(found, held.words[:, 1:].to(device)))


def _batches(pairs: Pairs) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Codes, words and groups in random order, each image in a random view."""
    views, count = pairs.codes.shape[:2]
    for rows in torch.split(torch.randperm(count), _BATCH):
        if len(rows) < 2:
            continue  # alone it has no strangers
        codes = pairs.codes[torch.randint(views, (len(rows),)), rows]
        words = pairs.words[rows]
        longest = int((words != PAD).sum(1).max())
        yield codes, words[:, :longest], pairs.groups[rows]


def _share(done: float) -> float:
    """Share of the peak rate: it rises in the first twentieth and falls by a cosine."""
    return min(1.0, 0.02 + done / 0.05) * (1 + math.cos(math.pi * done)) / 2
