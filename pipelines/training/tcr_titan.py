"""``mmtool train tcr-bind --recipe titan``: the attention network, measured and then made of all.

It is trained twice: without some studies, which measure and calibrate it, and on all binders with
the same options.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmtool.errors import InputError
from mmtool.models.store import resolve_model
from mmtool.models.tcr.reference import pack
from mmtool.models.tcr.titan import Titan
from mmtool.pipelines.binding_knn import LevenshteinKnn
from mmtool.pipelines.binding_models import load_binding_model
from mmtool.pipelines.binding_titan import TitanBinding, titan_tensors
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
from mmtool.pipelines.training.tcr_fit import (
    POSITIVES,
    Quality,
    logistic,
    measured,
    seen_by,
    test_sets,
)
from mmtool.pipelines.training.titan import QUANTILES, seconds_of, train_titan, uncalibrated
from mmtool.pipelines.training.titan_pairs import beta_only
from mmtool.receptors import Binder

log = logging.getLogger(__name__)
_CONTROLS = 400  # receptors that percentiles are taken among
_FAR = 100.0  # there is no binder to compare with


def train_titan_model(options: BindingTraining, tell: Tell = log.info) -> Path:
    """Train, measure on held-out studies, write the model's folder, and give its path.

    Raises:
        InputError: The tables can't be used.
        ModelError: ``start`` is no model of this kind and size.
    """
    known, controls = read_known(options.data), read_controls(options.controls)
    background, tested = donors_apart(controls)
    how = options.titan
    start = _start(options)
    options.out.mkdir(parents=True, exist_ok=True)
    _, testing = two_halves(known, options.seed)
    split = next(random_splits(known, testing, 1, options.seed))
    tell(f"{len(known)} known binders; training without {len(split.test)} of held-out studies")

    def trained(binders: Sequence[Binder], name: str) -> TitanBinding:
        network = train_titan(
            binders,
            how,
            device=options.device,
            start=start,
            checkpoint=options.out / f"{name}.pt",
            tell=tell,
        )
        counts = Counter(b.epitope for b in beta_only(binders, how))
        few, prevalence = options.fit.few, options.fit.prevalence
        return uncalibrated(network, how, counts, few=few, prevalence=prevalence)

    quality, nearest, calibration = _measure(trained(split.train, "held-out"), split, tested)
    tell("training on all")
    model = trained(known, "all")
    model = _calibrated(model, calibration, background, tell)
    own = [b for b in (carried(b, options.carry) for b in known) if b.receptor.cdr3_b]
    seconds = sum(seconds_of(options.out / f"{name}.pt") for name in ("held-out", "all"))
    card = _card(model, own, options, round(seconds))
    where = "one set of held-out studies; epochs and sizes were fixed on others"
    card["metrics"] = metrics({"b": quality}, {"b": nearest}, where)
    tensors = titan_tensors(model) | pack(own)
    return write_model(options.out, tensors, model.config, card)


def _start(options: BindingTraining) -> Titan | None:
    if options.start is None:
        return None
    model = load_binding_model(resolve_model("tcr-bind", options.start), options.device)
    if not isinstance(model, TitanBinding):
        raise InputError(f"--start {options.start}: no TITAN model", "give a folder of one")
    return model.network


def _measure(
    model: TitanBinding, split: Split, tested: Controls
) -> tuple[Quality, Quality, list[float]]:
    """Quality on a split's epitopes, that of the nearest binder, and the calibration."""
    near = LevenshteinKnn({"k": 1}, [b for b in split.train if b.receptor.cdr3_b])
    asked = thinned(split.test, POSITIVES, 0)
    quality: Quality = defaultdict(list)
    nearest: Quality = defaultdict(list)
    rows = []
    for epitope in split.epitopes:
        sets = [[seen_by(r, "b") for r in some] for some in test_sets(asked, tested, epitope)]
        raw = [model.raw_scores(some, [epitope])[:, 0] for some in sets]
        quality[epitope].append(measured(*raw))
        rows.append((raw[0], raw[2]))
        apart = [near.neighbours(some, epitope, 1)[1][:, 0] for some in sets]
        nearest[epitope].append(measured(*(-np.nan_to_num(a, nan=_FAR) for a in apart)))
    return quality, nearest, logistic(rows)


def _calibrated(
    model: TitanBinding, calibration: list[float], background: Controls, tell: Tell
) -> TitanBinding:
    """With calibration, and quantiles of control receptors for each known epitope."""
    tell(f"scoring {_CONTROLS} control receptors against {len(model.epitopes)} epitopes")
    some = [seen_by(r, "b") for r in background.receptors[:: _step(background)][:_CONTROLS]]
    raw = model.raw_scores(some, model.epitopes)
    quantiles = np.quantile(raw, np.linspace(0, 1, QUANTILES), axis=0).T
    config = dict(model.config) | {"calibration": calibration, "quantiled": list(model.epitopes)}
    return replace(model, config=config, controls=torch.from_numpy(quantiles.astype(np.float32)))


def _step(controls: Controls) -> int:
    return max(1, len(controls.receptors) // _CONTROLS)


def _card(
    model: TitanBinding, own: Sequence[Binder], options: BindingTraining, seconds: int
) -> dict[str, Any]:
    how = options.titan
    return {
        "name": "titan",
        "summary": f"which of {len(model.epitopes)} epitopes a human beta chain binds, by "
        "convolutions and attention between the chain and the epitope's atoms",
        "data": [
            {
                "name": "known binders of VDJdb, IEDB, McPAS-TCR, ImmuneCODE MIRA and smaller sets",
                "source": options.data.name,
                "licence": "facts with references; IEDB: CC BY 4.0; VDJdb: no copies of the "
                "database",
                "use": "beta chains to train on; rows of peptide pools and of the 10x set alone "
                f"left out; sequences of {len(own)} binders that {' and '.join(options.carry)} has "
                "are carried as evidence",
                "n": sum(model.config["known"].values()),
            },
            {
                "name": "memory CD8 T cells of blood donors, the control of the IMMREP22 workshop",
                "source": options.controls.name,
                "licence": "none stated",
                "use": "percentiles and calibration",
                "n": _CONTROLS,
            },
        ],
        "training": {
            "command": f"{command('titan', options)} --spelling {how.spelling} --form {how.form} "
            f"--epochs {how.epochs}",
            "method": "TITAN (10.1093/bioinformatics/btab294): multi-scale convolutions, context "
            f"attention both ways; receptor as {how.form}, epitope as {how.spelling}",
            "seed": options.seed,
            "iterations": how.epochs,
            "seconds": seconds,
        },
        "limits": [
            "ranks worse than the default model; made to show what a network attends to",
            "reads beta chains only",
            "its attention tells where it looked, not why a receptor binds",
            "no skill on epitopes that it has not seen was shown",
            "human alpha-beta receptors only",
        ],
    }
