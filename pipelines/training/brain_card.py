"""The model card of ``brain``, as far as training knows it; evaluation adds the metrics."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmtool import __version__
from mmtool.pipelines.training.brain_options import BrainTraining, split_maps


@dataclass(frozen=True)
class Progress:
    """What a run has done.

    Attributes:
        steps: Optimiser steps.
        seconds: Time spent in them.
        dice: Mean soft Dice of the last training scans.
        origin: ``training`` of the card whose weights it started from, and their hash; or empty.
    """

    steps: int
    seconds: float
    dice: float
    origin: dict[str, Any]


# No range of intensities: any contrast is meant. Voxels of 0.5 to 2 mm, slices of 5 mm and upper
# halves of heads were measured; less than 60 x 120 mm is no field of view that holds a brain.
TRAINING_RANGES: dict[str, Any] = {
    "from": "what docs/benchmarks.md measured: training draws grids and contrasts at random",
    "finest_mm": [0.4, 2.2],
    "coarsest_mm": [0.4, 6.0],
    "shortest_extent_mm": [60.0, 420.0],
    "longest_extent_mm": [120.0, 420.0],
}


def _command(options: BrainTraining) -> str:
    """The command line of a run, with paths of no one's machine."""
    words = ["mmtool train segment --data synthseg_labels --output runs/brain"]
    words.append(f"--iterations {options.iterations} --holdout {options.holdout}")
    usual = BrainTraining(options.maps, options.out)
    for name in ("start", "rate", "decay", "precision"):
        if getattr(options, name) != getattr(usual, name):
            words.append(f"--{name} {getattr(options, name)}")
    words.append(f"--seed {options.seed} --workers {options.workers}")
    return " ".join([*words, f"--threads {torch.get_num_threads()}"])


def draft_card(folder: Path, options: BrainTraining, done: Progress) -> dict[str, Any]:
    """Card before evaluation: its only metric is that of training.

    Args:
        folder: Holds ``model.safetensors`` and ``config.json``.
        options: Of the run.
        done: What the run has done.
    """
    return {
        "task": "segment",
        "name": "brain",
        "version": __version__,
        "summary": "32 structures and the brain mask in MR head scans of any contrast",
        "licence": "Apache-2.0",
        "use": "any",
        "data": [
            {
                "name": "SynthSeg training label maps, every second voxel (2 mm)",
                "source": "github.com/BBillot/SynthSeg, data/training_label_maps",
                "licence": "Apache-2.0",
                "use": f"every {options.holdout}-th map, by name, was held out; "
                "no real image was used",
                "n": len(split_maps(options.maps, options.holdout)[0]),
            }
        ],
        "training": {
            "command": _command(options),
            "seed": options.seed,
            "iterations": done.steps,
            "seconds": round(done.seconds),
            "hardware": f"{os.cpu_count()} CPU cores ({platform.machine()})",
            "method": "synthetic scans by domain randomisation (10.1016/j.media.2023.102789); "
            "Muon and AdamW; averaged weights",
            **({"started_from": done.origin} if done.origin else {}),
        },
        "sha256": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("model.safetensors", "config.json")
        },
        "metrics": [
            {
                "name": "soft Dice while training",
                "value": round(done.dice, 4),
                "low": round(done.dice, 4),
                "high": round(done.dice, 4),
                "n": 50,
                "set": "training scans, not held out",
                "baseline": None,
            }
        ],
        "intended_use": "Volumes and masks of brain structures in MR scans of whole or "
        "skull-stripped heads, for research. Not a medical device; look at every result.",
        "limits": [
            "works at 2 mm inside: sulci and small structures (accumbens, temporal horn) are "
            "coarse",
            "trained on the label maps of 12 adult heads: tumours, operations, infants and strong "
            "atrophy were never seen",
            "not for CT, and not for animals",
            "white matter lesions count as white matter",
        ],
        "training_ranges": TRAINING_RANGES,
    }
