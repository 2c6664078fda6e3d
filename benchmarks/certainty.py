"""Certainty of ``brain`` on heads and on what is no head: where the threshold of refusal lies.

    python benchmarks/certainty.py --maps MAPS --heads SCAN... --others SCAN...

Heads are synthetic scans of the training maps (never of those held out), whole and spoiled in
several ways, and the real SCANs after ``--heads``, likewise. What is no head are the SCANs after
``--others``, noise, and a ball. Prints Markdown for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from brain import table, thick_slices
from numpy.typing import NDArray

from mmtool.errors import InputError
from mmtool.io.readers import read_volume
from mmtool.models.store import load_state, resolve_model
from mmtool.pipelines.evaluation.brain import CONTRASTS
from mmtool.pipelines.inference import BrainSegmenter
from mmtool.pipelines.training.brain import SIZE, load_codes
from mmtool.pipelines.training.brain_options import split_maps
from mmtool.pipelines.training.synthesis import synthesise

Scan = tuple[NDArray[Any], NDArray[np.float64]]

_KINDS = {
    "synthetic, T1-like": CONTRASTS["T1-like"],
    "synthetic, any contrast": CONTRASTS["random"],
    "synthetic, any contrast, view cut, thick slices": replace(
        CONTRASTS["random"], crop=1.0, thick=1.0
    ),
}


def spoiled(data: NDArray[Any], affine: NDArray[np.float64]) -> Iterator[tuple[str, Scan]]:
    """A real scan as it is, cut, thick and noisy."""
    data = np.asarray(data, np.float32)
    yield "as it is", (data, affine)
    height = int(np.abs(affine[2, :3]).argmax())
    half = [slice(None)] * 3
    upwards = affine[2, height] > 0
    n = data.shape[height]
    half[height] = slice(n // 2, n) if upwards else slice(0, n - n // 2)
    moved = affine.copy()
    moved[:3, 3] += affine[:3, height] * (half[height].start or 0)
    yield "upper half", (data[tuple(half)], moved)
    step = max(1, round(5 / float(np.linalg.norm(affine[:3, height]))))
    yield "5 mm slices", thick_slices(data, affine, height, step)
    rng = np.random.default_rng(0)
    spread = float(np.quantile(data, 0.99) - np.quantile(data, 0.01))
    yield "noise of 10 %", (data + rng.normal(0, 0.1 * spread, data.shape), affine)


def heads(maps: Path, scans: list[Path]) -> Iterator[tuple[str, Scan]]:
    """Name of the group, and a scan."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    for number, path in enumerate(split_maps(maps, 4)[0]):
        codes = load_codes(path)
        for kind, options in _KINDS.items():
            rng = np.random.default_rng([11, number])
            yield kind, (synthesise(codes, SIZE, options, rng)[0].image.numpy(), affine)
    for path in scans:
        volume = read_volume(path)
        for kind, scan in spoiled(volume.data, volume.affine):
            yield f"real, {kind}", scan


def others(scans: list[Path]) -> Iterator[tuple[str, Scan]]:
    """Name of the group, and a scan."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    for seed in range(3):
        rng = np.random.default_rng(seed)
        yield "noise", (rng.normal(100, 20, (96, 96, 96)), affine)
        radius = np.linalg.norm(np.mgrid[-48:48, -48:48, -48:48], axis=0)
        ball = np.where(radius < 30 + 5 * seed, 100.0, 0.0)
        yield "ball", (ball + rng.normal(0, 5, ball.shape), affine)
    for path in scans:
        try:
            volume = read_volume(path)
        except InputError:
            continue
        yield path.name.split(".")[0].split("_")[-1], (volume.data, volume.affine)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--heads", type=Path, nargs="*", default=[])
    parser.add_argument("--others", type=Path, nargs="*", default=[])
    parser.add_argument("--model", default="brain")
    args = parser.parse_args()
    files = resolve_model("segment", args.model)
    segmenter = BrainSegmenter(files.config, load_state(files), torch.device("cpu"))
    for title, scans in (
        ("head", heads(args.maps, args.heads)),
        ("no head", others(args.others)),
    ):
        groups: dict[str, list[float]] = {}
        for name, scan in scans:
            groups.setdefault(name, []).append(segmenter(*scan).certainty)
        table(
            (title, "scans", "lowest", "median", "highest"),
            [(n, str(len(v)), min(v), float(np.median(v)), max(v)) for n, v in groups.items()],
        )


if __name__ == "__main__":
    main()
