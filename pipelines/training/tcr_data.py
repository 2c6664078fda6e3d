"""Known binders and control receptors for training, and how they are parted for validation."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.epitopes import parse_epitope
from mmtool.pipelines.binding_epitopes import epitope_problem
from mmtool.pipelines.receptor_rows import ReceptorTable
from mmtool.receptors import Binder, Receptor

log = logging.getLogger(__name__)

# Peptide pools in which only one member is a known epitope: their labels are too noisy.
_POOLS = ("-pool",)
# One experiment's dextramer counts, full of receptors that bind everything (vdjdb-db issue 431).
_ONLY_10X = ("is_10x", frozenset({"1", "true", "yes"}))
LEAST = 5  # binders of an epitope on both sides of a split, for it to be scored
_HELD_SHARE = (0.15, 0.35)
_TRIES = 200


@dataclass(frozen=True)
class Controls:
    """Receptors in general.

    Attributes:
        receptors: With both chains.
        donors: Who each came from; ``""`` where it is not told.
    """

    receptors: tuple[Receptor, ...]
    donors: tuple[str, ...]

    def part(self, held: frozenset[str]) -> tuple[Controls, Controls]:
        """Those of other donors, and those of the donors ``held``."""
        return self._where(held, False), self._where(held, True)

    def _where(self, held: frozenset[str], inside: bool) -> Controls:
        both = zip(self.receptors, self.donors, strict=True)
        kept = [(r, d) for r, d in both if (d in held) == inside]
        return Controls(tuple(r for r, _ in kept), tuple(d for _, d in kept))


@dataclass(frozen=True)
class Split:
    """Some publications held out.

    Attributes:
        train: Binders of the others; no held-out receptor is among them.
        test: Binders with both chains of the publications held out.
        epitopes: Those with at least `LEAST` paired binders on both sides.
    """

    train: tuple[Binder, ...]
    test: tuple[Binder, ...]
    epitopes: tuple[str, ...]


def read_known(path: Path, limits: Limits | None = None) -> list[Binder]:
    """Known binders of a table: any that ``mmtool tcr-bind`` reads, with a column of epitopes.

    Rows of pools of peptides (column ``source``) and those seen in the 10x set alone (column
    ``is_10x``) are left out. `Binder.source` is the column ``sources`` or ``source``.

    Raises:
        InputError: Unreadable, or without epitopes.
    """
    table = ReceptorTable.open(path, limits)
    layout, names = table.layout, [c.strip().lower() for c in table.text.columns]
    if not layout.epitope:
        raise InputError(f"{path}: no column of epitopes", "known binders have a column epitope")
    of = {n: names.index(n) for n in ("source", "sources", _ONLY_10X[0]) if n in names}
    found: dict[tuple[Receptor, str], Binder] = {}
    counts: Counter[str] = Counter()
    for row in table.rows():
        own = {n: row.cells[i].strip() for n, i in of.items()}
        if own.get("source", "").endswith(_POOLS) or own.get(_ONLY_10X[0], "") in _ONLY_10X[1]:
            counts["pools and 10x alone"] += 1
            continue
        epitope = table.value(row.cells, layout.epitope)
        if row.reason or not epitope or epitope_problem(epitope):
            counts["unusable"] += 1
            continue
        peptide = parse_epitope(epitope).sequence
        mhc, reference = (table.value(row.cells, c) for c in (layout.mhc, layout.reference))
        source = own.get("sources") or own.get("source", "")
        found.setdefault(
            (row.receptor, peptide), Binder(row.receptor, peptide, mhc, reference, source)
        )
    log.info("%s: %d known binders; left out: %s", path.name, len(found), dict(counts))
    return list(found.values())


def read_controls(path: Path, limits: Limits | None = None) -> Controls:
    """Control receptors with both chains; the column ``donor`` says who they came from."""
    table = ReceptorTable.open(path, limits)
    names = [c.strip().lower() for c in table.text.columns]
    column = names.index("donor") if "donor" in names else None
    found = {
        row.receptor: row.cells[column].strip() if column is not None else ""
        for row in table.rows()
        if not row.reason and row.receptor.cdr3_a and row.receptor.cdr3_b
    }
    return Controls(tuple(found), tuple(found.values()))


def publication(binder: Binder) -> str:
    """What is held out together."""
    return binder.reference or binder.source


def paired(binder: Binder) -> bool:
    """Whether both junctions are known."""
    return bool(binder.receptor.cdr3_a and binder.receptor.cdr3_b)


def hold_out(known: Sequence[Binder], held: frozenset[str]) -> Split:
    """Part the binders by publication.

    A receptor that is held out is in no training row: neither as a pair, nor, with the same
    epitope, by the one chain that a row has.
    """
    test = tuple(b for b in known if paired(b) and publication(b) in held)
    pairs = {_pair(b.receptor) for b in test}
    single = {(getattr(b.receptor, c), b.epitope) for b in test for c in ("cdr3_a", "cdr3_b")}
    train = tuple(
        b
        for b in known
        if publication(b) not in held
        and (
            _pair(b.receptor) not in pairs
            if paired(b)
            else (b.receptor.cdr3_a or b.receptor.cdr3_b, b.epitope) not in single
        )
    )
    many = Counter(b.epitope for b in train if paired(b))
    asked = Counter(b.epitope for b in test)
    epitopes = [e for e, n in asked.items() if n >= LEAST and many[e] >= LEAST]
    return Split(train, test, tuple(sorted(epitopes)))


def _pair(receptor: Receptor) -> tuple[str, ...]:
    return receptor.v_a, receptor.cdr3_a, receptor.v_b, receptor.cdr3_b


def two_halves(known: Sequence[Binder], seed: int) -> tuple[list[str], list[str]]:
    """The publications with paired binders, in two halves of about as many of them.

    The larger ones are dealt out first, in pairs, at random.
    """
    size = Counter(publication(b) for b in known if paired(b))
    names = sorted(size, key=lambda name: (-size[name], name))
    draw = np.random.default_rng(seed)
    halves: tuple[list[str], list[str]] = ([], [])
    for begin in range(0, len(names), 2):
        pair = names[begin : begin + 2]
        for place, name in zip(draw.permutation(2), pair, strict=False):
            halves[place].append(name)
    return halves


def random_splits(
    known: Sequence[Binder],
    publications: Sequence[str],
    count: int,
    seed: int,
    least_epitopes: int = 15,
) -> Iterator[Split]:
    """Splits that each hold out some of these publications, a fourth of all paired binders.

    Args:
        known: All known binders.
        publications: Those that may be held out, each with a chance of 60 %.
        count: Of splits.
        seed: Of the draws.
        least_epitopes: That a split must be able to score.

    Raises:
        InputError: Too few publications or epitopes for that.
    """
    draw = np.random.default_rng(seed)
    size = Counter(publication(b) for b in known if paired(b))
    total = sum(size.values())
    for _ in range(count):
        for _ in range(_TRIES):
            held = frozenset(np.array(publications)[draw.random(len(publications)) < 0.6].tolist())
            if not _HELD_SHARE[0] < sum(size[n] for n in held) / total < _HELD_SHARE[1]:
                continue
            split = hold_out(known, held)
            if len(split.epitopes) >= least_epitopes:
                yield split
                break
        else:
            raise InputError(
                "the known binders can't be parted by publication",
                f"{least_epitopes} epitopes need paired binders from several publications",
            )


def thinned(binders: Sequence[Binder], most: int, seed: int) -> list[Binder]:
    """At most ``most`` paired and as many unpaired binders of each epitope, drawn at random."""
    groups: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for place, binder in enumerate(binders):
        groups[binder.epitope, paired(binder)].append(place)
    draw = np.random.default_rng(seed)
    kept = [int(p) for group in groups.values() for p in draw.permutation(group)[:most]]
    return [binders[p] for p in sorted(kept)]


def donors_apart(controls: Controls, held: int = 2) -> tuple[Controls, Controls]:
    """Controls for the background, and those of the first donors by name for testing."""
    return controls.part(frozenset(sorted(set(controls.donors))[:held]))
