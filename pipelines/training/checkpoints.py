"""Checkpoints of a training that can be stopped: written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def save(
    path: Path | None, parts: dict[str, Any], options: dict[str, Any], epochs: int, seconds: float
) -> None:
    """Write the states of all parts, what they were trained with, and how far; not if None."""
    if path is None:
        return
    half = path.with_suffix(".half")
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({"options": options, "epochs": epochs, "s": seconds} | states, half)
    half.replace(path)


def resume(path: Path | None, parts: dict[str, Any], options: dict[str, Any]) -> tuple[int, float]:
    """Epochs and seconds that a checkpoint of the same options holds, after loading it."""
    if path is None or not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    if state["options"] != options:
        return 0, 0.0
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["epochs"]), float(state["s"])
