"""METABRIC and whas500: every figure is that of scikit-survival and lifelines."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from survival_cohort import PREDICTORS
from survival_facts import FACTS, computed


@pytest.mark.parametrize("cohort", PREDICTORS)
def test_classic_cohorts(shared: Path, cohort: str) -> None:
    with gzip.open(shared / f"data/survive/classic/{cohort}.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    table = {c: np.array([float(r[c]) for r in rows]) for c in (*PREDICTORS[cohort], "time")}
    event = np.array([float(r["event"]) > 0 for r in rows])
    risk = sum(table[c] * b for c, b in PREDICTORS[cohort].items())
    found = computed(table["time"], event, np.asarray(risk))
    for name, wanted in FACTS[cohort].items():
        np.testing.assert_allclose(found[name], wanted, 1e-8, 1e-8, err_msg=name)
