"""Options of a training run of ``brain``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmtool.errors import InputError
from mmtool.pipelines.training.run import Schedule


@dataclass(frozen=True, kw_only=True)
class BrainTraining(Schedule):
    """One training run. From a model (``start``), contrasts are wide from the first step.

    Attributes:
        maps: Folder of label maps, ``*.nii.gz``, RAS, 2 mm.
        holdout: Every ``holdout``-th map (sorted by name) is left out of training.
        widths: Channels of the levels.
    """

    maps: Path
    holdout: int = 4
    widths: tuple[int, ...] = (24, 48, 96, 128)


def split_maps(folder: Path, holdout: int) -> tuple[list[Path], list[Path]]:
    """Training maps and held-out maps (every ``holdout``-th of the sorted names)."""
    paths = sorted(folder.glob("*.nii.gz"))
    if len(paths) < 2:
        raise InputError(f"{folder} holds {len(paths)} label maps (*.nii.gz)", "two are needed")
    kept = [p for i, p in enumerate(paths) if (i + 1) % holdout]
    return kept, [p for p in paths if p not in kept]
