"""``mmtool train tcr-bind --recipe knn``: TITAN's nearest-neighbour baseline.

The number of neighbours is chosen on the same held-out studies as the settings of the default
model, and the result is measured on the same others.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmtool.errors import InputError
from mmtool.models.tcr.reference import pack
from mmtool.pipelines.binding_knn import NETWORK, LevenshteinKnn
from mmtool.pipelines.training.tcr_card import (
    BindingTraining,
    Tell,
    carried,
    command,
    metrics,
    write_model,
)
from mmtool.pipelines.training.tcr_data import (
    Controls,
    Split,
    donors_apart,
    random_splits,
    read_controls,
    read_known,
    thinned,
    two_halves,
)
from mmtool.pipelines.training.tcr_fit import POSITIVES, Quality, measured, seen_by, test_sets
from mmtool.receptors import Binder

log = logging.getLogger(__name__)
NEIGHBOURS = tuple(range(1, 26, 2))  # those that TITAN tried
_FAR = 100.0  # there is no binder to compare with
_VIEWS = ("b", "a")  # one chain is compared: beta where there is one


def train_knn_model(options: BindingTraining, tell: Tell = log.info) -> Path:
    """Choose the number of neighbours, write the model's folder, and give its path.

    Only binders of the collections that may be carried are used at all.

    Raises:
        InputError: The tables can't be used, or hold no binder that may be carried.
    """
    begun = time.monotonic()
    known, controls = read_known(options.data), read_controls(options.controls)
    own = _own(known, options.carry)
    if not own:
        raise InputError(
            f"{options.data}: no binder of {', '.join(options.carry)}",
            "--carry names a collection of its column sources",
        )
    _, tested = donors_apart(controls)
    choosing, testing = two_halves(known, options.seed)
    tell(f"choosing among {len(NEIGHBOURS)} numbers of neighbours on held-out studies")
    splits = random_splits(known, choosing, options.splits, options.seed)
    quality, _ = _measure(list(splits), tested, "b", options)
    k = max(NEIGHBOURS, key=lambda n: _level(quality[n]))
    tell(f"{k} neighbours; measuring on held-out studies of the other half")
    held = list(random_splits(known, testing, options.splits, options.seed))
    found = {view: _measure(held, tested, view, options) for view in _VIEWS}
    config = {"network": NETWORK, "k": k, "few": options.fit.few, "seed": options.seed}
    config["unseen_skill"] = None
    where = f"{len(held)} sets of held-out studies; the number of neighbours was chosen on others"
    card = _card(own, options, round(time.monotonic() - begun), k)
    views, nearest = {v: q[k] for v, (q, _) in found.items()}, {v: n for v, (_, n) in found.items()}
    card["metrics"] = metrics(views, nearest, where)
    return write_model(options.out, pack(own), config, card)


def _own(known: Sequence[Binder], carry: Sequence[str]) -> list[Binder]:
    return [b for b in (carried(b, carry) for b in known) if b.receptor.usable]


def _level(quality: Quality) -> float:
    """Mean of all measures over epitopes and splits."""
    return float(np.mean([row for rows in quality.values() for row in rows]))


def _measure(
    splits: Sequence[Split], tested: Controls, view: str, options: BindingTraining
) -> tuple[dict[int, Quality], Quality]:
    """Quality with each number of neighbours, and that of the nearest binder alone."""
    quality: dict[int, Quality] = {k: defaultdict(list) for k in NEIGHBOURS}
    nearest: Quality = defaultdict(list)
    for split in splits:
        own = _own(split.train, options.carry)
        model = LevenshteinKnn({"k": NEIGHBOURS[-1], "seed": options.seed}, own)
        asked = thinned(split.test, POSITIVES, options.seed)
        for epitope in split.epitopes:
            sets = test_sets(asked, tested, epitope)
            seen = [seen_by(r, view) for some in sets for r in some]
            ends = np.cumsum([len(some) for some in sets])[:-1]
            share = model.positive_shares(seen, [epitope], NEIGHBOURS)[:, :, 0]
            for k, values in zip(NEIGHBOURS, share, strict=True):
                quality[k][epitope].append(measured(*np.split(values, ends)))
            apart = np.nan_to_num(model.neighbours(seen, epitope, 1)[1][:, 0], nan=_FAR)
            nearest[epitope].append(measured(*np.split(-apart, ends)))
    return quality, nearest


def _card(own: Sequence[Binder], options: BindingTraining, seconds: int, k: int) -> dict[str, Any]:
    sources = " and ".join(options.carry)
    return {
        "name": "knn",
        "summary": f"nearest neighbours by edit distance among known binders of "
        f"{len({b.epitope for b in own})} epitopes: a baseline",
        "data": [
            {
                "name": f"known binders that {sources} has",
                "source": options.data.name,
                "licence": "IEDB: CC BY 4.0" if options.carry == ("IEDB",) else "as its sources",
                "use": "sequences, epitopes and publications, as they are",
                "n": len(own),
            }
        ],
        "training": {
            "command": command("knn", options),
            "method": f"{k} nearest labelled pairs by edit distance of CDR3 and epitope, negatives "
            "by shuffling (10.1093/bioinformatics/btab294); the number chosen on held-out studies",
            "seed": options.seed,
            "iterations": options.splits,
            "seconds": seconds,
        },
        "limits": [
            "a baseline: the default model ranks better",
            "compares the CDR3 of one chain only, the beta chain where there is one",
            "has no percentiles",
            "human alpha-beta receptors only",
        ],
    }
