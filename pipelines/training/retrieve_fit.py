"""Training of a joint encoder's towers: the losses of MGCA with FLAIR's soft targets, and labels.

Of an image and its text: instance, token and prototype loss (doi 10.48550/arXiv.2210.06044), texts
of the same caption and images of the same case sharing the target (doi
10.1016/j.media.2024.103357). Of an image and a description of modality, plane and region: the same,
all images with these labels sharing it. Of two texts of a case: the same. Of an image's vector: its
labels. What is kept is the mean of the weights over the last steps.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmtool.models.encoders.joint import Towers
from mmtool.models.encoders.joint_input import DEPTH
from mmtool.models.losses.prototype_alignment import PrototypeAlignment
from mmtool.models.losses.soft_alignment import soft_alignment
from mmtool.models.losses.token_alignment import token_alignment
from mmtool.pipelines.training.checkpoints import resume, save
from mmtool.pipelines.training.retrieve_data import LABELS, Shown, label_codes, numbered
from mmtool.pipelines.training.retrieve_draws import (
    batches,
    caption_text,
    changed,
    description,
    rate,
    turnable,
)

Tell = Callable[[str], None]
_DESCRIBED = ("type", "sequence", "plane", "region")


@dataclass(frozen=True)
class FitOptions:
    """How the joint encoder is trained.

    Attributes:
        epochs, batch, rate, decay: Of AdamW.
        average: Share of the averaged weights that a step keeps.
        pairs: Pairs of texts of a step.
        token, prototype, describe, case, text, label: Weights of the losses beside the instance
            loss.
        seed: Of all that is drawn.
    """

    epochs: int = 100
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.05
    average: float = 0.99
    pairs: int = 32
    token: float = 0.1
    prototype: float = 0.5
    describe: float = 1.0
    case: float = 0.5
    text: float = 0.3
    label: float = 1.0
    seed: int = 0


class _Fit(nn.Module):
    """The network with what only its training needs."""

    def __init__(self, net: Towers, classes: Sequence[int]) -> None:
        super().__init__()
        dim = net.pictures.size.dim
        self.net = net
        self.prototypes = PrototypeAlignment(dim)
        self.heads = nn.ModuleList(nn.Linear(dim, max(1, count)) for count in classes)


@dataclass(frozen=True)
class _Data:
    images: Sequence[Shown]
    grey: NDArray[np.uint8]
    codes: Tensor
    may_turn: Tensor
    caption: Tensor
    case: Tensor
    pairs: Sequence[tuple[str, str]]


def train_joint(
    net: Towers,
    images: Sequence[Shown],
    grey: NDArray[np.uint8],
    pairs: Sequence[tuple[str, str]],
    options: FitOptions,
    *,
    device: torch.device | None = None,
    checkpoint: Path | None = None,
    tell: Tell = lambda line: None,
) -> tuple[Towers, float]:
    """Train towers.

    Args:
        net: Where training starts.
        images: With their labels.
        grey: (N, edge, edge) uint8: the images.
        pairs: Texts that mean the same.
        options: See there.
        device: Where to compute; the CPU if None.
        checkpoint: File that is written after each epoch, and that a stopped run goes on from.
        tell: Called with a line after each epoch.

    Returns:
        The averaged towers in evaluation mode, and seconds in all.
    """
    device = device or torch.device("cpu")
    torch.manual_seed(options.seed)
    codes, names = label_codes(images)
    captions = torch.tensor(numbered(i.caption or i.case for i in images))
    cases = torch.tensor(numbered(i.case for i in images))
    data = _Data(images, grey, codes, turnable(images), captions, cases, pairs)
    fit = _Fit(net, [len(names[label]) for label in LABELS]).to(device)
    mean = copy.deepcopy(fit)
    optimiser = torch.optim.AdamW(fit.parameters(), lr=options.rate, weight_decay=options.decay)
    steps = options.epochs * sum(1 for _ in batches(images, options.batch, _draw(options, 0)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: rate(s, steps))
    parts: dict[str, Any] = {"fit": fit, "mean": mean, "optimiser": optimiser, "schedule": schedule}
    done, spent = resume(checkpoint, parts, asdict(options))
    for epoch in range(done, options.epochs):
        begun = time.monotonic()
        losses = _epoch(fit, mean, data, options, epoch, optimiser, schedule)
        spent += time.monotonic() - begun
        told = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
        tell(f"epoch {epoch + 1} of {options.epochs}: {told}, {spent:.0f} s")
        save(checkpoint, parts, asdict(options), epoch + 1, spent)
    return mean.net.eval(), spent


def _draw(options: FitOptions, epoch: int) -> np.random.Generator:
    return np.random.default_rng((options.seed, epoch))


def _epoch(
    fit: _Fit,
    mean: _Fit,
    data: _Data,
    options: FitOptions,
    epoch: int,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> dict[str, float]:
    """One pass; mean losses by name."""
    fit.train()
    draw = _draw(options, epoch)
    torch.manual_seed(options.seed * 1000 + epoch)
    noise = torch.Generator().manual_seed(options.seed * 1000 + epoch)
    total: dict[str, float] = {}
    count = 0
    for rows in batches(data.images, options.batch, draw):
        losses = _losses(fit, data, rows, options, draw, noise)
        if epoch == 0:
            losses.pop("prototype")  # prototypes stay as they were drawn for one epoch
        loss = torch.stack([_weight(options, name) * v for name, v in losses.items()]).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(fit.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            fit.net.scale.clamp_(0, 4.6052)
        count += 1
        _averaged(mean, fit, min(options.average, epoch / (epoch + 1)) if epoch else 0.0)
        for name, value in losses.items():
            total[name] = total.get(name, 0.0) + float(value.detach())
    return {name: value / count for name, value in total.items()}


def _weight(options: FitOptions, name: str) -> float:
    return float(getattr(options, name, 1.0))


def _losses(
    fit: _Fit,
    data: _Data,
    rows: NDArray[np.int64],
    options: FitOptions,
    draw: np.random.Generator,
    noise: torch.Generator,
) -> dict[str, Tensor]:
    """Losses of one step by name."""
    device = fit.net.scale.device
    grey = torch.from_numpy(data.grey[rows]).float() / 255
    seen_as = changed(grey, data.may_turn[rows], noise).to(device)
    shown = [data.images[k] for k in rows]
    texts = [caption_text(i, draw) for i in shown] + [description(i, draw) for i in shown]
    for k in draw.integers(len(data.pairs), size=options.pairs) if data.pairs else ():
        texts += data.pairs[k]
    numbers, groups = fit.net.words.tokens(texts)
    # on most CPUs bfloat16 is slower than float32, on some ten times
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        seen = fit.net.pictures.see(seen_as[:, None].expand(-1, DEPTH, -1, -1))
        vectors = fit.net.pictures.vector(seen.pooled)
        read = fit.net.words(numbers.to(device), groups.to(device))
    scale, count = fit.net.scale.exp(), len(rows)
    captions, described = read.vectors[:count], read.vectors[count : 2 * count]
    codes = data.codes[rows].to(device)
    same_caption = _equal(data.caption[rows]).to(device)
    same_case = _equal(data.case[rows]).to(device)
    same_kind = _equal(codes[:, [LABELS.index(k) for k in _DESCRIBED]])
    losses = {
        "instance": soft_alignment(vectors, captions, same_caption, scale),
        "describe": soft_alignment(vectors, described, same_kind, scale),
        "case": _same_case(vectors, same_case),
        "token": token_alignment(
            seen.parts, read.parts[:count], read.there[:count], read.weights[:count]
        ),
        "prototype": fit.prototypes(vectors, captions),
        "label": _labels(fit.heads, vectors, codes),
    }
    others = read.vectors[2 * count :]
    if len(others):
        eye = torch.eye(len(others) // 2, dtype=torch.bool, device=device)
        losses["text"] = soft_alignment(others[::2], others[1::2], eye, scale)
    return losses


def _equal(codes: Tensor) -> Tensor:
    """(B, B) bool: which rows of (B,) or (B, K) codes are equal."""
    codes = codes.view(len(codes), -1)
    same: Tensor = (codes[:, None] == codes[None]).all(-1)
    return same


def _same_case(vectors: Tensor, same: Tensor) -> Tensor:
    """Images of one case find each other (doi 10.48550/arXiv.2004.11362)."""
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    logits = (vectors @ vectors.T / 0.1).masked_fill(itself, -1e4).log_softmax(1)
    partners = (same & ~itself).float()
    has = partners.sum(1) > 0
    if not has.any():
        return vectors.sum() * 0
    return -((partners * logits).sum(1)[has] / partners.sum(1)[has]).mean()


def _labels(heads: nn.ModuleList, vectors: Tensor, codes: Tensor) -> Tensor:
    """Sum over labels of the smoothed cross entropy; unknown ones are passed over."""
    lost = [
        functional.cross_entropy(
            head(10 * vectors), codes[:, k], ignore_index=-1, label_smoothing=0.1
        )
        for k, head in enumerate(heads)
        if (codes[:, k] >= 0).any()
    ]
    return torch.stack(lost).sum()


@torch.no_grad()
def _averaged(mean: nn.Module, now: nn.Module, keep: float) -> None:
    for old, new in zip(mean.state_dict().values(), now.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - keep)
        else:
            old.copy_(new)
