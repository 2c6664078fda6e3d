"""Does the critic choose the better of two label maps that two models made of one scan?

    python benchmarks/critic_models.py crops --recipe hippocampus --data DIR MODEL MODEL...
    python benchmarks/critic_models.py brain --maps MAPS [--peer FOLDER] [--scans N] MODEL...

``crops`` compares all pairs of the models and the atlas (the majority label of the training crops)
on held-out crops. ``brain`` does so on scans drawn from held-out label maps; ``--peer`` is an
18-class MeshNet, whose classes have no sides: a plane through the middle of its pairs divides them.
The better map has the higher mean Dice with the truth. Beside the critic stand the first model of
the pair, the larger map and the one with fewer pieces; a tie counts half. Intervals: bootstrap over
cases, or over label maps. Prints Markdown for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from brain import table
from crops import majority
from meshnet import STRUCTURES
from numpy.typing import NDArray

from mmtool.anatomy import BRAIN_LABELS
from mmtool.models.store import resolve_model
from mmtool.pipelines.critic import judge
from mmtool.pipelines.critic_reference import MARGIN
from mmtool.pipelines.critic_rules import measure_shapes
from mmtool.pipelines.evaluation.brain import CONTRASTS, sided_labels
from mmtool.pipelines.evaluation.overlap import bootstrap_mean, dice_per_label
from mmtool.pipelines.segmenter import Segmenter
from mmtool.pipelines.segmenters import load_segmenter
from mmtool.pipelines.training.brain import SIZE, load_codes
from mmtool.pipelines.training.brain_options import split_maps
from mmtool.pipelines.training.crop_recipes import RECIPES
from mmtool.pipelines.training.crops import load_case, split_pairs
from mmtool.pipelines.training.synthesis import synthesise

Labels = NDArray[np.uint8]
CPU = torch.device("cpu")
NAMES = {label.name: label.index for label in BRAIN_LABELS}


@dataclass(frozen=True)
class Scan:
    """A scan, its truth and what each model made of it."""

    group: str  # cases of one group are not independent
    data: NDArray[np.float32]
    affine: NDArray[np.float64]
    truth: Labels
    maps: dict[str, Labels]


def load(folders: Sequence[str]) -> dict[str, Segmenter]:
    """Models by the names of their folders; ``RUN/model`` is named after RUN."""
    named = {Path(f).parent.name if Path(f).name == "model" else Path(f).name: f for f in folders}
    return {n: load_segmenter(resolve_model("segment", f), CPU) for n, f in named.items()}


def crop_scans(data: Path, recipe_name: str, folders: Sequence[str]) -> Iterator[Scan]:
    """Held-out crops."""
    recipe, models = RECIPES[recipe_name], load(folders)
    kept, held = split_pairs(data, 4)
    atlas = majority([load_case(*pair, recipe) for pair in kept], recipe)
    affine = np.diag([recipe.spacing_mm] * 3 + [1.0])
    for pair in held:
        case = load_case(*pair, recipe)
        maps = {name: model(case.image.numpy(), affine).labels for name, model in models.items()}
        maps["atlas"] = atlas(case)
        yield Scan(case.name, case.image.numpy(), affine, case.classes.numpy(), maps)


def brain_scans(
    maps: Path, folders: Sequence[str], peer: Path | None, scans: int
) -> Iterator[Scan]:
    """Drawn scans; contrasts take turns. The fluid is left out, since the peer does not know it."""
    models = load(folders)
    mesh = load_segmenter(resolve_model("segment", str(peer)), CPU) if peer else None
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    for draw in range(scans):
        for number, path in enumerate(split_maps(maps, 4)[1]):
            rng = np.random.default_rng([31, number, draw])
            options = CONTRASTS["T1-like" if draw % 2 == 0 else "random"]
            sample = synthesise(load_codes(path), SIZE, options, rng)[0]
            image = sample.image.numpy()
            found = {name: model(image, affine).labels for name, model in models.items()}
            if mesh:
                found["MeshNet"] = sided(mesh(image, affine).labels)
            truth = sided_labels(sample)
            for labels in (truth, *found.values()):
                labels[labels == NAMES["cerebrospinal fluid"]] = 0
            yield Scan(path.name, image, affine, truth, found)


def sided(classes: Labels) -> Labels:
    """Labels of ``brain`` for MeshNet's classes on a grid whose first axis runs to the right."""
    out = np.zeros_like(classes)
    pairs = {i: n for i, n in STRUCTURES.items() if f"left {n}" in NAMES}
    spots = np.argwhere(classes > 0)
    values = classes[classes > 0]
    known = np.column_stack([np.ones(len(spots)), spots[:, 1:]])
    plane = np.array([spots[:, 0].mean(), 0.0, 0.0])
    for _ in range(4):  # the plane divides pairs, and goes through the middle between them
        left = spots[:, 0] < known @ plane
        halves = [[spots[(values == i) & (left == s)] for s in (True, False)] for i in pairs]
        middles = np.array([(a.mean(0) + b.mean(0)) / 2 for a, b in halves if len(a) and len(b)])
        if len(middles) < 4:
            break
        flat = np.column_stack([np.ones(len(middles)), middles[:, 1:]])
        plane = np.linalg.lstsq(flat, middles[:, 0], rcond=None)[0]
    left = spots[:, 0] < known @ plane
    for index, name in STRUCTURES.items():
        here = values == index
        for side, there in (("left ", here & left), ("right ", here & ~left)):
            wanted = NAMES[f"{side if index in pairs else ''}{name}"]
            out[tuple(spots[there].T)] = wanted
    return out


@dataclass(frozen=True)
class Choice:
    """Two maps of a scan: how good they are, and what the critic and simple rules say."""

    group: str
    pair: str
    dice: tuple[float, float]
    lead: float  # of the first, log odds
    voxels: tuple[int, int]
    pieces: tuple[int, int]


def choices(scan: Scan, structures: str) -> Iterator[Choice]:
    """All pairs of maps."""
    held = [int(i) for i in np.unique(scan.truth) if i]
    for one, two in combinations(scan.maps, 2):
        maps = [scan.maps[one], scan.maps[two]]
        dice = [float(np.nanmean([*dice_per_label(scan.truth, m, held).values()])) for m in maps]
        said = judge(scan.data, scan.affine, maps, structures=structures, asked=held)
        chance = float(np.clip(said.probability_a or 0.0, 1e-12, 1 - 1e-12))
        pieces = [sum(s.pieces for s in measure_shapes(m, scan.affine).values()) for m in maps]
        yield Choice(
            scan.group,
            f"{one} or {two}",
            (dice[0], dice[1]),
            float(np.log(chance / (1 - chance))),
            (int((maps[0] > 0).sum()), int((maps[1] > 0).sum())),
            (pieces[0], pieces[1]),
        )


def right(lead: float, choice: Choice) -> float:
    """1, 0, or one half for a tie."""
    return float((np.sign(lead) * np.sign(choice.dice[0] - choice.dice[1]) + 1) / 2)


def shown(own: Sequence[Choice], values: Sequence[float]) -> str:
    """Mean with its interval over groups."""
    groups: dict[str, list[float]] = {}
    for choice, value in zip(own, values, strict=True):
        groups.setdefault(choice.group, []).append(value)
    i = bootstrap_mean(list(groups.values()))
    return f"{i.mean:.3f} [{i.low:.3f}, {i.high:.3f}]"


def report(found: Sequence[Choice], kind: str) -> None:
    """A row for each pair of models, and one for all."""
    rows = []
    for pair in [*dict.fromkeys(c.pair for c in found), "all pairs"]:
        own = [c for c in found if pair in (c.pair, "all pairs")]
        forced = [right(c.lead, c) for c in own]
        sure = [c for c in own if abs(c.lead) >= MARGIN]
        told = f"{np.mean([right(c.lead, c) for c in sure]):.3f}" if sure else ""
        chosen = np.mean([c.dice[0] if c.lead >= 0 else c.dice[1] for c in own])
        simple = (
            [right(1.0, c) for c in own],
            [right(c.voxels[0] - c.voxels[1], c) for c in own],
            [right(c.pieces[1] - c.pieces[0], c) for c in own],
        )
        one, two = (float(np.mean([c.dice[n] for c in own])) for n in (0, 1))
        best = float(np.mean([max(c.dice) for c in own]))
        rows.append(
            (
                *(kind, pair, str(len(own)), shown(own, forced), told),
                f"{1 - len(sure) / len(own):.3f}",
                *(f"{np.mean(s):.3f}" for s in simple),
                *(one, two, float(chosen), best),
            )
        )
    table(
        (
            *("scans", "pair", "n", "right, forced [95 %]", "right, when sure", "unsure"),
            *("always the first", "larger", "fewer pieces"),
            *("Dice of the first", "of the second", "of the chosen", "of the better"),
        ),
        rows,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("crops", "brain"))
    parser.add_argument("models", nargs="+")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="hippocampus")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--maps", type=Path)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--scans", type=int, default=2, help="of each held-out map")
    args = parser.parse_args()
    torch.set_num_threads(1)
    crops = args.kind == "crops"
    scans = (
        crop_scans(args.data, args.recipe, args.models)
        if crops
        else brain_scans(args.maps, args.models, args.peer, args.scans)
    )
    structures = args.recipe if crops else "brain"
    report([c for scan in scans for c in choices(scan, structures)], structures)


if __name__ == "__main__":
    main()
