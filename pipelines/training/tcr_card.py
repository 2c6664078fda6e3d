"""What all recipes of ``mmtool train tcr-bind`` share: their options, and the folder they write."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmtool import __version__
from mmtool.io.writers.json_file import write_json
from mmtool.models.card import CARD, CONFIG, WEIGHTS
from mmtool.models.files import hash_file
from mmtool.pipelines.evaluation.overlap import Interval, bootstrap_mean
from mmtool.pipelines.training.tcr_fit import MEASURES, FitOptions, Quality
from mmtool.pipelines.training.titan_pairs import TitanOptions
from mmtool.receptors import Binder, Receptor

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class BindingTraining:
    """Options of a run.

    Attributes:
        data: Table of known binders.
        controls: Table of receptors in general, with both chains.
        out: Folder of the model.
        carry: Collections whose licence lets their sequences be passed on; of other binders only
            the points go into the model.
        splits: Sets of studies held out, to choose settings by; as many others calibrate.
        fit: How large the model is.
        titan: How TITAN's network is made and trained.
        start: TITAN model whose weights training starts from, by name or folder.
        device: Where a network computes.
        seed: Of the splits and draws.
    """

    data: Path
    controls: Path
    out: Path
    carry: tuple[str, ...] = ("IEDB",)
    splits: int = 3
    fit: FitOptions = field(default_factory=FitOptions)
    titan: TitanOptions = field(default_factory=TitanOptions)
    start: str | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0


def carried(binder: Binder, carry: Sequence[str]) -> Binder:
    """The binder with its sequences only if a collection that allows it has it too."""
    own = set(binder.source.split(";"))
    if own & set(carry):
        return replace(binder, source=";".join(sorted(own & set(carry))))
    return replace(binder, receptor=Receptor())


_NAMES = {
    "auc": "macro AUC against binders of other epitopes",
    "auc01": "macro AUC0.1 against binders of other epitopes",
    "auc_controls": "macro AUC against control receptors",
    "auc01_controls": "macro AUC0.1 against control receptors",
}
_VIEWS = {
    "ab": "both chains",
    "b": "beta chain alone",
    "a": "alpha chain alone",
    "densities": "both chains, without motifs",
}


def metrics(
    quality: Mapping[str, Quality], nearest: Mapping[str, Quality], where: str
) -> list[dict[str, Any]]:
    """Rows of a card: means over epitopes, with the interval of drawing other epitopes.

    Args:
        quality: Of each view.
        nearest: View -> quality of the baseline there, the distance to the nearest binder.
        where: What it was measured on.
    """
    rows = []
    for view, found in quality.items():
        for place, measure in enumerate(MEASURES):
            span = _mean(found, place)
            base = None
            if view in nearest:
                value = round(_mean(nearest[view], place).mean, 4)
                base = {"name": "nearest binder", "value": value}
            rows.append(
                {
                    "name": f"{_NAMES[measure]}, {_VIEWS[view]}",
                    "value": round(span.mean, 4),
                    "low": round(span.low, 4),
                    "high": round(span.high, 4),
                    "n": len(found),
                    "set": where,
                    "baseline": base,
                }
            )
    return rows


def _mean(quality: Quality, place: int) -> Interval:
    return bootstrap_mean([[row[place] for row in rows] for rows in quality.values()])


def command(recipe: str, options: BindingTraining) -> str:
    """The command line of a run, for its card."""
    carry = " ".join(f"--carry {name}" for name in options.carry)
    return (
        f"mmtool train tcr-bind --recipe {recipe} --data {options.data.name} "
        f"--controls {options.controls.name} "
        f"--output runs/tcr-bind {carry} --splits {options.splits} --seed {options.seed}"
    )


def write_model(
    out: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any], card: Mapping[str, Any]
) -> Path:
    """Write weights, config and card into ``out/model``, and give that.

    Args:
        out: Folder of the run.
        tensors: Weights.
        config: ``network`` and what it needs.
        card: What is the recipe's own; the rest is added here.
    """
    from safetensors.torch import save_file

    folder = out / "model"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
    write_json(folder / CONFIG, dict(config))
    hardware = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    whole = {
        "task": "tcr-bind",
        "version": __version__,
        "licence": "Apache-2.0",
        "use": "any",
        "intended_use": "Ranking the receptors of a human repertoire by how likely they bind an "
        "epitope of which binders are known, for research. Not a medical device.",
        **card,
        "training": {"hardware": hardware, **card["training"]},
        "sha256": {name: hash_file(folder / name) for name in (WEIGHTS, CONFIG)},
    }
    write_json(folder / CARD, whole)
    return folder
