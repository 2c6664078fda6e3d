"""Measures of ranking, beside those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from mmtool.pipelines.evaluation.binding_measures import (
    Replicates,
    less,
    macro,
    measure,
    resample,
)


def drawn(seed: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties, and labels that go with them a little."""
    draw = np.random.default_rng(seed)
    labels = draw.random(120) < 0.2
    labels[:2] = True, False
    scores = np.round((draw.normal(size=120) + labels) * levels) / levels
    return scores.astype(np.float32), labels


@pytest.mark.parametrize("levels", [1, 3, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_measures_are_those_of_scikit_learn(seed: int, levels: int) -> None:
    scores, labels = drawn(seed, levels)
    found = measure(scores, labels)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, scores))
    assert found["auc01"] == pytest.approx(roc_auc_score(labels, scores, max_fpr=0.1))
    assert found["ap"] == pytest.approx(average_precision_score(labels, scores))


def test_no_evidence_at_all_is_chance() -> None:
    labels = np.array([True, False, False, True])
    found = measure(np.zeros(4), labels)
    assert found == {"auc": 0.5, "auc01": pytest.approx(0.5), "ap": 0.5}


def test_replicates_lie_about_the_value() -> None:
    scores, labels = drawn(0, 1000)
    found = resample(scores, labels, 500, seed=1)["auc"]
    assert len(found.drawn) == 500
    assert found.drawn.mean() == pytest.approx(found.value, abs=0.01)
    # Hanley and McNeil's error of an AUC of this size on 20 to 30 positives
    assert 0.02 < found.drawn.std() < 0.09


def test_two_models_are_measured_on_the_same_draws() -> None:
    scores, labels = drawn(0, 1000)
    one = resample(scores, labels, 50, seed=1)["auc"]
    same = resample(scores * 2 + 1, labels, 50, seed=1)["auc"]
    np.testing.assert_allclose(less(one, same).drawn, 0, atol=1e-12)


def test_macro_interval_knows_that_epitopes_differ() -> None:
    alike = [Replicates(0.7, np.full(400, 0.7)) for _ in range(8)]
    apart = [Replicates(v, np.full(400, v)) for v in (0.5, 0.9) * 4]
    assert macro(alike, 0).low == macro(alike, 0).high == pytest.approx(0.7)
    wide = macro(apart, 0)
    assert wide.value == pytest.approx(0.7)
    assert wide.low < 0.62
    assert wide.high > 0.78
