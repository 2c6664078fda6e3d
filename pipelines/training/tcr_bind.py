"""``mmtool train tcr-bind``: settings and calibration from held-out studies, then all binders."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmtool.models.tcr.chain_space import CHAINS
from mmtool.models.tcr.reference import pack
from mmtool.pipelines.binding_ratio import KernelRatio
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
    two_halves,
)
from mmtool.pipelines.training.tcr_fit import (
    FitOptions,
    Settings,
    Validation,
    choose_motif,
    fit,
    validate,
)
from mmtool.pipelines.training.tcr_tuning import make_trial, tune
from mmtool.receptors import Binder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A model and how it was found.

    Attributes:
        model: With the sequences of all its binders.
        settings: That were chosen.
        validation: On splits that the settings were not chosen on.
    """

    model: KernelRatio
    settings: Settings
    validation: Validation


def train_binding(
    known: Sequence[Binder],
    controls: Controls,
    *,
    splits: int = 3,
    fit_options: FitOptions | None = None,
    seed: int = 0,
    tell: Tell = log.info,
) -> Trained:
    """Choose settings on some held-out studies, calibrate on others, and fit to all binders.

    The publications are parted in two halves first: no study is held out for both ends.

    Args:
        known: Known binders.
        controls: Receptors in general; those of two donors are kept for choosing and calibrating.
        splits: Of each kind.
        fit_options: How large the model is.
        seed: Of the splits and draws.
        tell: Called with what is being done.

    Raises:
        InputError: Too few publications or epitopes.
    """
    size = fit_options or FitOptions(seed=seed)
    choosing, testing = two_halves(known, seed)
    settings = _tuned(list(random_splits(known, choosing, splits, seed)), controls, size, tell)
    tell("calibrating on held-out studies of the other half")
    held = list(random_splits(known, testing, splits, seed))
    validation = validate(held, controls, settings, size)
    model = fit(known, controls, settings, size, validation.calibration)
    return Trained(model, settings, validation)


def _tuned(
    splits: Sequence[Split], controls: Controls, options: FitOptions, tell: Tell
) -> Settings:
    background, tested = donors_apart(controls)
    tell(f"choosing the weights of loops on {len(splits)} sets of held-out studies")
    chains = tune([make_trial(split, background, tested, options.seed) for split in splits])
    tell("choosing the weight of motifs on the same")
    motif = choose_motif(splits, controls, chains, options)
    tell(f"motifs: weight {motif.weight:g}, penalty {motif.penalty:g}")
    return Settings(chains, motif)


def train_binding_model(options: BindingTraining, tell: Tell = log.info) -> Path:
    """Train, write the model's folder, and give its path.

    Raises:
        InputError: The tables can't be used.
    """
    begun = time.monotonic()
    known, controls = read_known(options.data), read_controls(options.controls)
    tell(f"{len(known)} known binders, {len(controls.receptors)} control receptors")
    trained = train_binding(
        known,
        controls,
        splits=options.splits,
        fit_options=replace(options.fit, seed=options.seed),
        seed=options.seed,
        tell=tell,
    )
    return export(trained, options, round(time.monotonic() - begun))


def export(trained: Trained, options: BindingTraining, seconds: int) -> Path:
    """Write weights, config and card."""
    binders = [carried(b, options.carry) for b in trained.model.binders]
    return write_model(
        options.out,
        pack(binders) | tensors_of(trained.model),
        trained.model.config,
        _card(trained, options, seconds, binders),
    )


def tensors_of(model: KernelRatio) -> dict[str, Tensor]:
    """Tensors of a model as `load_kernel_ratio` reads them; points as int8."""
    out: dict[str, Tensor] = {}
    for name in CHAINS:
        chain = model.chains[name]
        # Points of real chains; a rare outlier is clipped, so that the step stays small.
        step = torch.cat([chain.points, chain.background]).abs().quantile(0.9999, dim=0) / 127
        step = step.clamp(min=1e-6)
        out[f"step.{name}"] = step
        for key, points in (("points", chain.points), ("background", chain.background)):
            out[f"{key}.{name}"] = (points / step).round().clamp(-127, 127).to(torch.int8)
        out[f"density.{name}"] = chain.density
        out[f"binder.{name}"] = chain.binder.to(torch.int32)
        if name in model.motifs:
            motifs = model.motifs[name]
            out[f"motif_axes.{name}"] = motifs.axes.half().contiguous()
            out[f"motif_heads.{name}"] = motifs.heads.half().contiguous()
            out[f"motif_offsets.{name}"] = motifs.offsets
            out[f"motif_controls.{name}"] = motifs.controls.half().contiguous()
        out[f"tables.{name}"] = chain.space.tables.half().contiguous()
        out[f"typical.{name}"] = chain.space.typical.contiguous()
    return out


def _card(
    trained: Trained, options: BindingTraining, seconds: int, binders: Sequence[Binder]
) -> dict[str, Any]:
    kept = sum(b.receptor.usable for b in binders)
    found = trained.validation
    where = f"{found.splits} sets of held-out studies; weights and widths were chosen on others"
    return {
        "name": "kernel-ratio",
        "summary": f"which of {len(trained.model.epitopes)} epitopes a human T-cell receptor "
        "binds, by the density of known binders around it",
        "data": _data_rows(len(binders), kept, options),
        "training": {
            "command": command("kernel-ratio", options),
            "method": "kernel density ratio over the loops of each chain "
            "(distance after 10.1038/nature22383); weights of loops, widths and priors by "
            "coordinate search on held-out studies; for epitopes with many binders also motifs: a "
            "logistic regression for each and chain, on shared axes",
            "seed": options.seed,
            "iterations": options.splits,
            "seconds": seconds,
        },
        "metrics": metrics(found.quality, {"ab": found.nearest}, where),
        "limits": [
            "says nothing of an epitope that it knows no binder of",
            "of epitopes with fewer than 20 known binders the scores are weak",
            "most of what is known was found with few HLA alleles, HLA-A*02:01 above all",
            "a receptor that resembles known binders need not bind; test it",
            "human alpha-beta receptors only",
        ],
    }


def _data_rows(n: int, kept: int, options: BindingTraining) -> list[dict[str, Any]]:
    return [
        {
            "name": "known binders of VDJdb, IEDB, McPAS-TCR, ImmuneCODE MIRA and smaller sets",
            "source": options.data.name,
            "licence": "facts with references; IEDB: CC BY 4.0; VDJdb: no copies of the database",
            "use": f"points of all; sequences of {kept} binders that "
            f"{' and '.join(options.carry)} has are carried as evidence, of the others only the "
            "points, the epitope and the publication; rows of peptide pools and of the 10x set "
            "alone left out",
            "n": n,
        },
        {
            "name": "memory CD8 T cells of ten donors, the control of the IMMREP22 workshop",
            "source": options.controls.name,
            "licence": "none stated",
            "use": "background density and percentiles, as points",
            "n": options.fit.background,
        },
    ]
