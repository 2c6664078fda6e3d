"""Teach a text encoder alone to read: what does a drawn text ask for, or tell of?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mmtool.models.text.encoder import TextEncoder, TextEncoderConfig, tokenise
from mmtool.pipelines.training.run import Report, Schedule, TrainingRun

BATCH = 32  # texts of a step
_GROUPS = 4  # batches that are drawn together and sorted by length: little is padded
_SHORTEST = 0.25  # share of the texts kept at first, where they grow
# A generator and a count to texts and what they ask for, (count, structures) float32.
Draw = Callable[[np.random.Generator, int], tuple[list[str], Tensor]]


class _Texts:
    """Endless batches of texts of like length; all follow from the seed and ``first``.

    In the first ``growing`` steps the shortest of the drawn texts are kept, and longer ones as
    training goes on: names and sides are learned sooner from a few words than from a report (Bengio
    et al. 2009, 10.1145/1553374.1553380).
    """

    def __init__(self, draw: Draw, seed: int, first: int, growing: int) -> None:
        self.draw, self.seed, self.first, self.growing = draw, seed, first, growing

    def __iter__(self) -> Iterator[tuple[list[str], Tensor]]:
        index = self.first // _GROUPS
        keep = _GROUPS * BATCH
        while True:
            rng = np.random.default_rng([self.seed, 11, index])
            grown = index * _GROUPS / self.growing if self.growing else 1.0
            share = min(1.0, _SHORTEST + (1 - _SHORTEST) * grown)
            texts, target = self.draw(rng, round(keep / share))
            order = np.argsort([len(text) for text in texts], kind="stable")[:keep]
            for group in rng.permutation(order.reshape(_GROUPS, BATCH)):
                yield [texts[i] for i in group], target[group]
            index += 1


def train_reading(
    options: Schedule,
    steps: int,
    config: TextEncoderConfig,
    draw: Draw,
    report: Report | None,
    *,
    growing: int = 0,
    matrices: Sequence[str] = (),
) -> dict[str, Tensor]:
    """Teach an encoder, or go on from the checkpoint in ``reading``; its averaged weights.

    Args:
        options: Of the whole run.
        steps: Steps; 32 texts each.
        config: Shape of the encoder.
        draw: Draws texts.
        report: Called with every line of the log.
        growing: Steps until texts of all lengths are kept; at first only short ones are.
        matrices: Parts of the encoder that Muon updates.
    """
    schedule = replace(
        options, out=options.out / "reading", iterations=steps, start="", rate=1e-3, decay=0.5
    )
    torch.manual_seed(options.seed)
    encoder = TextEncoder(config)
    run = TrainingRun(encoder, schedule, config.to_json(), matrices=matrices)

    def loss_of(
        sample: tuple[list[str], Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        del generator
        texts, target = sample
        text = encoder(tokenise(texts, config).to(run.device))
        loss = F.binary_cross_entropy_with_logits(text.asked, target.to(run.device))
        return loss, exact(text.asked, target.to(run.device))[None]

    drawn = _Texts(draw, options.seed, run.step, growing)
    run.train(drawn, loss_of, ["texts read right"], report)
    return run.average


def exact(asked: Tensor, target: Tensor) -> Tensor:
    """Share of texts of which every structure is judged rightly."""
    return ((asked > 0) == (target > 0.5)).all(1).float().mean()
