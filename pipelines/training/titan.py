"""Training of the TITAN network: known pairs against the same receptors with other epitopes."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.tcr.titan import Titan, TitanSize
from mmtool.models.tcr.titan_input import (
    DOMAIN_LENGTH,
    FORMS,
    JUNCTION_LENGTH,
    SPELLINGS,
    epitope_length,
    epitope_letters,
    epitope_numbers,
    padded,
    peptide_smiles,
    random_smiles,
    receptor_codes,
)
from mmtool.receptors import Binder, Receptor

Tell = Callable[[str], None]
_LONG = 190  # tokens


@dataclass(frozen=True)
class TitanOptions:
    """How a network is made and trained.

    Attributes:
        spelling: Epitopes as ``smiles`` or ``letters``.
        form: Receptors as ``domain`` or ``junction``.
        filters, attention, dense, dropout: See `TitanSize`.
        least, most: Pairs of an epitope; those with fewer are left out, of more some are drawn.
        epochs: Passes over the pairs.
        batch: Receptors of a step.
        negatives: Other epitopes that each receptor meets in a step, as often as they have binders.
        rate: Peak learning rate of Adam; it rises for a tenth of the steps and falls to 0.
        decay: Weight decay, uncoupled.
        orders: SMILES of each epitope that training draws from, beside the canonical one.
        rewritten: Share of draws that are not the canonical SMILES.
        hidden: Share of receptors whose genes are hidden in a step, as many tables lack them.
        reversal: Share of receptors that are read backwards in a step.
        tunable: Train only the last so many tensors (see `Titan.free`); None for all.
        seed: Of weights and draws.
    """

    spelling: str = "smiles"
    form: str = "junction"
    filters: int = 32
    attention: int = 32
    dense: tuple[int, ...] = (128, 64)
    dropout: float = 0.3
    least: int = 5
    most: int = 200
    epochs: int = 20
    batch: int = 128
    negatives: int = 3
    rate: float = 2e-3
    decay: float = 1e-2
    orders: int = 16
    rewritten: float = 0.5
    hidden: float = 0.1
    reversal: float = 0.0
    tunable: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.spelling not in SPELLINGS or self.form not in FORMS:
            raise ValueError(f"{self.spelling}, {self.form}: not known")

    @property
    def size(self) -> TitanSize:
        """Of the network."""
        return TitanSize(
            letters=epitope_letters(self.spelling),
            receptor_length=DOMAIN_LENGTH if self.form == "domain" else JUNCTION_LENGTH,
            epitope_length=epitope_length(self.spelling),
            filters=self.filters,
            attention=self.attention,
            dense=self.dense,
            dropout=self.dropout,
        )


@dataclass(frozen=True)
class PairSet:
    """Known pairs, ready for steps.

    Attributes:
        codes: (N, T) uint8 numbers of the receptors' residues.
        bare: (N, T) uint8 the same receptors without their genes.
        epitope: (N,) index below E.
        binds: (N,) bool.
        spelled: For each epitope its tokens, canonical first, then in other orders.
        bound: For each receptor the epitopes that it is known to bind.
    """

    codes: Tensor
    bare: Tensor
    epitope: Tensor
    binds: Tensor
    spelled: list[list[list[int]]]
    bound: list[frozenset[int]]


def beta_only(known: Sequence[Binder], options: TitanOptions) -> list[Binder]:
    """Each beta chain once with each epitope, and so many of an epitope as the options say."""
    found: dict[tuple[str, ...], Binder] = {}
    for binder in known:
        r = binder.receptor
        if r.cdr3_b:
            beta = Receptor(v_b=r.v_b, j_b=r.j_b, cdr3_b=r.cdr3_b)
            key = (r.v_b, r.j_b, r.cdr3_b, binder.epitope)
            found.setdefault(key, Binder(beta, binder.epitope, reference=binder.reference))
    pairs = list(found.values())
    every, counts = Counter(b.epitope for b in pairs), Counter[str]()
    kept = []
    for place in np.random.default_rng(options.seed).permutation(len(pairs)):
        epitope = pairs[place].epitope
        counts[epitope] += 1
        if every[epitope] >= options.least and counts[epitope] <= options.most:
            kept.append(int(place))
    return [pairs[place] for place in sorted(kept)]


def pair_set(
    known: Sequence[Binder], options: TitanOptions, negatives: Sequence[Binder] = ()
) -> PairSet:
    """Encode known pairs, and pairs that are known not to bind."""
    pairs = [*known, *negatives]
    names = {e: i for i, e in enumerate(dict.fromkeys(b.epitope for b in pairs))}
    junctions: dict[str, set[int]] = {b.receptor.cdr3_b: set() for b in negatives}
    for b in known:
        junctions.setdefault(b.receptor.cdr3_b, set()).add(names[b.epitope])
    receptors = [b.receptor for b in pairs]
    bare = [Receptor(cdr3_b=r.cdr3_b) for r in receptors]
    return PairSet(
        receptor_codes(receptors, options.form),
        receptor_codes(bare, options.form),
        torch.tensor([names[b.epitope] for b in pairs]),
        torch.arange(len(pairs)) < len(known),
        [_spelled(e, options) for e in names],
        [frozenset(junctions[r.cdr3_b]) for r in receptors],
    )


def _spelled(epitope: str, options: TitanOptions) -> list[list[int]]:
    if options.spelling == "letters":
        return [epitope_numbers(epitope, "letters")]
    orders = random_smiles(epitope, options.orders, options.seed) if options.rewritten else []
    orders = [peptide_smiles(epitope), *sorted(set(orders))]
    return [epitope_numbers(smiles, "smiles") for smiles in orders]


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
    done = _resume(checkpoint, network, optimiser, schedule, options)
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
        tell(
            f"epoch {epoch + 1} of {options.epochs}: loss {total / max(1, per_epoch):.4f}, "
            f"{time.monotonic() - begun:.0f} s"
        )
        _save(checkpoint, network, optimiser, schedule, options, epoch + 1)
        after_epoch(epoch + 1, network)
    return network.eval()


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
    path: Path | None,
    network: Titan,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    options: TitanOptions,
    epochs: int,
) -> None:
    if path is None:
        return
    state: dict[str, Any] = {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "options": asdict(options) | {"dense": list(options.dense)},
        "epochs": epochs,
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
) -> int:
    """Epochs that a checkpoint of the same options holds, after loading it; 0 without one."""
    if path is None or not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state["options"] != asdict(options) | {"dense": list(options.dense)}:
        return 0
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return int(state["epochs"])
