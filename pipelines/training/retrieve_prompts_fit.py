"""Training of the prompt pools of `mmtool.models.retrieval.prompt_pools` on frozen towers.

Images and captions, each alone, find each other (ITC); an image with words of its case finds the
case's other images and its diagnosis; and whether an image and words are of one case (ITM), with
the hardest negative. Masked words (MLM) are not foretold: the frozen towers' words have already
looked at each other, so a hidden word can be read off its neighbours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmtool.models.losses.soft_alignment import soft_alignment
from mmtool.models.retrieval.prompt_pools import PromptPools, PromptSize, Side
from mmtool.pipelines.training.checkpoints import resume, save
from mmtool.pipelines.training.retrieve_data import Shown, numbered
from mmtool.pipelines.training.retrieve_draws import batches, rate
from mmtool.pipelines.training.retrieve_parts import PictureParts, TextParts, some_patches

Tell = Callable[[str], None]


@dataclass(frozen=True)
class PromptOptions:
    """How the pools are trained.

    Attributes:
        epochs, batch, rate, decay: Of AdamW.
        temperature: Of the contrastive losses.
        patches, words: Of an image and of a text that a step sees, others each time.
        itc, case, itm: Weights of the losses.
        seed: Of all that is drawn.
    """

    epochs: int = 6
    batch: int = 64
    rate: float = 5e-4
    decay: float = 0.05
    temperature: float = 0.1
    patches: int = 12
    words: int = 12
    itc: float = 1.0
    case: float = 1.0
    itm: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Cases:
    """Images that are learned from, with words of their cases.

    Attributes:
        images: Those with captions.
        pictures: Of them.
        texts: Parts of all texts.
        captions: (N, K) rows in ``texts`` that describe the image.
        words: (N, K) rows that are asked together with the image.
        diagnoses: (N,) rows of the diagnosis.
    """

    images: Sequence[Shown]
    pictures: PictureParts
    texts: TextParts
    captions: NDArray[np.int64]
    words: NDArray[np.int64]
    diagnoses: NDArray[np.int64]

    def picture(
        self,
        rows: NDArray[np.int64],
        views: NDArray[np.int64],
        count: int,
        draw: np.random.Generator,
    ) -> Side:
        """Images in a view each, with so many of their patches."""
        seen = some_patches(self.pictures.parts[rows, views], count, draw)
        parts = torch.from_numpy(seen).float()
        vectors = torch.from_numpy(self.pictures.vectors[rows, views]).float()
        return Side(vectors, parts, torch.ones(parts.shape[:2], dtype=torch.bool))

    def text(self, rows: NDArray[np.int64], most: int, draw: np.random.Generator) -> Side:
        """Texts with so many of their words."""
        parts, there = self.texts.drawn(rows, most, draw)
        return Side(torch.from_numpy(self.texts.vectors[rows]).float(), parts, there)


def text_side(texts: TextParts, rows: NDArray[np.int64]) -> Side:
    """Texts by their rows."""
    parts, there = texts.some(rows)
    return Side(torch.from_numpy(texts.vectors[rows]).float(), parts, there)


def fit_prompts(
    size: PromptSize,
    cases: Cases,
    options: PromptOptions,
    checkpoint: Path | None = None,
    after: Callable[[PromptPools, int], None] = lambda net, epoch: None,
    tell: Tell = lambda line: None,
) -> tuple[PromptPools, float]:
    """Train pools and co-attention; arguments and result as of `fit_rcar`."""
    torch.manual_seed(options.seed)
    net = PromptPools(size)
    whole = cases.picture(*_first(cases))
    net.fit(whole, text_side(cases.texts, np.unique(cases.captions)))
    optimiser = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=options.decay)
    steps = options.epochs * sum(1 for _ in _rows(cases, options, 0))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: rate(s, steps))
    parts = {"net": net, "optimiser": optimiser, "schedule": schedule}
    known = asdict(options) | asdict(size)
    same = torch.tensor([numbered(i.caption for i in cases.images), _cases(cases)]).T
    done, spent = resume(checkpoint, parts, known)
    for epoch in range(done, options.epochs):
        begun = time.monotonic()
        torch.manual_seed(options.seed * 1000 + epoch)
        net.train()
        total: dict[str, list[float]] = {}
        for rows, draw in _rows(cases, options, epoch):
            losses = _losses(net, cases, rows, same[rows], options, draw)
            loss = torch.stack([getattr(options, k) * v for k, v in losses.items()]).sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimiser.step()
            schedule.step()
            for name, value in losses.items():
                total.setdefault(name, []).append(float(value.detach()))
        spent += time.monotonic() - begun
        told = ", ".join(f"{name} {np.mean(values):.3f}" for name, values in total.items())
        tell(f"epoch {epoch + 1} of {options.epochs}: {told}, {spent:.0f} s")
        save(checkpoint, parts, known, epoch + 1, spent)
        after(net.eval(), epoch + 1)
    return net.eval(), spent


def _first(
    cases: Cases,
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, np.random.Generator]:
    """All images as they are, with all patches."""
    rows = np.arange(len(cases.images))
    return rows, np.zeros_like(rows), cases.pictures.parts.shape[2], np.random.default_rng()


def _cases(cases: Cases) -> list[int]:
    return numbered(i.case for i in cases.images)


def _rows(
    cases: Cases, options: PromptOptions, epoch: int
) -> Iterator[tuple[NDArray[np.int64], np.random.Generator]]:
    draw = np.random.default_rng((options.seed, epoch))
    for rows in batches(cases.images, options.batch, draw):
        yield rows, draw


def _losses(
    net: PromptPools,
    cases: Cases,
    rows: NDArray[np.int64],
    known: Tensor,
    options: PromptOptions,
    draw: np.random.Generator,
) -> dict[str, Tensor]:
    """Losses of one step by name; ``known`` (B, 2) are numbers of captions and of cases."""
    count = len(rows)
    views = draw.integers(cases.pictures.parts.shape[1], size=(2, count))
    picture = cases.picture(rows, views[0], options.patches, draw)
    alone = net(cases.picture(rows, views[1], options.patches, draw), None).vectors
    drawn = draw.integers(cases.captions.shape[1], size=count)
    caption = net(None, cases.text(cases.captions[rows, drawn], options.words, draw)).vectors
    said = cases.words[rows, draw.integers(cases.words.shape[1], size=count)]
    words = cases.text(said, options.words, draw)
    diagnosis = net(None, cases.text(cases.diagnoses[rows], options.words, draw)).vectors
    both = net(picture, words)
    same_caption, same_case = (k[:, None] == k for k in known.T)
    itself = torch.eye(count, dtype=torch.bool)
    heat = 1 / options.temperature
    others = (heat * both.vectors @ alone.T).masked_fill(itself, -1e4)
    return {
        "itc": soft_alignment(alone, caption, same_caption, heat),
        "case": _towards(others, same_case & ~itself)
        + soft_alignment(both.vectors, diagnosis, same_case, heat),
        "itm": _matching(net, picture, words, both.match, same_case),
    }


def _towards(logits: Tensor, same: Tensor) -> Tensor:
    """Cross entropy with the target shared among all that belong; rows without any count not."""
    share = same.float() / same.sum(1, keepdim=True).clamp(min=1)
    lost = -(share * logits.log_softmax(1)).sum(1)
    has = same.any(1)
    return lost[has].mean() if has.any() else logits.sum() * 0


def _matching(net: PromptPools, picture: Side, words: Side, right: Tensor, same: Tensor) -> Tensor:
    """Of pairs, and of each picture with the words of another case that are nearest to it."""
    alike = (picture.vectors @ words.vectors.T).masked_fill(same, -torch.inf)
    hard = alike.argmax(1)
    wrong = net(picture, Side(*(part[hard] for part in words))).match
    known = ~same.all(1)
    logits = torch.cat([right, wrong[known]])
    truth = torch.cat([torch.ones_like(right), torch.zeros_like(wrong[known])])
    return functional.binary_cross_entropy_with_logits(logits, truth)
