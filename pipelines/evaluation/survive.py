"""Models of survival on patients whose outcomes are known, and differences between models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.tables import Cell, write_tsv
from mmtool.models.store import ModelFiles, resolve_model
from mmtool.models.survival.statistics.concordance import concordance
from mmtool.pipelines.evaluation.survival_measures import SurvivalMeasures, measure_survival
from mmtool.pipelines.survive_model import SurviveModel, load_survive_model
from mmtool.pipelines.survive_outcomes import in_unit, usable
from mmtool.pipelines.survive_slides import SlideOptions, with_slides
from mmtool.pipelines.survive_tables import Patients, TableOptions, read_patients
from mmtool.survival import Floats, Outcome, Prediction

COLUMNS = ("model", "measure", "horizon", "value", "low", "high", "reference")
_REPLICATES = 1000


@dataclass(frozen=True)
class Evaluated:
    """Measures of one model.

    Attributes:
        model: Its name, or its folder's.
        measures: All that was measured.
        difference: Harrell's C less that of the first model, with its paired interval; None for
            the first.
    """

    model: str
    measures: SurvivalMeasures
    difference: tuple[float, float, float] | None


@dataclass(frozen=True)
class SurviveEvaluation:
    """Measures of one or several models on the same patients."""

    models: tuple[Evaluated, ...]
    notes: tuple[str, ...]

    def rows(self) -> list[tuple[Cell, ...]]:
        """Cells under `COLUMNS`."""
        out: list[tuple[Cell, ...]] = []
        for found in self.models:
            for m in found.measures.measures:
                e = m.estimate
                out.append((found.model, m.name, m.horizon, e.value, e.low, e.high, m.reference))
            if found.difference is not None:
                name = "harrell_c less that of the first"
                out.append((found.model, name, None, *found.difference, None))
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "models": [
                {
                    "model": m.model,
                    "difference_of_harrell_c": m.difference,
                    **m.measures.to_json(),
                }
                for m in self.models
            ],
            "notes": list(self.notes),
        }

    def write(self, folder: Path) -> None:
        """Write ``metrics.tsv`` and ``metrics.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        write_tsv(folder / "metrics.tsv", COLUMNS, self.rows())
        write_json(folder / "metrics.json", self.to_json())


def evaluate_survive(
    patients: Path,
    omics: Sequence[str],
    models: Sequence[str],
    tables: TableOptions,
    *,
    slides: SlideOptions | None = None,
    horizons: tuple[float, ...] = (),
    seed: int = 0,
    limits: Limits | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> SurviveEvaluation:
    """Measure models on the patients of a table; all on those whom each of them can judge.

    Args:
        patients: Their table, with outcomes.
        omics: Further tables.
        models: Names or folders; the first is the one that the others are compared with.
        tables: How the tables are to be read.
        slides: Where slides or features of them are.
        horizons: Times of interest; those of each model if empty.
        seed: Of the bootstrap.
        limits: Bounds of the readers.
        tell: Called with what is being done.

    Raises:
        InputError: The tables can't be used, or hold no event.
        ModelError: A model can't be used.
    """
    limits = limits or Limits()
    read = read_patients(patients, omics, tables, limits)
    with TemporaryDirectory() as kept:  # of features of slides that no folder is named for
        read = with_slides(read, slides or SlideOptions(), Path(kept), limits)
    outcome, keep, notes = usable(_outcome(read, patients))
    notes = [*read.notes, *notes]
    loaded = []
    for name in models:
        tell(f"predicting with {name}")
        files = resolve_model("survive", name)
        model, prediction, more = _predicted(files, read)
        loaded.append((files.name, model, prediction))
        notes += more
        keep = keep[np.isfinite(prediction.risk[keep])]
    if not outcome.event[keep].any():
        raise InputError(
            f"{patients}: no event among {len(keep)} patients with outcome and risk",
            "nothing can be measured",
        )
    first = loaded[0][2].risk[keep]
    out: list[Evaluated] = []
    for name, model, prediction in loaded:
        known, more = in_unit(outcome.subset(keep), read.unit, model.training, model.unit)
        notes += more
        predicted = prediction.subset(keep)
        measures = _measured(known, predicted, model, horizons, seed)
        difference = _difference(known, predicted.risk, first, seed) if out else None
        out.append(Evaluated(name, measures, difference))
    return SurviveEvaluation(tuple(out), tuple(dict.fromkeys(notes)))


def _outcome(read: Patients, path: Path) -> Outcome:
    if read.outcome is None:
        raise InputError(
            f"{path}: no columns of time and event are found",
            "name them: --time COLUMN --event COLUMN",
        )
    return read.outcome


def _measured(
    known: Outcome,
    prediction: Prediction,
    model: SurviveModel,
    horizons: tuple[float, ...],
    seed: int,
) -> SurvivalMeasures:
    times = horizons or model.horizons
    return measure_survival(known, prediction, training=model.training, horizons=times, seed=seed)


def _predicted(files: ModelFiles, patients: Patients) -> tuple[SurviveModel, Prediction, list[str]]:
    model = load_survive_model(files)
    cohort, notes = model.cohort(patients)
    return model, model.predictor.predict(cohort), [f"{files.name}: {note}" for note in notes]


def _difference(
    outcome: Outcome, risk: Floats, other: Floats, seed: int
) -> tuple[float, float, float]:
    """Harrell's C of a risk less that of another one, and its interval on the same draws."""
    size = len(outcome)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(size, np.full(size, 1 / size), size=_REPLICATES).astype(np.float64)
    weights = np.concatenate([np.ones((1, size)), drawn])
    gaps = concordance(outcome.time, outcome.event, risk, weights)
    gaps = gaps - concordance(outcome.time, outcome.event, other, weights)
    low, high = np.nanquantile(gaps[1:], (0.025, 0.975))
    value = float(gaps[0])
    return value, min(float(low), value), max(float(high), value)
