"""What a model knows of a test before it is asked: its own binders among the rows.

Two receptors are compared on the chains that both have: the junctions must agree, and the V genes
where both are known (without their alleles). A chain that one of them lacks is no difference.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtool.models.tcr.levenshtein import edits
from mmtool.pipelines.evaluation.binding_pairs import Pair
from mmtool.receptors import Binder, Receptor

CHAINS = ("a", "b")
CHECKS: Mapping[str, str] = {
    "same_receptor": "are binders of the model for the same epitope",
    "other_epitope": "are binders of the model for another epitope only",
    "near": "are one edit a chain from a binder of the model for the same epitope, same V gene",
    "no_distance": "are as near to a binder of the model for the same epitope as that is to itself",
    "same_study": "are from a publication of which the model has binders of the same epitope",
}
_CELLS = 2_000_000  # comparisons that are held at a time


@dataclass(frozen=True)
class Leaks:
    """What was found, for N pairs.

    Attributes:
        found: Check -> (N,) whether the pair fails it; see `CHECKS`.
        closest: (N,) index of the binder that tells it, -1 where there is none.
        unchecked: Binders whose sequences the model doesn't carry.
        binders: All its binders.
    """

    found: Mapping[str, NDArray[np.bool_]]
    closest: NDArray[np.int64]
    unchecked: int
    binders: int

    def sentences(self, pairs: Sequence[Pair]) -> list[str]:
        """What to tell, counts of binders and negatives apart."""
        binds = np.array([p.binds for p in pairs])
        told = []
        for check, words in CHECKS.items():
            hit = self.found[check]
            if check == "same_study" and not any(p.reference for p in pairs):
                told.append("study overlap can't be checked: the table gives no references")
                continue
            told.append(
                f"{int((hit & binds).sum())} of {int(binds.sum())} positives and "
                f"{int((hit & ~binds).sum())} of {int((~binds).sum())} negatives {words}"
            )
        wrong = int((self.found["same_receptor"] & ~binds).sum())
        if wrong:
            told.append(f"{wrong} negatives are known binders: their label is doubtful")
        if self.unchecked:
            told.append(
                f"{self.unchecked} of {self.binders} binders of the model carry no sequence: what "
                "is the same shows only in the distance, what is near not at all"
            )
        return told

    def leaking(self) -> NDArray[np.bool_]:
        """(N,) pairs that the model knows, or may: all checks but that of other epitopes."""
        hits = [hit for check, hit in self.found.items() if check != "other_epitope"]
        return np.asarray(np.any(hits, axis=0), np.bool_)


def find_leaks(
    pairs: Sequence[Pair], binders: Sequence[Binder], no_distance: NDArray[np.bool_] | None = None
) -> Leaks:
    """Compare each pair with the binders that a model carries.

    Args:
        pairs: N pairs.
        binders: Of the model.
        no_distance: (N,) whether the model itself sees no distance to a binder of the epitope;
            that also tells of binders whose sequences it doesn't carry.
    """
    found = {check: np.zeros(len(pairs), bool) for check in CHECKS}
    closest = np.full(len(pairs), -1, np.int64)
    places: dict[str, list[int]] = defaultdict(list)
    for place, binder in enumerate(binders):
        if binder.receptor.usable:
            places[binder.epitope].append(place)
    rows: dict[str, list[int]] = defaultdict(list)
    for row, pair in enumerate(pairs):
        rows[pair.epitope].append(row)
    for epitope, some in rows.items():
        known = np.array(places.get(epitope, ()), np.int64)
        if known.size:
            _same_epitope(pairs, binders, np.array(some), known, found, closest)
    _other_epitope(pairs, binders, found, closest)
    if no_distance is not None:
        found["no_distance"][:] = no_distance
    studies = {(b.reference, b.epitope) for b in binders if b.reference}
    found["same_study"][:] = [(p.reference, p.epitope) in studies for p in pairs]
    unchecked = sum(not b.receptor.usable for b in binders)
    return Leaks(found, closest, unchecked, len(binders))


def _same_epitope(
    pairs: Sequence[Pair],
    binders: Sequence[Binder],
    rows: NDArray[np.int64],
    known: NDArray[np.int64],
    found: Mapping[str, NDArray[np.bool_]],
    closest: NDArray[np.int64],
) -> None:
    others = [binders[k].receptor for k in known]
    step = max(1, _CELLS // len(known))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        apart = _most_edits([pairs[r].receptor for r in part], others)
        least, where = apart.min(1), apart.argmin(1)
        found["same_receptor"][part] = least == 0
        found["near"][part] = least == 1
        close = least <= 1
        closest[part[close]] = known[where[close]]


def _most_edits(ones: Sequence[Receptor], others: Sequence[Receptor]) -> NDArray[np.uint16]:
    """(N, M) edits of the chain that differs most; the largest number where they don't compare."""
    never = np.iinfo(np.uint16).max
    most = np.zeros((len(ones), len(others)), np.uint16)
    shared = np.zeros(most.shape, bool)
    for chain in CHAINS:
        mine, theirs = _chain(ones, chain), _chain(others, chain)
        both = np.array([c != "" for c, _ in mine])[:, None] & [c != "" for c, _ in theirs]
        apart = edits([c for c, _ in mine], [c for c, _ in theirs])
        v, w = np.array([v for _, v in mine])[:, None], np.array([v for _, v in theirs])
        apart[(v != w) & (v != "") & (w != "")] = never
        most = np.where(both, np.maximum(most, apart), most)
        shared |= both
    most[~shared] = never
    return most


def _chain(receptors: Sequence[Receptor], chain: str) -> list[tuple[str, str]]:
    """Junction, and V gene without its allele."""
    return [
        (getattr(r, f"cdr3_{chain}"), getattr(r, f"v_{chain}").partition("*")[0]) for r in receptors
    ]


def _other_epitope(
    pairs: Sequence[Pair],
    binders: Sequence[Binder],
    found: Mapping[str, NDArray[np.bool_]],
    closest: NDArray[np.int64],
) -> None:
    """Receptors that are binders, but not of the pair's own epitope."""
    holds: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, binder in enumerate(binders):
        for chain in CHAINS:
            junction = getattr(binder.receptor, f"cdr3_{chain}")
            if junction:
                holds[chain, junction].append(place)
    for row, pair in enumerate(pairs):
        if found["same_receptor"][row]:
            continue
        for place in _holding(pair.receptor, holds):
            binder = binders[place]
            if binder.epitope != pair.epitope and _same(pair.receptor, binder.receptor):
                found["other_epitope"][row] = True
                if closest[row] < 0:
                    closest[row] = place
                break


def _holding(receptor: Receptor, holds: Mapping[tuple[str, str], list[int]]) -> list[int]:
    """Binders that share a junction with a receptor."""
    junctions = ((c, getattr(receptor, f"cdr3_{c}")) for c in CHAINS)
    return [place for at in junctions for place in holds.get(at, ())]


def _same(one: Receptor, other: Receptor) -> bool:
    """As `_most_edits` of 0, for two receptors that share a junction."""
    for chain in CHAINS:
        (mine, v), (theirs, w) = _chain([one], chain)[0], _chain([other], chain)[0]
        if mine and theirs and (mine != theirs or (v and w and v != w)):
            return False
    return True


def receptor_frequency(pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """A score with no biology: minus the rows in which a receptor stands."""
    return -np.array([p.seen for p in pairs], np.float64)


def counts_of(leaks: Leaks, pairs: Sequence[Pair]) -> dict[str, dict[str, int]]:
    """Check -> pairs that fail it, by label."""
    tally = {
        check: Counter(
            "positive" if pairs[i].binds else "negative" for i in np.flatnonzero(hit).tolist()
        )
        for check, hit in leaks.found.items()
    }
    return {c: {k: n[k] for k in ("positive", "negative")} for c, n in tally.items()}
