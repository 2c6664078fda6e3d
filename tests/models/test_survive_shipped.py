"""The shipped models of survival load, are small, and say what they are."""

from __future__ import annotations

import numpy as np
import pytest

from mmtool.models.store import list_models, resolve_model, roots
from mmtool.models.survival.stack import Stack
from mmtool.pipelines.survive_model import load_survive_model
from mmtool.survival import Block, Cohort

LOOKED_AT = {"tcga-blca", "tcga-brca", "tcga-gbmlgg", "tcga-luad", "tcga-ucec"}
NAMES = [e.name for e in list_models("survive", where=roots({}))]


def test_the_cohorts_that_documents_name() -> None:
    assert len(NAMES) == 12
    assert set(NAMES) >= LOOKED_AT


@pytest.mark.parametrize("name", NAMES)
def test_shipped(name: str) -> None:
    files = resolve_model("survive", name, where=roots({}))
    assert files.weights.stat().st_size < 500_000
    assert files.card["use"] == "research"
    metric = files.card["metrics"][0]
    assert metric["value"] > 0.6
    assert metric["baseline"]["name"] == "clinical columns alone"
    seen = "looked at twice" if name in LOOKED_AT else "this one among them"
    assert any(seen in limit for limit in files.card["limits"])
    model = load_survive_model(files)
    assert model.unit == "months"
    assert isinstance(model.predictor, Stack)
    expert = model.predictor.experts[0]
    assert expert.name == "clinical"
    assert set(expert.columns) <= set(model.schema.names())
    values = np.full((3, len(expert.columns)), np.nan, np.float32)
    stage = next(i for i, c in enumerate(expert.columns) if "stage" in c or c == "age")
    values[:, stage] = (1, 2, 3) if "stage" in expert.columns[stage] else (40, 60, 80)
    there = np.ones(3, np.bool_)
    block = Block("clinical", "clinical", expert.columns, values, there)
    prediction = model.predictor.predict(Cohort(("a", "b", "c"), {"clinical": block}))
    assert prediction.risk[2] > prediction.risk[0] + 0.1  # stage III over I, 80 years over 40
    assert ((prediction.survival >= 0) & (prediction.survival <= 1)).all()
