"""Likeness of texts and answers, against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmtool.pipelines.evaluation.report_metrics import (
    bleu,
    cider_d,
    exact_match,
    f1,
    finding_counts,
    meteor,
    rouge_l,
    token_f1,
)
from mmtool.pipelines.training.calibration import (
    calibration_error,
    error_by_chance,
    unbiased_error,
)


def test_bleu_by_hand() -> None:
    said, truth = ["the lungs are clear"], ["the lungs are not clear"]
    short = math.exp(1 - 5 / 4)
    one, two, three, four = bleu(said, truth)
    assert one == pytest.approx(short)
    assert two == pytest.approx(short * math.sqrt(2 / 3))
    assert three == pytest.approx(short * (1 * 2 / 3 * 1 / 2) ** (1 / 3))
    assert four == 0
    assert bleu(truth, truth) == pytest.approx((1, 1, 1, 1))
    assert bleu([""], ["a"]) == (0, 0, 0, 0)


def test_meteor_by_hand() -> None:
    p, r = 3 / 3, 3 / 4
    mean = 10 * p * r / (r + 9 * p)
    assert meteor("a c d", "a b c d") == pytest.approx(mean * (1 - 0.5 * (2 / 3) ** 3))
    assert meteor("small lesions", "small lesion") == pytest.approx(1 - 0.5 / 8)
    assert meteor("x", "y") == meteor("", "y") == 0


def test_rouge_l_by_hand() -> None:
    p, r = 3 / 3, 3 / 4
    assert rouge_l("a c d", "a b c d") == pytest.approx(2.44 * p * r / (r + 1.44 * p))
    assert rouge_l("A, b!", "a b") == pytest.approx(1)
    assert rouge_l("", "a") == rouge_l("x", "y") == 0


def test_cider_of_the_same_texts_is_ten_and_of_strange_ones_nothing() -> None:
    texts = ["a small mass in the left lung", "no fracture of the femur seen"]
    assert cider_d(texts, texts) == pytest.approx([10, 10])
    assert cider_d(["x y z q", "r s t u"], texts) == [0, 0]


def test_cider_by_hand() -> None:
    """One word of two in common, weights log 2; of longer n-grams none."""
    (score, _) = cider_d(["alpha beta", "gamma"], ["alpha delta", "gamma"])
    assert score == pytest.approx(10 / 4 * 0.5)


def test_findings_are_counted() -> None:
    assert finding_counts("A mass. No effusion.", "A mass with a cyst.") == (1, 0, 1)
    assert f1(1, 0, 1) == pytest.approx(2 / 3)
    assert f1(0, 0, 0) == 0


def test_answers_are_compared() -> None:
    assert exact_match("Left lung.", "left lung")
    assert not exact_match("lung", "left lung")
    assert token_f1("lung", "left lung") == pytest.approx(2 / 3)


def test_calibration_error_by_hand() -> None:
    sure = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([1.0, 1.0, 1.0, 0.0])
    assert calibration_error(sure, right) == pytest.approx(0.05)


def test_a_calibrated_answerer_errs_by_chance_alone() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 250)
    right = [(rng.random(250) < sure).astype(float) for _ in range(40)]
    found = np.mean([calibration_error(sure, r) for r in right])
    expected = error_by_chance(sure, 0)
    assert found == pytest.approx(expected, abs=0.008)
    assert 0.03 < expected < 0.09
    assert error_by_chance(np.tile(sure, 40), 0) < expected / 4
    assert np.mean([unbiased_error(sure, r, 0) for r in right]) < found * 0.7
    wrong = (rng.random(250) < sure - 0.3).astype(float)
    assert unbiased_error(sure, wrong, 0) == pytest.approx(0.3, abs=0.08)
