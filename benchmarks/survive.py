"""``mmtool survive`` on the published five folds of TCGA cohorts, beside simpler ways.

Usage: python benchmarks/survive.py DATA OUT [--seed N] [COHORT...]

DATA is the folder with ``tcga``, ``clinical``, ``hif`` and ``splits``. Each cohort's figures are
kept in OUT/<cohort>.json and not computed again. Everything is fitted to a fold's training
patients; no setting was chosen on the folds of the first five cohorts. Prints a table in Markdown:
mean and standard deviation of Harrell's C over the five held-out parts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from survive_cohorts import FIVE, OTHERS, image_table, omics_table, published_folds, write_patients

from mmtool.io.limits import Limits
from mmtool.models.survival.linear import directions, fit_linear
from mmtool.models.survival.scaling import Scaler
from mmtool.models.survival.stack import Stack, StackLearner, expert_risks
from mmtool.models.survival.statistics.brier import brier, integrated_brier
from mmtool.models.survival.statistics.concordance import harrell
from mmtool.pipelines.survive_tables import TableOptions, read_patients
from mmtool.pipelines.training.survive import cross_validate
from mmtool.pipelines.training.survive_data import Fold, make_folds, training_data
from mmtool.survival import Cohort, Prediction

# Published on the same folds without stage and grade: last epoch (MCAT's own results), and the
# epoch that was best on the very patients that are reported (MCAT, MOTCat, CMTA).
PUBLISHED = {
    "MCAT, last epoch": (0.624, 0.580, 0.817, 0.620, 0.622),
    "MCAT, best epoch on the evaluated": (0.672, 0.659, 0.835, 0.659, 0.649),
    "MOTCat, best epoch on the evaluated": (0.683, 0.673, 0.849, 0.670, 0.675),
    "CMTA, best epoch on the evaluated": (0.691, 0.668, 0.853, 0.686, 0.698),
}


def load(data: Path, name: str, folder: Path) -> tuple[Cohort, list[Fold]]:
    """A cohort, and its published folds."""
    path = write_patients(data, name, folder)
    image = image_table(data, name)
    omics = [str(omics_table(data, name)), *([f"hif={image}"] if image else [])]
    patients = read_patients(path, omics, TableOptions(), Limits())
    cohort = training_data(patients, path).cohort
    folds, notes = make_folds(cohort, str(published_folds(data, name)), 0, Limits())
    for note in notes:
        print(f"{name}: {note}", file=sys.stderr)
    return cohort, folds


def score(cohort: Cohort, fold: Fold, risk: np.ndarray) -> float:
    """Harrell's C of a fold's held-out patients who have a risk."""
    known = np.flatnonzero(np.isfinite(risk))
    outcome = cohort.known_outcome().subset(fold.held_out[known])
    return harrell(outcome.time, outcome.event, risk[known])


def concat_ridge(cohort: Cohort, fold: Fold) -> np.ndarray:
    """One ridge Cox regression on the components of all columns side by side."""
    scaled = []
    for block in cohort.blocks.values():
        scaler = Scaler.fit(block.values[fold.train], counts=block.kind == "omics")
        scaled.append(scaler(block.values))
    x = np.concatenate(scaled, axis=1)
    train = x[fold.train]
    outcome = cohort.known_outcome().subset(fold.train)
    return fit_linear(train, outcome, 0, directions(train)).risk(x[fold.held_out])


def brier_score(cohort: Cohort, fold: Fold, prediction: Prediction) -> float:
    """Integrated Brier score up to the time that nine tenths of the held-out patients are below."""
    outcome = cohort.known_outcome().subset(fold.held_out)
    grid = np.linspace(*np.quantile(outcome.time, (0.1, 0.9)), 50)
    place = np.searchsorted(prediction.times, grid, side="right")
    ones = np.ones((len(outcome), 1))
    survival = np.concatenate([ones, prediction.survival], axis=1)[:, place]
    value = integrated_brier(brier(outcome.time, outcome.event, survival, grid), grid)
    return float(value[0])


def measure(data: Path, name: str, folder: Path, seed: int) -> dict[str, list[float]]:
    """Method -> value of each fold."""
    cohort, folds = load(data, name, folder)
    out: dict[str, list[float]] = {}
    begun = time.process_time()

    def tell(line: str) -> None:
        print(f"{name} {line}", file=sys.stderr, flush=True)

    for held in cross_validate(cohort, folds, StackLearner(), seed, tell):
        model, fold = held.model, held.fold
        assert isinstance(model, Stack)
        unseen = cohort.subset(fold.held_out)
        omics = [b.name for b in cohort.blocks.values() if b.kind == "omics"]
        risks = {"stack": held.prediction.risk}
        risks |= {f"{block} alone": p.risk for block, p in held.alone.items()}
        risks["omics, stacked"] = model.predict(unseen.with_blocks(omics)).risk
        no_image = [b.name for b in cohort.blocks.values() if b.kind != "image"]
        risks["stack without image"] = model.predict(unseen.with_blocks(no_image)).risk
        used = model.used(unseen)
        risks["equal weights"] = expert_risks(model.experts, unseen, used).sum(axis=1)
        risks["all columns in one ridge"] = concat_ridge(cohort, fold)
        for method, risk in risks.items():
            out.setdefault(method, []).append(score(cohort, fold, risk))
        out.setdefault("IBS", []).append(brier_score(cohort, fold, held.prediction))
        out.setdefault("seconds", []).append(held.seconds)
    out["cpu_seconds"] = [time.process_time() - begun]
    out["patients"] = [len(cohort)]
    out["events"] = [int(cohort.known_outcome().event.sum())]
    return out


def show(found: dict[str, dict[str, list[float]]]) -> None:
    """Print the table."""
    cohorts = list(found)
    methods = list(dict.fromkeys(m for values in found.values() for m in values))
    print("| method | " + " | ".join(c.upper() for c in cohorts) + " |")
    print("| --- |" + " --- |" * len(cohorts))
    for method in methods:
        cells = []
        for name in cohorts:
            folds = found[name].get(method, [])
            spread = f" ± {np.std(folds):.3f}" if len(folds) > 1 else ""
            cells.append(f"{np.mean(folds):.3f}{spread}" if folds else "")
        print(f"| {method} | " + " | ".join(cells) + " |")
    for method, values in PUBLISHED.items():
        figures = dict(zip(FIVE, values, strict=True))
        cells = [f"{figures[c]:.3f}" if c in figures else "" for c in cohorts]
        print(f"| {method} (published) | " + " | ".join(cells) + " |")
    five = [np.mean(found[c]["stack"]) for c in FIVE if c in found]
    if len(five) == len(FIVE):
        print(f"\nmean of the five: {np.mean(five):.4f}")


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("cohorts", nargs="*", default=[*FIVE, *OTHERS])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_intermixed_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in asked.cohorts:
        kept = asked.out / f"{name}.json"
        if not kept.exists():
            values = measure(asked.data, name, asked.out / "tables", asked.seed)
            kept.write_text(json.dumps(values))
        found[name] = json.loads(kept.read_text())
    show(found)


if __name__ == "__main__":
    main()
