"""Figures of ``brain``: held-out synthetic scans, agreement with a peer, stability, time.

    python benchmarks/brain.py --maps MAPS --meshnet FOLDER SCAN... [--card CARD] [--work DIR]

MAPS are the label maps of training (every fourth was held out). SCAN are real T1 scans; MeshNet's
labels of them are kept in DIR, for they take minutes. MeshNet is no truth: agreement says that
what was learned from synthetic scans holds on real ones. ``--card`` writes the figures into a
model card. Prints Markdown for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from meshnet import STRUCTURES, meshnet
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from nibabel.processing import resample_from_to
from numpy.typing import NDArray

from mmtool.anatomy import BRAIN_LABELS
from mmtool.io.readers import read_volume
from mmtool.io.writers.json_file import write_json
from mmtool.models.store import load_state, resolve_model
from mmtool.pipelines.evaluation.brain import BrainScore, evaluate_brain
from mmtool.pipelines.evaluation.overlap import bootstrap_mean, dice_per_label
from mmtool.pipelines.inference import BrainSegmenter

Labels = NDArray[np.integer[Any]]
Affine = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """With the peer on one scan: Dice and volumes (mL, sides merged) of each structure, seconds."""

    dice: dict[str, float]
    own_ml: dict[str, float]
    peer_ml: dict[str, float]
    own_seconds: float
    peer_seconds: float


def agreement(segmenter: BrainSegmenter, scan: Path, peer: Path, work: Path) -> Agreement:
    """Label a scan by both networks and compare."""
    cached, clock = work / f"{scan.name.split('.')[0]}_meshnet.nii.gz", float("nan")
    if not cached.exists():
        began = time.perf_counter()
        labels = meshnet(peer, scan)
        clock = time.perf_counter() - began
        nibabel.save(labels, cached)
    volume = read_volume(scan)
    began = time.perf_counter()
    found = segmenter(volume.data, volume.affine).labels
    own = time.perf_counter() - began
    theirs = resample_from_to(nibabel.load(cached), (volume.shape, volume.affine), order=0)
    table = np.zeros(256, np.uint8)
    index_of = {name: index for index, name in STRUCTURES.items()}
    for label in BRAIN_LABELS:
        name = label.name.removeprefix("left ").removeprefix("right ")
        table[label.index] = index_of.get(name, 0)
    peer_labels, own_labels = np.asarray(theirs.dataobj).astype(np.uint8), table[found]
    ml = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000

    def volumes(labels: Labels) -> dict[str, float]:
        counts = np.bincount(labels.ravel(), minlength=256) * ml
        return {name: float(counts[index]) for index, name in STRUCTURES.items()}

    dice = dice_per_label(peer_labels, own_labels, STRUCTURES)
    return Agreement(
        {STRUCTURES[i]: d for i, d in dice.items()},
        volumes(own_labels),
        volumes(peer_labels),
        own,
        clock,
    )


def stability(segmenter: BrainSegmenter, scan: Path) -> list[tuple[str, float, float]]:
    """Mean and lowest Dice with the plain result when the same head comes in another form."""
    volume = read_volume(scan)
    data, affine = np.asarray(volume.data, np.float32), volume.affine
    image = nibabel.Nifti1Image(data, affine)
    plain = segmenter(data, affine).labels
    out = []
    for codes in ("LPS", "ASR", "PIL"):
        turn = ornt_transform(io_orientation(affine), axcodes2ornt(tuple(codes)))
        turned = image.as_reoriented(turn)
        found = segmenter(np.asarray(turned.dataobj), turned.affine).labels
        back = ornt_transform(io_orientation(turned.affine), io_orientation(affine))
        again = nibabel.Nifti1Image(found, turned.affine).as_reoriented(back)
        out.append((f"stored as {codes}", *_overlap(plain, np.asarray(again.dataobj))))
    for axis, name in enumerate(("sagittal", "coronal", "axial")):
        found, kept = _thick(segmenter, data, affine, axis)
        out.append((f"{name} slices of 5 mm", *_overlap(plain[kept], found)))
    rng = np.random.default_rng(0)
    noisy = data + rng.normal(0, 0.1 * np.percentile(data, 99), data.shape).astype(np.float32)
    out.append(("noise of 10 %", *_overlap(plain, segmenter(noisy, affine).labels)))
    dark, bright = np.percentile(data[data > data.min()], (1, 99))
    negative = np.where(data > dark, dark + bright - data, data.min()).astype(np.float32)
    out.append(("contrast inverted", *_overlap(plain, segmenter(negative, affine).labels)))
    return out


def same_head(segmenter: BrainSegmenter, one: Path, other: Path) -> tuple[float, float]:
    """Mean and lowest Dice between two images of one head on one grid."""
    volumes = [read_volume(path) for path in (one, other)]
    if not np.allclose(volumes[0].affine, volumes[1].affine):
        raise ValueError(f"{one} and {other} lie on two grids")
    a, b = (segmenter(v.data, v.affine).labels for v in volumes)
    return _overlap(a, b)


def _thick(
    segmenter: BrainSegmenter, data: NDArray[np.float32], affine: Affine, axis: int
) -> tuple[Labels, tuple[slice, ...]]:
    """Labels on slices of five voxels, repeated to the fine grid, and which part that covers."""
    count = data.shape[axis] // 5
    kept = tuple(slice(0, count * 5) if a == axis else slice(None) for a in range(3))
    return np.repeat(segmenter(*thick_slices(data, affine, axis, 5)).labels, 5, axis), kept


def thick_slices(
    data: NDArray[np.float32], affine: Affine, axis: int, step: int
) -> tuple[NDArray[np.float32], Affine]:
    """Means of ``step`` voxels along an axis, a rest of fewer cut off, and where they lie."""
    count = data.shape[axis] // step
    parts = np.moveaxis(data, axis, 0)[: count * step]
    mean = np.moveaxis(parts.reshape(count, step, *parts.shape[1:]).mean(1), 0, axis)
    moved = affine.copy()
    moved[:3, 3] += affine[:3, axis] * (step - 1) / 2
    moved[:3, axis] *= step
    return mean, moved


def _overlap(a: Labels, b: Labels) -> tuple[float, float]:
    values = list(dice_per_label(a, b, [label.index for label in BRAIN_LABELS]).values())
    return float(np.nanmean(values)), float(np.nanmin(values))


def metric(name: str, row: dict[str, float], n: int, where: str, base: Any) -> dict[str, Any]:
    """A row of the card."""
    numbers = {key: round(row[key], 4) for key in ("value", "low", "high")}
    return {"name": name, **numbers, "n": n, "set": where, "baseline": base}


def card_rows(scores: list[BrainScore], shared: dict[str, dict[str, float]]) -> list[Any]:
    """Metrics of the card."""
    rows = []
    for s in scores:
        base = {"name": "atlas in the true brain box", "value": round(s.atlas.mean, 4)}
        value = {"value": s.model.mean, "low": s.model.low, "high": s.model.high}
        where = f"{s.contrast} synthetic scans of 4 held-out label maps, 32 structures"
        rows.append(metric("Dice", value, s.model.n, where, base))
    over = bootstrap_mean([[d[name] for d in shared.values()] for name in STRUCTURES.values()])
    value = {"value": over.mean, "low": over.low, "high": over.high}
    where = f"17 structures, sides merged, real T1 scans: {', '.join(shared)}"
    rows.append(metric("Dice with MeshNet (no truth)", value, over.n, where, None))
    return rows


def _cells(a: Agreement, name: str) -> tuple[float, str, str]:
    return a.dice[name], f"{a.own_ml[name]:.1f}", f"{a.peer_ml[name]:.1f}"


def _mean(values: dict[str, float]) -> float:
    return float(np.nanmean(list(values.values())))


def table(head: Sequence[str], rows: Iterable[Sequence[str | float]]) -> None:
    """Print a Markdown table."""
    print("\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for row in rows:
        cells = (f"{c:.3f}" if isinstance(c, float) else c for c in row)
        print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--meshnet", type=Path, required=True)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--stripped", type=Path, help="the last SCAN, on its grid, without skull")
    parser.add_argument("--model", default="brain")
    parser.add_argument("--draws", type=int, default=5, help="scans a map and contrast")
    parser.add_argument("--work", type=Path, default=Path("benchmarks_work"))
    parser.add_argument("--card", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    files = resolve_model("segment", args.model)
    segmenter = BrainSegmenter(files.config, load_state(files), torch.device("cpu"))

    scores = evaluate_brain(segmenter, args.maps, scans=args.draws)
    table(
        ("contrast", "Dice", "95 %", "sd", "atlas", "scans", "wrong side"),
        [
            (
                s.contrast,
                s.model.mean,
                f"{s.model.low:.3f} to {s.model.high:.3f}",
                s.model.sd,
                s.atlas.mean,
                str(s.model.n),
                f"{s.swapped_sides:.2%}",
            )
            for s in scores
        ],
    )
    table(
        ("structure", *(s.contrast for s in scores)),
        [(name, *(s.structures[name] for s in scores)) for name in scores[0].structures],
    )
    shared = {
        scan.name.split(".")[0]: agreement(segmenter, scan, args.meshnet, args.work)
        for scan in args.scans
    }
    table(
        ("scan", "Dice with MeshNet", "seconds", "MeshNet's seconds"),
        [
            (name, _mean(a.dice), f"{a.own_seconds:.1f}", f"{a.peer_seconds:.1f}")
            for name, a in shared.items()
        ],
    )
    table(
        ("structure", *(f"{name}: {what}" for name in shared for what in ("Dice", "mL", "peer"))),
        [
            (n, *(cell for a in shared.values() for cell in _cells(a, n)))
            for n in STRUCTURES.values()
        ],
    )
    rows = stability(segmenter, args.scans[0])
    if args.stripped:
        whole = args.scans[-1]
        name = f"{whole.name.split('.')[0]} with and without its skull"
        rows.append((name, *same_head(segmenter, whole, args.stripped)))
    table(("the same head", "mean Dice", "lowest"), rows)
    if args.card:
        card = json.loads(args.card.read_text())
        card["metrics"] = card_rows(scores, {name: a.dice for name, a in shared.items()})
        write_json(args.card, card)


if __name__ == "__main__":
    main()
