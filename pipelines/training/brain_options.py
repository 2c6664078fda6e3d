"""Options of a training run of ``brain``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmtool.errors import InputError


@dataclass(frozen=True)
class BrainTraining:
    """One training run.

    Attributes:
        maps: Folder of label maps, ``*.nii.gz``, RAS, 2 mm.
        out: Folder for checkpoint, log and exported model.
        holdout: Every ``holdout``-th map (sorted by name) is left out of training.
        iterations: Steps in all; a resumed run may name another number.
        decay: Share of the steps, at the end, over which the learning rate falls to zero.
        rate: Peak learning rate of AdamW; Muon's is ten times that.
        start: Name or folder of a model whose weights training starts from, or nothing. Contrasts
            are then wide from the first step.
        precision: ``float32``, or ``bfloat16`` for the network's passes (weights stay float32).
        widths: Channels of the levels.
        seed: Everything random follows from it.
        device: Torch device name.
        workers: Processes that draw scans.
    """

    maps: Path
    out: Path
    holdout: int = 4
    iterations: int = 9500
    decay: float = 0.3
    rate: float = 2e-3
    start: str = ""
    precision: str = "float32"
    widths: tuple[int, ...] = (24, 48, 96, 128)
    seed: int = 0
    device: str = "cpu"
    workers: int = 1


def split_maps(folder: Path, holdout: int) -> tuple[list[Path], list[Path]]:
    """Training maps and held-out maps (every ``holdout``-th of the sorted names)."""
    paths = sorted(folder.glob("*.nii.gz"))
    if len(paths) < 2:
        raise InputError(f"{folder} holds {len(paths)} label maps (*.nii.gz)", "two are needed")
    kept = [p for i, p in enumerate(paths) if (i + 1) % holdout]
    return kept, [p for p in paths if p not in kept]
