"""Known pairs of beta chain and epitope, as the steps of TITAN's training take them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmtool.models.tcr.titan import TitanSize
from mmtool.models.tcr.titan_input import (
    DOMAIN_LENGTH,
    FORMS,
    JUNCTION_LENGTH,
    SPELLINGS,
    epitope_length,
    epitope_letters,
    epitope_numbers,
    peptide_smiles,
    random_smiles,
    receptor_codes,
)
from mmtool.receptors import Binder, Receptor


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
