"""The files of ``mmtool survive``: risks, curves, reasons; measures where the truth is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmtool.errors import InputError
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.tables import Cell, write_tsv
from mmtool.pipelines.evaluation.survival_measures import measure_survival
from mmtool.pipelines.survival_plots import draw_calibration, draw_km, risk_cuts
from mmtool.pipelines.survive_explain import write_explanations
from mmtool.pipelines.survive_model import SurviveModel
from mmtool.pipelines.survive_outcomes import in_unit, usable
from mmtool.pipelines.survive_slides import SLIDES
from mmtool.pipelines.survive_tables import Patients
from mmtool.pipelines.survive_tiles import TopTiles
from mmtool.survival import Cohort, Floats, Outcome, Prediction

_CURVE_POINTS = 100
_GROUPS = 3
_CHUNK = 512  # patients whose reasons are computed at a time
_FEWEST = 10  # patients with an outcome, below which nothing is measured
NOTHING = "nothing known"


@dataclass(frozen=True)
class SurviveRun:
    """A prediction and all that its files are made from.

    Attributes:
        model: That predicted.
        patients: As read.
        cohort: The patients as the model knows them.
        prediction: Of them.
        horizons: Times at which survival is told.
        signatures: Group of features -> their names.
        top: Features told of each patient.
        notes: Sentences for the user.
        explain: Methods of explanation beside the attribution.
    """

    model: SurviveModel
    patients: Patients
    cohort: Cohort
    prediction: Prediction
    horizons: tuple[float, ...]
    signatures: Mapping[str, frozenset[str]]
    top: int
    notes: tuple[str, ...]
    explain: tuple[str, ...] = ()

    def write(self, out: Path, seed: int) -> dict[str, Any]:
        """Write all files; give what is to be said of them."""
        self._write_risks(out / "risk.tsv")
        self._write_curves(out / "curves.tsv")
        columns = ("patient_id", "level", "modality", "name", "value", "contribution")
        tiles = None if self.patients.bags is None else TopTiles(self.patients.bags, self.top)
        write_tsv(out / "attribution.tsv", columns, self._attributions(tiles))
        if tiles is not None:
            tiles.write(out)
        if self.patients.unmatched:
            rows = [(u.table, u.name, u.reason) for u in self.patients.unmatched]
            write_tsv(out / "unmatched.tsv", ("table", "name", "reason"), rows)
        explained = self._explained(out, seed)
        measured = self._measured(out, seed)
        notes = [*measured.pop("notes", self.notes), *explained.pop("notes", ())]
        return self.summary() | measured | explained | {"notes": notes}

    def _explained(self, out: Path, seed: int) -> dict[str, Any]:
        """Explanations that are asked for, tested."""
        if not self.explain or not np.isfinite(self.prediction.risk).any():
            return {}
        facts, notes = write_explanations(
            *(out / "explanation.tsv", self.explain, self.model, self.cohort, self.signatures),
            top=self.top,
            seed=seed,
        )
        return {"explanations": facts, "notes": notes}

    def summary(self) -> dict[str, Any]:
        """Counts and notes for ``run.json``."""
        used = self.prediction.used
        return {
            "patients": len(self.prediction),
            "predicted": int(np.isfinite(self.prediction.risk).sum()),
            "unmatched_names": len(self.patients.unmatched),
            "unit": self.model.unit,
            "modalities": {
                name: int(used[:, i].sum()) for i, name in enumerate(self.prediction.modalities)
            },
            "notes": list(self.notes),
        }

    def failure(self) -> InputError | None:
        """Set if nothing could be said of any patient."""
        if np.isfinite(self.prediction.risk).any():
            return None
        return InputError(
            "nothing that the model asks for is known of any patient", "see risk.tsv and run.json"
        )

    def _write_risks(self, path: Path) -> None:
        at = np.array(self.horizons)
        risk = self.prediction.risk
        predictor = self.model.predictor
        survival = self.prediction.survival_at(at)
        low, high = predictor.intervals(self.cohort, at)
        reference = predictor.reference
        percentile = np.searchsorted(reference, risk, side="right") / max(1, len(reference)) * 100
        known = np.isfinite(risk)
        median = self.prediction.median()
        names = [f"survival_{h:g}{end}" for h in self.horizons for end in ("", "_low", "_high")]
        rows = []
        for i, patient in enumerate(self.patients.ids):
            spans = np.stack([survival[i], low[i], high[i]], axis=1).ravel()
            words = self._words(i)
            numbers = (_told(risk[i]), _told(percentile[i], 1) if known[i] else None)
            cells: list[Cell] = [patient, *numbers, _told(median[i])]
            rows.append([*cells, *(_told(v, 4) for v in spans), *words])
        head = ("patient_id", "risk", "percentile", "median_survival")
        write_tsv(path, (*head, *names, "modalities", "status"), rows)

    def _words(self, row: int) -> tuple[str, str]:
        """Which modalities spoke for a patient, and how it went."""
        used = [
            name
            for name, there in zip(
                self.prediction.modalities, self.prediction.used[row], strict=True
            )
            if there
        ]
        absent = len(self.prediction.modalities) - len(used)
        if not used:
            return "", NOTHING
        return ",".join(used), "complete" if not absent else f"without {absent} modalities"

    def _write_curves(self, path: Path) -> None:
        last = len(self.prediction.times) - 1
        places = np.arange(last + 1)
        if last >= _CURVE_POINTS:
            places = np.linspace(0, last, _CURVE_POINTS).round().astype(int)
        times, survival = self.prediction.times[places], self.prediction.survival[:, places]
        low, high = self.model.predictor.intervals(self.cohort, times)
        rows = [
            (patient, _told(t), _told(survival[i, k], 4), _told(low[i, k], 4), _told(high[i, k], 4))
            for i, patient in enumerate(self.patients.ids)
            if np.isfinite(self.prediction.risk[i])
            for k, t in enumerate(times)
        ]
        write_tsv(path, ("patient_id", "time", "survival", "low", "high"), rows)

    def _attributions(self, tiles: TopTiles | None) -> Iterator[tuple[Cell, ...]]:
        for start in range(0, len(self.cohort), _CHUNK):
            rows = range(start, min(start + _CHUNK, len(self.cohort)))
            some = self.cohort.subset(rows)
            parts = {n: self.model.predictor.contributions(some, n) for n in self._modalities()}
            effects = self._tile_effects(some) if tiles is not None else None
            for row in rows:
                own = {n: (columns, x[row - start]) for n, (columns, x) in parts.items()}
                yield from self._attribution(row, own)
                if tiles is not None and effects is not None:
                    yield from tiles.rows(row, self.patients.ids[row], effects[row - start])

    def _tile_effects(self, cohort: Cohort) -> list[Floats] | None:
        if SLIDES not in self._modalities() or cohort.blocks[SLIDES].tiles is None:
            return None
        return self.model.predictor.tile_effects(cohort, SLIDES)

    def _attribution(
        self, row: int, parts: Mapping[str, tuple[Sequence[str], Floats]]
    ) -> Iterator[tuple[Cell, ...]]:
        """Rows of one patient, from what each column of each modality adds."""
        patient = self.patients.ids[row]
        spoke = [
            (place, name)
            for place, name in enumerate(self.prediction.modalities)
            if self.prediction.used[row, place]
        ]
        for place, name in spoke:
            whole = self.prediction.contributions[row, place]
            yield patient, "modality", name, name, None, _told(whole)
        for _, name in spoke:
            columns, values = parts[name]
            yield from self._groups_of(patient, name, columns, values)
            yield from self._features_of(patient, row, name, columns, values)

    def _modalities(self) -> list[str]:
        return [n for n in self.prediction.modalities if n in self.cohort.blocks]

    def _groups_of(
        self, patient: str, name: str, columns: Sequence[str], values: Floats
    ) -> Iterator[tuple[Cell, ...]]:
        for group, members in self.signatures.items():
            inside = [i for i, column in enumerate(columns) if column in members]
            if inside:
                yield patient, "group", name, group, None, _told(values[inside].sum())

    def _features_of(
        self, patient: str, row: int, name: str, columns: Sequence[str], values: Floats
    ) -> Iterator[tuple[Cell, ...]]:
        block = self.cohort.blocks[name]
        places = {column: i for i, column in enumerate(block.columns)}
        for i in np.argsort(-np.abs(values), kind="stable")[: self.top]:
            if values[i] == 0:
                break
            place = places.get(columns[i])
            value = None if place is None else float(block.values[row, place])
            yield patient, "feature", name, columns[i], _told(value), _told(values[i])

    def _measured(self, out: Path, seed: int) -> dict[str, Any]:
        """Measures and figures where enough outcomes are known."""
        if self.patients.outcome is None:
            return {}
        outcome, keep, notes = usable(self.patients.outcome)
        keep = keep[np.isfinite(self.prediction.risk[keep])]
        training, unit = self.model.training, self.model.unit
        known, more = in_unit(outcome.subset(keep), self.patients.unit, training, unit)
        notes += more
        if len(keep) < _FEWEST or not known.event.any():
            events = int(known.event.sum())
            words = f"not measured: {len(keep)} patients with an outcome, {events} events"
            return {"notes": [*self.notes, *notes, words]}
        predicted = self.prediction.subset(keep)
        measures = measure_survival(
            known, predicted, training=training, horizons=self.horizons, seed=seed
        )
        write_json(out / "metrics.json", measures.to_json())
        cuts = risk_cuts(self.model.predictor.reference, _GROUPS)
        draw_km(out / "km.png", known, predicted.risk, cuts=cuts, unit=unit)
        horizon = self._middle_horizon(known)
        draw_calibration(out / "calibration.png", known, predicted, horizon, unit)
        notes += _flattery(known, training)
        c = measures.value("harrell_c")
        found = {"harrell_c": [_told(c.value, 4), _told(c.low, 4), _told(c.high, 4)]}
        return {"measures": found, "notes": [*self.notes, *notes, *measures.warnings]}

    def _middle_horizon(self, outcome: Outcome) -> float:
        """The last horizon that lies within the observed times, else their median."""
        end = float(np.quantile(outcome.time, 0.9))
        inside = [h for h in self.horizons if h <= end]
        return inside[-1] if inside else float(np.median(outcome.time))


def _flattery(known: Outcome, training: Outcome) -> list[str]:
    """A note if the patients seem to be those that the model was trained on."""
    learned = set(zip(training.time.tolist(), training.event.tolist(), strict=True))
    pairs = zip(known.time.tolist(), known.event.tolist(), strict=True)
    again = sum(pair in learned for pair in pairs)
    if again < len(known) / 2:
        return []
    return [
        f"{again} of {len(known)} patients fared just as training patients did and may be them: "
        "measured on them a model looks better than it is; its card has figures of held-out ones"
    ]


def _told(value: float | None, digits: int = 5) -> float | None:
    """A number for a table; None if there is none."""
    if value is None or not np.isfinite(value):
        return None
    return round(float(value), digits)
