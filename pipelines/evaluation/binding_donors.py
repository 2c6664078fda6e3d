"""Who the receptors of a test came from, as far as its table says.

Where binders and negatives are of different people, what tells the people apart (their HLA, the
laboratory) tells the label too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmtool.io.readers.receptor_layout import key
from mmtool.pipelines.receptor_names import is_nothing

if TYPE_CHECKING:
    from mmtool.pipelines.evaluation.binding_pairs import Pair

# The words of AIRR, VDJdb (its column Meta holds JSON), 10x and hand-made tables, people first.
_NAMES = tuple(
    map(
        key,
        "subject_id subject.id meta.subject.id subject donor donor_id patient patient_id "
        "individual meta repertoire_id sample_id sample".split(),
    )
)


def donor_place(columns: Sequence[str]) -> int | None:
    """Which column names the donor, or the sample where none does."""
    places = {key(name): place for place, name in reversed(list(enumerate(columns)))}
    return next((places[name] for name in _NAMES if name in places), None)


def donor_of(cell: str) -> str:
    """Name of a donor, ``""`` where there is none."""
    text = cell.strip()
    if text.startswith("{"):
        try:
            text = str(json.loads(text).get("subject.id", ""))
        except ValueError:
            return ""
    return "" if is_nothing(text) else text


def donor_sentences(pairs: Sequence[Pair]) -> list[str]:
    """What to tell of the donors of a test.

    Donors of two publications are different ones, whatever they are called.
    """
    names = [(p.reference, p.donor) if p.donor else None for p in pairs]
    if not any(names):
        return ["donor overlap is not known: the table names no donors"]
    binds = np.array([p.binds for p in pairs])
    own = {n for n, b in zip(names, binds, strict=True) if n and b}
    rest = {n for n, b in zip(names, binds, strict=True) if n and not b}
    told = [
        f"{len(own | rest)} donors, of {sum(n is not None for n in names)} of {len(pairs)} pairs: "
        f"{len(own)} have binders, {len(rest)} negatives, {len(own & rest)} both; overlap with the "
        "donors that a model was made from is not known: models do not name them"
    ]
    apart = sum(n is not None and n not in own for n, b in zip(names, binds, strict=True) if not b)
    if rest and apart == sum(n is not None for n, b in zip(names, binds, strict=True) if not b):
        told.append("no donor has both labels: what tells the donors apart tells the label")
    return told
