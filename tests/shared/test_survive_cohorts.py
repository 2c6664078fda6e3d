"""Real tables of patients are read as they stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmtool.io.limits import Limits
from mmtool.models.survival.scaling import Scaler
from mmtool.pipelines.survive_outcomes import usable
from mmtool.pipelines.survive_schema import infer_schema
from mmtool.pipelines.survive_tables import Patients, TableOptions, read_patients
from mmtool.pipelines.training.survive_data import make_folds, training_data


def read(path: Path, *omics: Path) -> Patients:
    return read_patients(path, omics, TableOptions(), Limits())


def test_the_published_table_of_a_cohort_alone(shared: Path) -> None:
    data = shared / "data/survive"
    path = data / "tcga/tcga_luad_all_clean.csv.zip"
    training = training_data(read(path), path)
    cohort, outcome = training.cohort, training.cohort.known_outcome()
    assert (len(cohort), int(outcome.event.sum())) == (453, 158)
    widths = {name: len(b.columns) for name, b in cohort.blocks.items()}
    assert widths == {"clinical": 2, "rnaseq": 1555, "cnv": 517, "mut": 864}
    folds, notes = make_folds(cohort, str(data / "splits/porpoise_5fold/tcga_luad"), 0, Limits())
    assert not notes
    assert sorted(np.concatenate([f.held_out for f in folds]).tolist()) == list(range(453))
    assert all(len(f.train) + len(f.held_out) == 453 for f in folds)


def test_z_scores_of_tens_of_thousands(shared: Path) -> None:
    block = read(shared / "data/survive/tcga/tcga_brca_all_clean.csv.zip").blocks["rnaseq"]
    assert np.nanmax(block.values) > 30_000
    scaled = Scaler.fit(block.values, counts=True)(block.values)
    assert np.isfinite(scaled).all()
    assert np.abs(scaled).max() < 35


@pytest.mark.parametrize(
    ("name", "patients", "events", "numbers"),
    [("whas500", 500, 215, 14), ("metabric", 1904, 1103, 9), ("gbsg2", 686, 299, 8)],
)
def test_classic_tables(shared: Path, name: str, patients: int, events: int, numbers: int) -> None:
    found = read(shared / f"data/survive/classic/{name}.csv.gz")
    assert found.outcome is not None
    outcome, keep, _ = usable(found.outcome)
    assert (len(keep), int(outcome.event.sum())) == (patients, events)
    assert len(infer_schema(found.clinical, found.withheld).names()) == numbers


def test_other_outcomes_are_no_covariates(shared: Path) -> None:
    found = read(shared / "data/survive/clinical/tcga_cdr.csv.gz")
    names = ("DSS", "DSS.time", "DFI", "DFI.time", "PFI", "PFI.time", "tumor_status")
    assert set(names) <= set(found.withheld)
