"""Cohorts whose risks are known, in memory and as tables."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from mmtool.survival import Block, Cohort, Outcome


def simulated(patients: int = 120, genes: int = 30, seed: int = 0) -> tuple[Cohort, np.ndarray]:
    """A cohort with a clinical block and an RNA block that both matter, and its log risks."""
    rng = np.random.default_rng(seed)
    clinical = rng.normal(size=(patients, 3)).astype(np.float32)
    rna = rng.normal(size=(patients, genes)).astype(np.float32)
    risk = 0.9 * clinical[:, 0] + 0.5 * rna[:, :4].sum(axis=1)
    died = rng.exponential(20 * np.exp(-risk))
    left = rng.exponential(40, patients)
    outcome = Outcome(np.round(np.minimum(died, left), 3) + 0.01, died <= left)
    there = np.ones(patients, np.bool_)
    blocks = {
        "clinical": Block("clinical", "clinical", ("age", "stage", "sex"), clinical, there),
        "rnaseq": Block("rnaseq", "omics", tuple(f"G{i}" for i in range(genes)), rna, there),
    }
    ids = tuple(f"P{i:04d}" for i in range(patients))
    return Cohort(ids, blocks, outcome), risk


def write_tables(folder: Path, cohort: Cohort) -> tuple[Path, Path]:
    """Tables of a simulated cohort: patients with a text column beside the numbers, and RNA."""
    outcome = cohort.known_outcome()
    patients, rna = folder / "patients.csv", folder / "rna.csv"
    clinical, genes = cohort.blocks["clinical"], cohort.blocks["rnaseq"]
    with patients.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["patient_id", "OS.time", "OS", "age", "stage", "sex", "note"])
        for i, name in enumerate(cohort.ids):
            age, stage, sex = clinical.values[i]
            stages = ["Stage I", "Stage IIA", "Stage III", "Stage IV"]
            cells = [round(60 + 10 * float(age), 1), stages[int(np.clip(stage + 2, 0, 3))]]
            known = [outcome.time[i], int(outcome.event[i])]
            out.writerow([name, *known, *cells, "MALE" if sex > 0 else "FEMALE", f"free text {i}"])
    with rna.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["sample", *genes.columns])
        for name, row in zip(cohort.ids, genes.values, strict=True):
            out.writerow([name, *(f"{v:.4f}" for v in row)])
    return patients, rna
