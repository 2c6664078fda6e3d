"""``mmtool train retrieve --recipe molecules``: the encoder of molecules and their descriptions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from mmtool.models.encoders.molecule_text import (
    NAME,
    MoleculeTextNet,
    molecule_vectors,
    text_vectors,
)
from mmtool.pipelines.evaluation.retrieve_measures import interval
from mmtool.pipelines.evaluation.retrieve_molecules import (
    DIRECTIONS,
    both_ranks,
    chance,
    measures,
)
from mmtool.pipelines.training.checkpoints import save
from mmtool.pipelines.training.molecules_data import MoleculeTexts, molecule_texts
from mmtool.pipelines.training.molecules_fit import MoleculeFit, contrast, fitted
from mmtool.pipelines.training.retrieve_card import write_described

Tell = Callable[[str], None]
_HELD_OUT = 10  # one in so many is left out to be measured on; the model learns from all


@dataclass(frozen=True)
class MoleculesTraining:
    """What is trained, from what.

    Attributes:
        data: Folder with ``chebi20``.
        out: Folder of checkpoint and model.
        fit: See there.
    """

    data: Path
    out: Path
    fit: MoleculeFit = field(default_factory=MoleculeFit)


def train_molecules(options: MoleculesTraining, tell: Tell) -> Path:
    """Train on all pairs, write the model's folder, and give its path.

    A run that was stopped goes on from its checkpoint, if the options are the same.

    Raises:
        InputError: The data can't be used.
    """
    begun = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.fit.epochs:  # a graph side that learned nothing would only disturb
        bare = replace(options.fit.size, layers=0)
        options = replace(options, fit=replace(options.fit, size=bare))
    read = molecule_texts(options.data)
    tell(f"{len(read.texts)} molecules with descriptions, {read.unread} rows unread")
    metrics = _held_out(read, options.fit, tell)
    path = options.out / f"checkpoint-{options.fit.seed}.pt"
    plain = asdict(options.fit) | {"pairs": len(read.texts)}
    begin = _begun(path, plain)
    if begin is None:
        net = fitted(read.pairs, options.fit)
        tell("directions in closed form are fitted")
    else:
        net = MoleculeTextNet(options.fit.size, len(read.counts))
        net.load_state_dict(begin["net"])

    def after(epoch: int, loss: float, adam: torch.optim.Optimizer) -> None:
        tell(f"epoch {epoch} of {options.fit.epochs}: loss {loss:.3f}")
        save(path, {"net": net, "adam": adam}, plain, epoch, time.monotonic() - begun)

    done = None if begin is None else (int(begin["epochs"]), begin["adam"])
    contrast(net, read.pairs, options.fit, after, done)
    folder = options.out / "model"
    write_model(folder, net, read, options, time.monotonic() - begun, metrics)
    return folder


def _held_out(read: MoleculeTexts, fit: MoleculeFit, tell: Tell) -> list[dict[str, Any]]:
    """Mean reciprocal ranks on a tenth of the pairs, by a network of the other nine tenths."""
    order = np.random.default_rng(fit.seed).permutation(len(read.texts))
    left, learned = np.split(order, [max(2, len(order) // _HELD_OUT)])
    pairs, asked = read.pairs.some(np.sort(learned)), read.pairs.some(np.sort(left))
    net = fitted(pairs, fit)
    contrast(net, pairs, fit, lambda *_: None)
    with torch.inference_mode():
        seen, words = molecule_vectors(net, asked.molecules), text_vectors(net, asked.bags)
    rows = both_ranks((seen @ words.T).astype(np.float64), asked.texts)
    floor = chance(len(left))["MRR"]
    out = []
    for direction, ranks in zip(DIRECTIONS, rows, strict=True):
        cases = [str(k) for k in range(len(ranks))]
        bounds = interval(ranks, cases, fit.seed, lambda r: measures(r)["MRR"])
        tell(f"MRR on a tenth left out, {direction}: {bounds[0]:.1f} % (chance {floor:.1f})")
        numbers = dict(zip(("value", "low", "high"), (round(b, 2) for b in bounds), strict=True))
        out.append(
            {
                "name": f"MRR, {direction}",
                **numbers,
                "n": len(ranks),
                "set": "a tenth of the pairs, by a network of the other nine tenths",
                "baseline": {"name": "chance", "value": round(floor, 2)},
            }
        )
    return out


def _begun(path: Path, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """A checkpoint of the same options."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state if state["options"] == options else None


def write_model(
    folder: Path,
    net: MoleculeTextNet,
    read: MoleculeTexts,
    options: MoleculesTraining,
    seconds: float,
    metrics: Sequence[Mapping[str, Any]],
) -> None:
    """Weights as float16, config and card."""
    folder.mkdir(exist_ok=True)
    state = {k: v.half().contiguous() for k, v in net.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    config = {"size": asdict(net.size), "counts": read.counts}
    card = _card(options, len(read.texts), seconds)
    card["metrics"] = list(metrics)
    write_described(folder, config, card)


def _card(options: MoleculesTraining, count: int, seconds: float) -> dict[str, Any]:
    fit = options.fit
    return {
        "task": "retrieve",
        "name": NAME,
        "version": "0.1.0",
        "summary": "one space for molecules and English descriptions of them",
        "licence": "Apache-2.0",
        "use": "any",
        "data": [
            {
                "name": "ChEBI-20, validation part: SMILES with descriptions",
                "source": "doi 10.18653/v1/2021.emnlp-main.47; blender-nlp/MolT5 ChEBI-20_data",
                "licence": "repository BSD-3-Clause; texts of ChEBI CC BY 4.0",
                "use": "training; measures are of five folds of it, each from the other four",
                "n": count,
            }
        ],
        "training": {
            "command": f"mmtool train retrieve --recipe molecules --data {options.data.name} "
            f"-o runs/molecules "
            f"--epochs {fit.epochs} --seed {fit.seed}",
            "method": "regularised canonical correlation of hashed fragments and counts with "
            "hashed words and groups of letters; then, by symmetric contrast with soft targets, "
            "its directions and a graph isomorphism network over atoms and bonds "
            "(after MolFM, 10.48550/arXiv.2307.09484, without a knowledge graph)",
            "seed": fit.seed,
            "seconds": round(seconds),
            "hardware": "2 CPU cores (x86_64)",
            "iterations": fit.epochs,
        },
        "intended_use": "Finding molecules of a collection by words, and descriptions by a "
        "molecule, for research.",
        "limits": [
            "learned from 3,301 pairs of ChEBI: natural products, metabolites, lipids, drugs",
            "descriptions name compounds and classes, so letters of names carry much of the "
            "match; plain words on a use or a property find little",
            "the order of words is not read: 'not a steroid' is near steroids",
            "a score ranks; it is no probability",
        ],
    }
