"""Training learns from the training patients alone, and refuses what it can't learn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from survive_cohorts import simulated, write_tables

from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.models.survival.stack import StackLearner
from mmtool.pipelines.survive_tables import TableOptions, read_patients
from mmtool.pipelines.training.survive import cross_validate, mean_concordance
from mmtool.pipelines.training.survive_data import Fold, make_folds, training_data
from mmtool.survival import Outcome


def test_outcomes_of_held_out_patients_change_no_prediction() -> None:
    cohort, _ = simulated(110, genes=12)
    fold = Fold("0", np.arange(80), np.arange(80, 110))
    rng = np.random.default_rng(3)
    outcome = cohort.known_outcome()
    order = np.concatenate([np.arange(80), 80 + rng.permutation(30)])
    shuffled = replace(cohort, outcome=outcome.subset(order))
    found = [cross_validate(c, [fold], StackLearner(), 0)[0] for c in (cohort, shuffled)]
    assert np.array_equal(found[0].prediction.risk, found[1].prediction.risk)
    assert np.array_equal(found[0].prediction.survival, found[1].prediction.survival)
    learned = Fold("0", np.arange(30, 110), np.arange(30))  # now they are learned from
    other = [cross_validate(c, [learned], StackLearner(), 0)[0] for c in (cohort, shuffled)]
    assert not np.array_equal(other[0].prediction.risk, other[1].prediction.risk)


def test_the_interval_of_a_mean_holds_it() -> None:
    cohort, risk = simulated(90, genes=5)
    folds, _ = make_folds(cohort, "3", 0, Limits())
    parts = []
    for fold in folds:
        model = StackLearner().fit(cohort.subset(fold.train), 0)
        prediction = model.predict(cohort.subset(fold.held_out))
        parts.append((fold, replace(prediction, risk=risk[fold.held_out])))
    mean, low, high = mean_concordance(cohort, parts, 0)
    assert 0.6 < low < mean < high < 1


def table(folder: Path, times: list[float], events: list[int]) -> Path:
    path = folder / "p.csv"
    rows = [f"P{i},{t},{e},{i % 7}" for i, (t, e) in enumerate(zip(times, events, strict=True))]
    path.write_text("\n".join(["id,time,event,age", *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("times", "events", "words"),
    [
        ([5.0] * 40, [0] * 40, "40 patients with a known outcome and 0 events"),
        ([5.0] * 40, [1] + [0] * 39, "and 1 events"),
        ([5.0] * 10, [1] * 10, "10 patients"),
        ([-1.0] * 40, [1] * 40, "0 patients"),
    ],
)
def test_too_little_to_learn_from(
    tmp_path: Path, times: list[float], events: list[int], words: str
) -> None:
    path = table(tmp_path, times, events)
    patients = read_patients(path, (), TableOptions(), Limits())
    with pytest.raises(InputError, match=words):
        training_data(patients, path)


def test_tables_without_outcomes_or_without_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,age\nA,1\nB,2\n")
    with pytest.raises(InputError, match="no columns of time and event"):
        training_data(read_patients(path, (), TableOptions(), Limits()), path)
    path.write_text("id,time,event\n" + "".join(f"P{i},{i + 1},{i % 2}\n" for i in range(40)))
    with pytest.raises(InputError, match="nothing but outcomes"):
        training_data(read_patients(path, (), TableOptions(), Limits()), path)


def test_a_column_that_tells_the_event_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    rows = [f"P{i},{i + 1},{i % 2},{i % 5},{'heart' if i % 2 else ''}" for i in range(40)]
    path.write_text("\n".join(["id,time,event,age,cause", *rows]) + "\n")
    data = training_data(read_patients(path, (), TableOptions(), Limits()), path)
    assert any("'cause' tells the event" in n for n in data.notes)


def test_folds_that_are_none(tmp_path: Path) -> None:
    cohort, _ = simulated(60)
    for splits in ("1", "0", "500"):
        with pytest.raises(UsageError):
            make_folds(cohort, splits, 0, Limits())
    (tmp_path / "splits_0.csv").write_text("train,val\nX1,X2\n")
    with pytest.raises(InputError, match="none of its patients"):
        make_folds(cohort, str(tmp_path), 0, Limits())
    (tmp_path / "splits_0.csv").write_text("train,val\nP0001,P0002\nP0003,X2\n")
    folds, notes = make_folds(cohort, str(tmp_path), 0, Limits())
    assert folds[0].train.tolist() == [1, 3]
    assert folds[0].held_out.tolist() == [2]
    assert "1 names" in notes[0]


def test_published_groups_stay_whole() -> None:
    cohort, _ = simulated(60)
    groups = np.array([f"site{i % 6}" for i in range(60)])
    folds, _ = make_folds(replace(cohort, groups=groups), "3", 0, Limits())
    for fold in folds:
        assert not set(groups[fold.train]) & set(groups[fold.held_out])
    assert isinstance(cohort.known_outcome(), Outcome)


def test_simulated_tables_are_read_whole(tmp_path: Path) -> None:
    cohort, _ = simulated(60)
    patients, rna = write_tables(tmp_path, cohort)
    data = training_data(read_patients(patients, [rna], TableOptions(), Limits()), patients)
    assert data.schema.names() == ("age", "stage", "sex=male")
    assert np.allclose(data.cohort.blocks["rna"].values, cohort.blocks["rnaseq"].values, atol=1e-4)
