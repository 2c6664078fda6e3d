"""The card of a joint encoder, before it was measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmtool.models.files import hash_file
from mmtool.pipelines.evaluation.retrieve_probes import Row
from mmtool.pipelines.training.retrieve_fit import FitOptions
from mmtool.pipelines.training.retrieve_pretrain import PretrainOptions


def write_encoder(
    folder: Path,
    config: dict[str, Any],
    data: Path,
    fit: FitOptions,
    counts: tuple[int, int],
    seconds: float,
    rows: Sequence[Row],
    before: tuple[PretrainOptions, Sequence[Path], int],
) -> None:
    """Write config and card beside the weights.

    Args:
        folder: Of the weights.
        config: Of the network.
        data: Folder that it was trained on.
        fit: How.
        counts: Images and pairs of texts that it was trained on.
        seconds: That it took.
        rows: Measures on the cases that were left out.
        before: How the visual side was pre-trained, and on which folders of how many volumes.
    """
    card = _card(fit, config["towers"], *counts, data.name, seconds)
    if before[0].epochs:
        _tell_before(card, *before)
    card["metrics"] = [metric(row, "training cases left out") for row in rows]
    write_described(folder, config, card)


def write_described(folder: Path, config: dict[str, Any], card: dict[str, Any]) -> None:
    """Write config and card beside weights that were written; the card gets the hashes of both."""
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    card["sha256"] = {n: hash_file(folder / n) for n in ("model.safetensors", "config.json")}
    text = json.dumps(card, indent=1, ensure_ascii=False)
    (folder / "card.json").write_text(text + "\n", encoding="utf-8")


def _tell_before(
    card: dict[str, Any], how: PretrainOptions, volumes: Sequence[Path], count: int
) -> None:
    """Say in the card how the visual side was pre-trained."""
    training = card["training"]
    training["command"] += f" --pretrain {how.epochs}"
    training["command"] += "".join(f" --volumes {v.parent.name}/{v.name}" for v in volumes)
    training["method"] += (
        f"; before, the visual side of all by {how.epochs} passes over the pictures alone: "
        "masked autoencoder and SimDINO (10.48550/arXiv.2502.10385) after M3Ret "
        "(10.48550/arXiv.2509.01360)"
    )
    if volumes:
        names = ", ".join(v.name if v.name != "images" else v.parent.name for v in volumes)
        card["data"].append(
            {
                "name": f"volumes without labels: {names}",
                "source": "folders of NIfTI files; see the cards of the models of segment",
                "licence": "as there: research use",
                "use": "pre-training of the visual side",
                "n": count,
            }
        )


def metric(row: Row, where: str) -> dict[str, Any]:
    """A measure as the card has it, beside the floor or chance."""
    floor, low = (row.floor, row.floor_value) if row.floor else ("chance", row.chance)
    baseline = None if low is None else {"name": floor, "value": round(low, 4)}
    numbers = {k: round(getattr(row, k), 4) for k in ("value", "low", "high")}
    return {"name": row.measure, **numbers, "n": row.n, "set": where, "baseline": baseline}


def _card(
    fit: FitOptions, towers: int, images: int, pairs: int, name: str, seconds: float
) -> dict[str, Any]:
    return {
        "task": "retrieve",
        "name": "joint",
        "version": "0.1.0",
        "summary": "one space for CT and MR slices, volumes, chest films and English words",
        "licence": "Apache-2.0",
        "use": "research",
        "data": [
            {
                "name": "MedPix 2.0 and open chest films: images with captions and labels",
                "source": "doi 10.1007/s41019-025-00297-8; ieee8023/covid-chestxray-dataset",
                "licence": "MedPix: not stated; films: CC BY and CC BY-NC-SA by image",
                "use": "training; every 12th case left out to calibrate on and to choose shares",
                "n": images,
            },
            {
                "name": "pairs of texts of Open-i, MedPix and ROCO",
                "source": "Open-i chest reports, MedPix cases, captions of open-access figures",
                "licence": "Open-i: CC BY-NC-ND 4.0; MedPix: not stated; ROCO: CC BY, CC0 or SA",
                "use": "training of the text side",
                "n": pairs,
            },
        ],
        "training": {
            "command": f"mmtool train retrieve --data {name} -o runs/retrieve "
            f"--epochs {fit.epochs} --towers {towers} --seed {fit.seed}",
            "method": f"{towers} networks side by side, each from the next seed: instance, token "
            "and prototype loss of MGCA (10.48550/arXiv.2210.06044), "
            "soft targets and descriptions of FLAIR (10.1016/j.media.2024.103357), labels; beside "
            "it what is counted in pictures, along axes in which images of a case differ little "
            "(10.21437/Interspeech.2006-183), topics of words, and ridge between them; "
            "shares chosen on the cases left out",
            "seed": fit.seed,
            "seconds": round(seconds),
            "hardware": "2 CPU cores (x86_64)",
            "iterations": fit.epochs,
        },
        "intended_use": "Finding similar pictures and texts in a collection, for research. "
        "Not a medical device.",
        "limits": [
            "trained on single slices of CT and MR and on chest films; all else is outside",
            "knows modality, plane and region well, lesions hardly: read the hits, not the score",
            "the upper 7 % and the lower 9 % of a picture are not looked at",
            "trained on images alone, a volume is seen through slabs of three slices",
            "the text side reads English, at most 64 words",
        ],
    }
