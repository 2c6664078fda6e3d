"""``mmtool train survive``: folds first, to say how good it is; then a model from all patients."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmtool import __version__
from mmtool.io.limits import Limits
from mmtool.io.readers.signatures import read_signatures
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.tables import write_tsv
from mmtool.models.card import CONFIG, WEIGHTS
from mmtool.models.files import hash_file
from mmtool.models.survival.kinds import named_learner
from mmtool.models.survival.stack_file import NETWORK as STACK
from mmtool.models.survival.statistics.concordance import concordance, harrell
from mmtool.pipelines.survive_model import SurviveModel
from mmtool.pipelines.survive_slides import SlideOptions, with_slides
from mmtool.pipelines.survive_tables import CLINICAL, TableOptions, named_path, read_patients
from mmtool.pipelines.training.survive_data import (
    Fold,
    TrainingData,
    make_folds,
    summary_of,
    training_data,
)
from mmtool.survival import Cohort, Floats, Learner, Outcome, Prediction, SurvivalModel

log = logging.getLogger(__name__)
Tell = Callable[[str], None]
_REPLICATES = 500
_METHODS = {
    STACK: "per block a ridge Cox regression and a forest of relative-risk trees; non-negative "
    "stacking on held-out risks; Breslow baseline"
}
_FUSION = "tokens of each modality to the hazards of intervals of time"
_HORIZONS = {
    "months": (12.0, 36.0, 60.0),
    "days": (365.0, 1095.0, 1825.0),
    "years": (1.0, 3.0, 5.0),
}


@dataclass(frozen=True, kw_only=True)
class SurviveTraining:
    """Options of a run.

    Attributes:
        patients: Table of patients with outcomes.
        omics: Further tables.
        out: Folder of the run.
        tables: How the tables are to be read.
        slides: Where slides or features of them are.
        splits: Number of folds, or folder of published ones.
        horizons: Times of interest; by the unit or the events if empty.
        name: Of the model.
        terms: Under which terms the data are used.
        recipe: Learner, as `learner_names` has them.
        signatures: Table of groups of genes, tokens of the fusion networks.
        seed: Of everything random.
    """

    patients: Path
    omics: tuple[str, ...] = ()
    out: Path
    tables: TableOptions = field(default_factory=TableOptions)
    slides: SlideOptions = field(default_factory=SlideOptions)
    splits: str = "5"
    horizons: tuple[float, ...] = ()
    name: str = "survive"
    terms: str = "not stated"
    recipe: str = STACK
    signatures: Path | None = None
    seed: int = 0


@dataclass(frozen=True)
class HeldOut:
    """What a model that did not know them said of the patients of a fold.

    Attributes:
        fold: The fold.
        model: Fitted to its training patients.
        prediction: Of its held-out patients.
        alone: Block -> prediction from that block alone.
        seconds: That fitting took.
    """

    fold: Fold
    model: SurvivalModel
    prediction: Prediction
    alone: dict[str, Prediction]
    seconds: float


def cross_validate(
    cohort: Cohort, folds: Sequence[Fold], learner: Learner, seed: int, tell: Tell = log.info
) -> list[HeldOut]:
    """Fit to the training patients of each fold; predict the others, with their outcomes taken off.

    Args:
        cohort: With outcomes.
        folds: Rows of it.
        learner: Fits.
        seed: Of each fit.
        tell: Called after each fold.
    """
    out = []
    for fold in folds:
        begun = time.monotonic()
        model = learner.fit(cohort.subset(fold.train), seed)
        unseen = replace(cohort.subset(fold.held_out), outcome=None)
        prediction = model.predict(unseen)
        alone = {n: model.predict(unseen.with_blocks([n])) for n in prediction.modalities}
        seconds = time.monotonic() - begun
        out.append(HeldOut(fold, model, prediction, alone, seconds))
        c = fold_concordance(cohort, fold, prediction)
        tell(f"fold {fold.name}: C {c:.3f} on {len(fold.held_out)} patients, {seconds:.0f} s")
    return out


def fold_concordance(cohort: Cohort, fold: Fold, prediction: Prediction) -> float:
    """Harrell's C of a fold's held-out patients, those without a risk left out."""
    outcome, risk = _measured(cohort, fold, prediction)
    return harrell(outcome.time, outcome.event, risk)


def _measured(cohort: Cohort, fold: Fold, prediction: Prediction) -> tuple[Outcome, Floats]:
    known = np.flatnonzero(np.isfinite(prediction.risk))
    outcome = cohort.known_outcome().subset(fold.held_out).subset(known)
    return outcome, prediction.risk[known]


def train_survive(options: SurviveTraining, limits: Limits, tell: Tell = log.info) -> Path:
    """Measure on folds, fit to all patients, write the model's folder, and give its path.

    Raises:
        InputError: The tables can't be learned from.
        UsageError: The folds are no folds.
    """
    begun = time.monotonic()
    learner = named_learner(options.recipe, read_signatures(options.signatures, limits))
    patients = read_patients(options.patients, options.omics, options.tables, limits)
    patients = with_slides(patients, options.slides, options.out, limits)
    data = training_data(patients, options.patients)
    for line in (*patients.notes, *data.notes, *(c.says() for c in data.schema.columns)):
        tell(line)
    for line in summary_of(data.cohort):
        tell(line)
    folds, notes = make_folds(data.cohort, options.splits, options.seed, limits)
    for note in notes:
        tell(note)
    held_out = cross_validate(data.cohort, folds, learner, options.seed, tell)
    tell("fitting to all patients")
    predictor = learner.fit(data.cohort, options.seed)
    for note in predictor.notes:
        tell(note)
    outcome = data.cohort.known_outcome()
    horizons = options.horizons or _usual_horizons(patients.unit, outcome)
    model = SurviveModel(predictor, data.schema, patients.unit, horizons, outcome)
    return _written(model, data, held_out, options, round(time.monotonic() - begun))


def _usual_horizons(unit: str, outcome: Outcome) -> tuple[float, ...]:
    """Those of the unit as far as patients were watched, else quartiles of the event times."""
    end = float(np.quantile(outcome.time, 0.95))
    known = tuple(h for h in _HORIZONS.get(unit, ()) if h <= end)
    died = np.quantile(outcome.time[outcome.event], (0.25, 0.5, 0.75))
    return known or tuple(float(f"{t:.3g}") for t in died)


def _written(
    model: SurviveModel,
    data: TrainingData,
    held_out: Sequence[HeldOut],
    options: SurviveTraining,
    seconds: int,
) -> Path:
    from safetensors.torch import save_file

    folder = options.out / "model"
    folder.mkdir(parents=True, exist_ok=True)
    tensors, config = model.pack()
    save_file(tensors, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
    write_json(folder / CONFIG, config)
    write_folds(options.out, data.cohort, held_out)
    write_json(folder / "card.json", _card(model, data, held_out, options, folder, seconds))
    return folder


def write_folds(out: Path, cohort: Cohort, held_out: Sequence[HeldOut]) -> None:
    """Write ``folds.tsv`` (C of each fold) and ``predictions.tsv`` (what was said of whom)."""
    names = list(dict.fromkeys(n for h in held_out for n in h.alone))
    rows, lines = [], []
    for held in held_out:
        c = fold_concordance(cohort, held.fold, held.prediction)
        alone = [
            fold_concordance(cohort, held.fold, held.alone[n]) if n in held.alone else None
            for n in names
        ]
        outcome = cohort.known_outcome().subset(held.fold.held_out)
        counts = (len(held.fold.train), len(outcome), int(outcome.event.sum()))
        rows.append((held.fold.name, *counts, c, *alone, round(held.seconds, 1)))
        for i, row in enumerate(held.fold.held_out):
            known = (float(outcome.time[i]), int(outcome.event[i]))
            lines.append((cohort.ids[row], held.fold.name, *known, float(held.prediction.risk[i])))
    columns = ("fold", "train", "held_out", "events", "c_index")
    write_tsv(out / "folds.tsv", (*columns, *(f"c_index_{n}" for n in names), "seconds"), rows)
    write_tsv(out / "predictions.tsv", ("patient_id", "fold", "time", "event", "risk"), lines)


def mean_concordance(
    cohort: Cohort, parts: Sequence[tuple[Fold, Prediction]], seed: int
) -> tuple[float, float, float]:
    """Mean of the folds' C, and its 95 % interval over other draws of the held-out patients."""
    rng = np.random.default_rng(seed)
    points, drawn = [], np.zeros(_REPLICATES)
    for fold, prediction in parts:
        outcome, risk = _measured(cohort, fold, prediction)
        size = len(outcome)
        weights = rng.multinomial(size, np.full(size, 1 / size), size=_REPLICATES)
        points.append(harrell(outcome.time, outcome.event, risk))
        drawn += concordance(
            outcome.time, outcome.event, risk, weights=weights.astype(np.float64)
        ) / len(parts)
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    mean = float(np.mean(points))
    return mean, min(float(low), mean), max(float(high), mean)


def _metrics(
    cohort: Cohort, held_out: Sequence[HeldOut], seed: int, splits: str
) -> list[dict[str, Any]]:
    parts = [(h.fold, h.prediction) for h in held_out]
    mean, low, high = mean_concordance(cohort, parts, seed)
    baseline = None
    if all(CLINICAL in h.alone for h in held_out) and len(cohort.blocks) > 1:
        own = mean_concordance(cohort, [(h.fold, h.alone[CLINICAL]) for h in held_out], seed)
        baseline = {"name": "clinical columns alone", "value": round(own[0], 4)}
    made = "made here" if splits.isdigit() else "published"
    return [
        {
            "name": "Harrell's C, mean of folds",
            "value": round(mean, 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "n": sum(len(h.fold.held_out) for h in held_out),
            "set": f"held-out patients of {len(held_out)} folds, {made}; each fold's model knew "
            "none of them",
            "baseline": baseline,
        }
    ]


def _card(
    model: SurviveModel,
    data: TrainingData,
    held_out: Sequence[HeldOut],
    options: SurviveTraining,
    folder: Path,
    seconds: int,
) -> dict[str, Any]:
    outcome = data.cohort.known_outcome()
    named = [named_path(given) for given in options.omics]
    tables = ", ".join([options.patients.name, *(path.name for _, path in named)])
    return {
        "task": "survive",
        "name": options.name,
        "version": __version__,
        "summary": f"survival of {len(outcome)} patients from "
        f"{', '.join(model.predictor.modalities)}",
        "licence": "Apache-2.0",
        "use": "research",
        "data": [
            {
                "name": options.name,
                "source": tables,
                "licence": options.terms,
                "use": f"weights, baseline hazard and percentiles; {int(outcome.event.sum())} "
                "events. The model holds the times and events of its patients, no names",
                "n": len(outcome),
            }
        ],
        "training": {
            "command": _command(options),
            "method": _METHODS.get(options.recipe, f"fusion network {options.recipe}: {_FUSION}"),
            "seed": options.seed,
            "iterations": len(held_out),
            "seconds": seconds,
            "hardware": f"{os.cpu_count()} CPU cores ({platform.machine()})",
        },
        "sha256": {name: hash_file(folder / name) for name in (WEIGHTS, CONFIG)},
        "metrics": _metrics(data.cohort, held_out, options.seed, options.splits),
        "intended_use": "Research on prognosis in patients like those of the training data. Not a "
        "medical device.",
        "limits": [
            "says nothing of causes: a feature with a high weight need not matter",
            "patients of another time, place or treatment fare otherwise; measure it on them",
            "values must be of the kind and scale of the training tables",
        ],
    }


def _command(options: SurviveTraining) -> str:
    """The command line, with paths of no one's machine."""
    words = ["mmtool train survive", options.patients.name]
    for name, path in map(named_path, options.omics):
        words.append(f"--omics {name}={path.name}")
    words += [f"--slides {options.slides.folder.name}"] if options.slides.folder else []
    splits = options.splits if options.splits.isdigit() else Path(options.splits).name
    for flag, value in (("id", options.tables.id_column), ("time", options.tables.time)):
        words += [f"--{flag} {value}"] if value else []
    for flag, value in (("event", options.tables.event), ("group", options.tables.group)):
        words += [f"--{flag} {value}"] if value else []
    words += [f"--recipe {options.recipe}"] if options.recipe != STACK else []
    words += [f"--signatures {options.signatures.name}"] if options.signatures else []
    words += [f"--ignore {name}" for name in options.tables.ignore]
    words.append(f'--splits {splits} --name {options.name} --terms "{options.terms}"')
    return " ".join([*words, f"--seed {options.seed}"])
