"""Training of the regulators of `mmtool.models.retrieval.regulators` on frozen parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmtool.models.retrieval.regulators import Regulators, RegulatorSize, hardest_hinge
from mmtool.pipelines.training.checkpoints import resume, save
from mmtool.pipelines.training.retrieve_data import Shown, numbered
from mmtool.pipelines.training.retrieve_draws import batches, rate
from mmtool.pipelines.training.retrieve_parts import PictureParts, TextParts, some_patches

Tell = Callable[[str], None]


@dataclass(frozen=True)
class RcarOptions:
    """How the regulators are trained.

    Attributes:
        epochs, batch, rate, decay: Of AdamW.
        margin: Of the hinge.
        easy: First epochs, in which all negatives count: the hardest alone would teach that all
            are alike (doi 10.1109/CVPR.2015.7298682).
        patches, words: Of an image and of a text that a step sees, others each time.
        drop: Share of the channels of parts that is dropped.
        seed: Of all that is drawn.
    """

    epochs: int = 10
    batch: int = 32
    rate: float = 3e-3
    decay: float = 0.05
    margin: float = 0.2
    easy: int = 5
    patches: int = 24
    words: int = 16
    drop: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class Pairs:
    """Images that are learned from, with their parts.

    Attributes:
        images: Those with captions.
        pictures: Of them.
        texts: Parts of all texts.
        of: (N, K) rows in ``texts`` of each image's wordings.
    """

    images: Sequence[Shown]
    pictures: PictureParts
    texts: TextParts
    of: NDArray[np.int64]


def fit_rcar(
    size: RegulatorSize,
    pairs: Pairs,
    options: RcarOptions,
    checkpoint: Path | None = None,
    after: Callable[[Regulators, int], None] = lambda net, epoch: None,
    tell: Tell = lambda line: None,
) -> tuple[Regulators, float]:
    """Train regulators.

    Args:
        size: Of them.
        pairs: What is learned from.
        options: See there.
        checkpoint: File that is written after each epoch, and that a stopped run goes on from.
        after: Called with the regulators after each epoch.
        tell: Called with a line after each epoch.

    Returns:
        The regulators in evaluation mode, and seconds in all.
    """
    torch.manual_seed(options.seed)
    net = Regulators(size)
    words, there = pairs.texts.some(np.unique(pairs.of))
    net.fit(words[there], torch.from_numpy(pairs.pictures.parts[:, 0]).float().flatten(0, 1))
    optimiser = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=options.decay)
    steps = options.epochs * sum(1 for _ in _rows(pairs, options, 0))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: rate(s, steps))
    parts = {"net": net, "optimiser": optimiser, "schedule": schedule}
    known = asdict(options) | asdict(size)
    captions = torch.tensor(numbered(i.caption for i in pairs.images))
    done, spent = resume(checkpoint, parts, known)
    for epoch in range(done, options.epochs):
        begun = time.monotonic()
        torch.manual_seed(options.seed * 1000 + epoch)
        net.train()
        lost = []
        for words, there, patches, rows in _rows(pairs, options, epoch):
            same = captions[rows][:, None] == captions[rows][None]
            drop = nn.functional.dropout
            found = net(drop(words, options.drop), there, drop(patches, options.drop))
            loss = hardest_hinge(found.similarity, same, options.margin, epoch >= options.easy)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimiser.step()
            schedule.step()
            lost.append(float(loss.detach()))
        spent += time.monotonic() - begun
        tell(f"epoch {epoch + 1} of {options.epochs}: hinge {np.mean(lost):.3f}, {spent:.0f} s")
        save(checkpoint, parts, known, epoch + 1, spent)
        after(net.eval(), epoch + 1)
    return net.eval(), spent


def _rows(
    pairs: Pairs, options: RcarOptions, epoch: int
) -> Iterator[tuple[Tensor, Tensor, Tensor, NDArray[np.int64]]]:
    """Words, which are there, patches of a drawn view, and the places of each step's images."""
    draw = np.random.default_rng((options.seed, epoch))
    views = pairs.pictures.parts.shape[1]
    for rows in batches(pairs.images, options.batch, draw):
        drawn = pairs.of[rows, draw.integers(pairs.of.shape[1], size=len(rows))]
        words, there = pairs.texts.drawn(drawn, options.words, draw)
        seen = pairs.pictures.parts[rows, draw.integers(views, size=len(rows))]
        patches = some_patches(seen, options.patches, draw)
        yield words, there, torch.from_numpy(patches).float(), rows
