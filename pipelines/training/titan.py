"""Training of the TITAN network: known pairs against the same receptors with other epitopes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.tcr.titan import Titan
from mmtool.models.tcr.titan_input import padded
from mmtool.pipelines.binding_titan import NETWORK, TitanBinding
from mmtool.pipelines.training.titan_pairs import PairSet, TitanOptions, beta_only, pair_set
from mmtool.receptors import Binder

Tell = Callable[[str], None]
QUANTILES = 101  # that percentiles are told by
_LONG = 190  # tokens


def train_titan(
    known: Sequence[Binder],
    options: TitanOptions,
    *,
    negatives: Sequence[Binder] = (),
    device: torch.device | None = None,
    start: Titan | None = None,
    checkpoint: Path | None = None,
    after_epoch: Callable[[int, Titan], None] = lambda epoch, network: None,
    tell: Tell = lambda line: None,
) -> Titan:
    """Train a network on known pairs.

    Args:
        known: Known binders; only their beta chains are read.
        options: See there.
        negatives: Pairs that are known not to bind, as they are.
        device: Where to compute; the CPU if None.
        start: Network whose weights training starts from.
        checkpoint: File that is written after each epoch, and that a stopped run goes on from.
        after_epoch: Called with the number of epochs done and the network.
        tell: Called with a line after each epoch.

    Returns:
        The network, in evaluation mode.
    """
    device = device or torch.device("cpu")
    torch.manual_seed(options.seed)
    data = pair_set(beta_only(known, options), options, negatives)
    network = Titan(options.size).to(device)
    if start is not None:
        network.load_state_dict(start.state_dict())
    if options.tunable is not None:
        network.free(options.tunable)
    free = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(free, lr=options.rate, weight_decay=options.decay)
    per_epoch = sum(1 for _ in _batches(data, options.batch, np.random.default_rng(0)))
    steps = per_epoch * options.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: _rate(s, steps))
    done, spent = _resume(checkpoint, network, optimiser, schedule, options)
    for epoch in range(done, options.epochs):
        begun, total = time.monotonic(), 0.0
        network.train()
        draw = np.random.default_rng((options.seed, epoch))
        torch.manual_seed(options.seed * 1000 + epoch)
        for rows in _batches(data, options.batch, draw):
            loss = _step(network, data, rows, options, draw, device)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        network.eval()
        took = time.monotonic() - begun
        spent += took
        tell(
            f"epoch {epoch + 1} of {options.epochs}: loss {total / max(1, per_epoch):.4f}, "
            f"{took:.0f} s"
        )
        if checkpoint is not None:
            progress = {"options": _plain(options), "epochs": epoch + 1, "seconds": spent}
            _save(checkpoint, progress, network, optimiser, schedule)
        after_epoch(epoch + 1, network)
    return network.eval()


def uncalibrated(
    network: Titan,
    options: TitanOptions,
    known: Mapping[str, int],
    *,
    few: int = 20,
    prevalence: float = 0.01,
) -> TitanBinding:
    """A trained network as a model whose scores are its log odds; it has no percentiles.

    Args:
        network: The network.
        options: That it was trained with.
        known: Epitope -> pairs in training.
        few, prevalence: As the model's config has them.
    """
    size = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(options.size).items()}
    config = {
        "network": NETWORK,
        "spelling": options.spelling,
        "form": options.form,
        "size": size,
        "known": dict(sorted(known.items())),
        "calibration": [1.0, 0.0],
        "prevalence": prevalence,
        "few": few,
        "unseen_skill": None,
        "quantiled": [],
    }
    return TitanBinding(config, network, torch.zeros(0, QUANTILES), [])


def _rate(step: int, steps: int) -> float:
    """Share of the peak rate: up over a tenth of the steps, then down along a cosine."""
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _batches(data: PairSet, size: int, draw: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Rows of each step. Long epitopes (of MHC class II) come in steps of their own.

    So most steps needn't be padded to the longest molecule, and negatives are of a kind.
    """
    long = np.array([len(s[0]) > _LONG for s in data.spelled])[data.epitope.numpy()]
    steps = []
    for kind in (False, True):
        rows = draw.permutation(np.flatnonzero(long == kind))
        steps += [rows[b : b + size] for b in range(0, len(rows) - size // 2, size)]
    for place in draw.permutation(len(steps)):
        yield steps[place]


def _step(
    network: Titan,
    data: PairSet,
    rows: NDArray[np.int64],
    options: TitanOptions,
    draw: np.random.Generator,
    device: torch.device,
) -> Tensor:
    """Loss of one step: each receptor with its epitope, and with those of other rows."""
    own = data.epitope[rows]
    there, place = torch.unique(own, return_inverse=True)
    tokens = padded([_drawn(data.spelled[e], options, draw) for e in there.tolist()])
    codes = _augmented(data, rows, options, draw)
    receptors = network.encode_receptors(codes.to(device))
    epitopes = network.encode_epitopes(tokens.to(device))
    first, second = _other_epitopes(data, rows, there, place, options, draw)
    truth = torch.cat([data.binds[rows], torch.zeros(len(first), dtype=torch.bool)]).float()
    first = torch.cat([torch.arange(len(rows)), first]).to(device)
    second = torch.cat([place, second]).to(device)
    logit = network(receptors.take(first), epitopes.take(second)).logit
    weight = torch.where(truth == 1, float(max(1, options.negatives)), 1.0)  # both count the same
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logit, truth.to(device), weight.to(device)
    )


def _other_epitopes(
    data: PairSet,
    rows: NDArray[np.int64],
    there: Tensor,
    place: Tensor,
    options: TitanOptions,
    draw: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Negatives of a step: places of receptors among the rows, of epitopes among those there.

    Epitopes of other rows come up as often as they have pairs, so that none is likelier a priori;
    those that the receptor binds are passed over.
    """
    others = draw.integers(len(rows), size=(len(rows), options.negatives))
    first = torch.arange(len(rows)).repeat_interleave(options.negatives)
    second = place[others.reshape(-1)]
    pairs = zip(first.tolist(), there[second].tolist(), strict=True)
    free = torch.tensor([e not in data.bound[rows[r]] for r, e in pairs], dtype=torch.bool)
    return first[free], second[free]


def _drawn(orders: list[list[int]], options: TitanOptions, draw: np.random.Generator) -> list[int]:
    rewritten = len(orders) > 1 and draw.random() < options.rewritten
    return orders[int(draw.integers(1, len(orders)))] if rewritten else orders[0]


def _augmented(
    data: PairSet, rows: NDArray[np.int64], options: TitanOptions, draw: np.random.Generator
) -> Tensor:
    """(B, T) codes of the receptors of a step, some without genes or read backwards."""
    codes = data.codes[rows]
    hidden = torch.from_numpy(draw.random(len(rows)) < options.hidden)
    width = min(codes.shape[1], data.bare.shape[1])
    plain = torch.zeros_like(codes)
    plain[:, :width] = data.bare[rows][:, :width]
    codes = torch.where(hidden[:, None], plain, codes)
    turned = torch.from_numpy(draw.random(len(rows)) < options.reversal)
    for row in torch.nonzero(turned)[:, 0].tolist():
        real = torch.nonzero(codes[row])[:, 0]
        codes[row, real] = codes[row, real.flip(0)]
    return codes[:, : int(torch.nonzero(codes.any(0))[-1]) + 1]


def _save(
    path: Path,
    progress: Mapping[str, Any],
    network: Titan,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> None:
    state: dict[str, Any] = {
        **progress,
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
    }
    half = path.with_suffix(".half")
    torch.save(state, half)
    half.replace(path)


def _resume(
    path: Path | None,
    network: Titan,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    options: TitanOptions,
) -> tuple[int, float]:
    """Epochs and seconds that a checkpoint of the same options holds, after loading it."""
    if path is None or not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    if state["options"] != _plain(options):
        return 0, 0.0
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return int(state["epochs"]), float(state["seconds"])


def seconds_of(checkpoint: Path) -> float:
    """How long the training took that wrote a checkpoint, over all its runs."""
    return float(torch.load(checkpoint, weights_only=True)["seconds"])


def _plain(options: TitanOptions) -> dict[str, Any]:
    return asdict(options) | {"dense": list(options.dense)}
