"""Teach a text encoder alone to read: what does a drawn text ask for, or tell of?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mmtool.models.text.encoder import TextEncoder, TextEncoderConfig, tokenise
from mmtool.pipelines.training.run import Report, Schedule, TrainingRun

BATCH = 32  # texts of a step
_GROUPS = 4  # batches that are drawn together and sorted by length: little is padded
# A generator and a count to texts and what they ask for, (count, structures) float32.
Draw = Callable[[np.random.Generator, int], tuple[list[str], Tensor]]


class _Texts:
    """Endless batches of texts of like length; all follow from the seed and ``first``."""

    def __init__(self, draw: Draw, seed: int, first: int) -> None:
        self.draw, self.seed, self.first = draw, seed, first

    def __iter__(self) -> Iterator[tuple[list[str], Tensor]]:
        index = self.first // _GROUPS
        while True:
            rng = np.random.default_rng([self.seed, 11, index])
            texts, target = self.draw(rng, _GROUPS * BATCH)
            order = np.argsort([len(text) for text in texts], kind="stable")
            for group in rng.permutation(order.reshape(_GROUPS, BATCH)):
                yield [texts[i] for i in group], target[group]
            index += 1


def train_reading(
    options: Schedule, steps: int, config: TextEncoderConfig, draw: Draw, report: Report | None
) -> dict[str, Tensor]:
    """Teach an encoder, or go on from the checkpoint in ``reading``; its averaged weights."""
    schedule = replace(
        options, out=options.out / "reading", iterations=steps, start="", rate=1e-3, decay=0.5
    )
    torch.manual_seed(options.seed)
    encoder = TextEncoder(config)
    run = TrainingRun(encoder, schedule, config.to_json())

    def loss_of(
        sample: tuple[list[str], Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        del generator
        texts, target = sample
        text = encoder(tokenise(texts, config).to(run.device))
        loss = F.binary_cross_entropy_with_logits(text.asked, target.to(run.device))
        return loss, exact(text.asked, target.to(run.device))[None]

    run.train(_Texts(draw, options.seed, run.step), loss_of, ["texts read right"], report)
    return run.average


def exact(asked: Tensor, target: Tensor) -> Tensor:
    """Share of texts of which every structure is judged rightly."""
    return ((asked > 0) == (target > 0.5)).all(1).float().mean()
