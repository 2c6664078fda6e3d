"""Figures of a model of crops: held-out cases, several seeds, beside an atlas.

    python benchmarks/crops.py --recipe hippocampus --data DIR RUN... [--card CARD]

DIR is the folder that training read; RUN are model folders that training left, one a seed, the one
that ships first. ``--card`` writes the figures of the first into a card. The atlas is the majority
label of the training crops, stretched to the crop: it is told nothing but the crop's size. Prints
Markdown for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from mmtool.io.writers.json_file import write_json
from mmtool.models.store import resolve_model
from mmtool.pipelines.evaluation.overlap import Interval
from mmtool.pipelines.evaluation.scoring import CaseRow, StructureSummary, score_case, summarise
from mmtool.pipelines.segmenters import load_segmenter
from mmtool.pipelines.training.crop_recipes import RECIPES, CropRecipe
from mmtool.pipelines.training.crops import Case, load_case, split_pairs


def majority(train: list[Case], recipe: CropRecipe) -> Callable[[Case], np.ndarray]:
    """The majority label of training crops, to be stretched to any crop."""
    votes = torch.zeros(len(recipe.codes) + 1, *recipe.window)
    for case in train:
        shares = F.one_hot(case.classes.long(), len(votes)).permute(3, 0, 1, 2)[None].float()
        votes += F.interpolate(shares, size=recipe.window, mode="trilinear")[0]

    def guess(case: Case) -> np.ndarray:
        size = list(case.classes.shape)
        values = F.interpolate(votes[None], size=size, mode="trilinear")[0]
        return values.argmax(0).numpy().astype(np.uint8)

    return guess


def atlas_rows(train: list[Case], held: list[Case], recipe: CropRecipe) -> list[CaseRow]:
    """Scores of the majority label."""
    atlas = majority(train, recipe)
    return [row for case in held for row in score(case, atlas(case), recipe)]


def score(case: Case, found: np.ndarray, recipe: CropRecipe) -> list[CaseRow]:
    """Scores of one case; the recipe's labels are the classes 1, 2, ... in their order."""
    names = {i: str(row["name"]) for i, row in enumerate(recipe.labels, start=1)}
    affine = np.diag([recipe.spacing_mm] * 3 + [1.0])
    return score_case(case.classes.numpy(), found, affine, names, case.name)


def model_rows(folder: str, held: list[Case], recipe: CropRecipe) -> list[CaseRow]:
    """Scores of a model."""
    segmenter = load_segmenter(resolve_model("segment", folder), torch.device("cpu"))
    affine = np.diag([recipe.spacing_mm] * 3 + [1.0])
    rows = []
    for case in held:
        rows += score(case, segmenter(case.image.numpy(), affine).labels, recipe)
    return rows


def cells(name: str, seed: str, s: StructureSummary) -> list[str]:
    """A row of the table."""

    def shown(measure: str, digits: int = 3) -> str:
        i: Interval = s.measures[measure]
        return f"{i.mean:.{digits}f} [{i.low:.{digits}f}, {i.high:.{digits}f}]"

    return [
        name,
        seed,
        s.name,
        shown("dice"),
        f"{s.measures['dice'].sd:.3f}",
        shown("nsd_1mm"),
        shown("hd95_mm", 2),
        f"{s.worst_dice:.3f} ({s.worst_case})",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", choices=sorted(RECIPES), required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--fold", type=int, default=4)
    parser.add_argument("--card", type=Path)
    args = parser.parse_args()
    recipe = RECIPES[args.recipe]
    kept, left = split_pairs(args.data, args.fold)
    train, held = ([load_case(*pair, recipe) for pair in pairs] for pairs in (kept, left))
    head = ("model", "seed", "structure", "Dice", "sd", "surface Dice 1 mm", "HD95 mm", "worst")
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    base = summarise(atlas_rows(train, held, recipe))
    summaries = []
    for run in args.runs:
        card = resolve_model("segment", run).card
        summaries.append(summarise(model_rows(run, held, recipe)))
        for s in summaries[-1]:
            print("| " + " | ".join(cells(recipe.name, str(card["training"]["seed"]), s)) + " |")
    for s in base:
        print("| " + " | ".join(cells("atlas", "", s)) + " |")
    means = [s[0].measures["dice"].mean for s in summaries]
    print(f"\nMean Dice over {len(means)} seed(s): {np.mean(means):.4f}, sd {np.std(means):.4f}")
    if args.card:
        card = json.loads(args.card.read_text())
        card["metrics"] = [
            {
                "name": f"{title}, {s.name}",
                **{k: round(getattr(s.measures[m], a), 4) for k, a in _BOUNDS},
                "n": s.cases,
                "set": "held-out crops (every fifth by name)",
                "baseline": {"name": "atlas", "value": round(b.measures[m].mean, 4)},
            }
            for s, b in zip(summaries[0], base, strict=True)
            for m, title in (("dice", "Dice"), ("hd95_mm", "HD95 (mm)"))
        ]
        card["seeds"] = {"mean Dice of each run": [round(m, 4) for m in means]}
        write_json(args.card, card)


_BOUNDS = (("value", "mean"), ("low", "low"), ("high", "high"))

if __name__ == "__main__":
    main()
