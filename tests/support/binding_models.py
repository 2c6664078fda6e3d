"""A model folder for ``mmtool tcr-bind`` made of a handful of published binders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from mmtool.models.tcr.reference import pack
from mmtool.pipelines.binding_titan import titan_tensors
from mmtool.pipelines.training.titan import train_titan, uncalibrated
from mmtool.pipelines.training.titan_pairs import TitanOptions
from mmtool.receptors import Binder, Receptor

FLU, CMV, EBV = "GILGFVFTL", "NLVPMVATV", "GLCTLVAML"
KNOWN = (
    Binder(Receptor(v_b="TRBV19", j_b="TRBJ2-7", cdr3_b="CASSIRSSYEQYF"), FLU, "HLA-A*02:01"),
    Binder(
        Receptor("TRAV27", "TRAJ42", "CAGAGSQGNLIF", "TRBV19", "TRBJ2-7", "CASSIRSAYEQYF"),
        FLU,
        "HLA-A*02:01",
        "PMID:1",
        "paper",
    ),
    Binder(Receptor(v_b="TRBV19", cdr3_b="CASSTRSSYEQYF"), FLU, "HLA-A*02"),
    Binder(Receptor(v_b="TRBV6-5", cdr3_b="CASSYSTGTAYGYTF"), CMV, "HLA-A*02:01"),
    Binder(Receptor(v_b="TRBV12-4", cdr3_b="CASSSANYGYTF"), CMV, "HLA-A*02:01", "PMID:2"),
    Binder(
        Receptor("TRAV5", "TRAJ31", "CAEDNNARLMF", "TRBV20-1", "TRBJ1-2", "CSARDGTGNGYTF"),
        EBV,
        "HLA-A*02:01",
    ),
    Binder(Receptor(v_b="TRBV20-1", cdr3_b="CSARDQTGNGYTF"), EBV, "HLA-B*08:01"),
)


def write_knn(folder: Path, binders: Sequence[Binder] = KNOWN, **config: object) -> Path:
    """A folder ``knn`` in ``folder`` with config, card and weights."""
    settings = {"network": "levenshtein_knn", "k": 3, "few": 3, "seed": 0} | config
    return _write(folder / "knn", settings, pack(binders))


def write_titan(folder: Path) -> Path:
    """A folder ``titan`` in ``folder``: a network that was trained for one epoch."""
    options = TitanOptions(filters=4, attention=4, dense=(8,), epochs=1, least=1, batch=4)
    network = train_titan(KNOWN, options)
    plain = uncalibrated(network, options, {FLU: 3, CMV: 2}, few=3)
    quantiles = torch.linspace(-1, 1, 11).repeat(2, 1)
    config = dict(plain.config) | {"quantiled": [FLU, CMV]}
    model = replace(plain, config=config, controls=quantiles, binders=KNOWN)
    return _write(folder / "titan", config, titan_tensors(model) | pack(KNOWN))


def _write(target: Path, config: Mapping[str, object], tensors: Mapping[str, Tensor]) -> Path:
    target.mkdir()
    save_file(dict(tensors), target / "model.safetensors")
    (target / "config.json").write_text(json.dumps(config))
    names = ("model.safetensors", "config.json")
    hashes = {n: hashlib.sha256((target / n).read_bytes()).hexdigest() for n in names}
    card = {
        "task": "tcr-bind",
        "name": target.name,
        "version": "1.0",
        "summary": "Of a handful of binders.",
        "licence": "Apache-2.0",
        "use": "any",
        "data": [{"name": "x", "source": "here", "licence": "CC0", "use": "any", "n": 7}],
        "training": {
            "command": "none",
            "seed": 0,
            "seconds": 0,
            "hardware": "none",
            "iterations": 0,
        },
        "sha256": hashes,
        "metrics": [
            {
                "name": "AUC",
                "value": 0.5,
                "low": 0.4,
                "high": 0.6,
                "n": 7,
                "set": "none",
                "baseline": None,
            }
        ],
        "intended_use": "Tests.",
        "limits": ["Knows little."],
    }
    (target / "card.json").write_text(json.dumps(card))
    return target
