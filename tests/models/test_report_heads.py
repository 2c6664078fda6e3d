"""Evidential opinions and their fusion; heads; which findings may be told; the model's files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydicom.sr._concepts_dict import concepts

from mmtool.io.writers.report_codes import PRESENCE
from mmtool.models.encoders.blocks_filters import answers, filters
from mmtool.models.report.admissibility import admissible
from mmtool.models.report.evidential import Opinion, evidential_loss, fuse, opinion, vote
from mmtool.models.report.head import fit_head, fit_temperature, tempered
from mmtool.models.text.findings import TERMS

RNG = np.random.default_rng(0)


def some(n: int = 5, k: int = 3) -> Opinion:
    return opinion(RNG.gamma(1, 2, (n, k)))


def test_no_evidence_is_full_uncertainty() -> None:
    empty = opinion(np.zeros((2, 4)))
    assert empty.uncertainty == pytest.approx([1, 1])
    assert empty.probability == pytest.approx(np.full((2, 4), 0.25))


def test_beliefs_and_uncertainty_add_up_to_one_also_when_fused() -> None:
    for found in (some(), fuse(some(), some())):
        assert found.belief.sum(1) + found.uncertainty == pytest.approx(np.ones(5))


def test_an_empty_opinion_changes_nothing_and_order_does_not_matter() -> None:
    one, two = some(), some()
    same = fuse(one, opinion(np.zeros((5, 3))))
    assert same.belief == pytest.approx(one.belief)
    assert same.uncertainty == pytest.approx(one.uncertainty)
    assert fuse(one, two).belief == pytest.approx(fuse(two, one).belief)


def test_agreement_makes_surer_and_contradiction_does_not_break() -> None:
    yes, no = opinion(np.array([[20.0, 0]])), opinion(np.array([[0.0, 20]]))
    assert fuse(yes, yes).uncertainty[0] < yes.uncertainty[0]
    assert fuse(yes, no).probability == pytest.approx(np.array([[0.5, 0.5]]))


def test_near_neighbours_vote_most_and_strangers_not_at_all() -> None:
    votes = vote(np.array([[0.9, 0.8, -0.3]]), np.array([[0, 1, 1]]), 2, sharpness=10)
    assert votes[0, 0] == pytest.approx(0.9)
    assert 0 < votes[0, 1] < 0.8 * np.exp(-0.99)
    assert vote(np.array([[0.9]]), np.array([[-1]]), 2, sharpness=1).sum() == 0


def test_the_loss_falls_with_right_evidence_and_rises_with_wrong() -> None:
    target = torch.tensor([0])
    none, right, wrong = (torch.tensor([e], dtype=torch.float64) for e in ([0, 0], [9, 0], [0, 9]))
    losses = [float(evidential_loss(e, target, 1.0)) for e in (right, none, wrong)]
    assert losses == sorted(losses)


def test_a_head_learns_and_its_temperature_calibrates() -> None:
    target = RNG.integers(0, 3, 400)
    centres = np.eye(8, dtype=np.float32)[:3]
    vectors = (centres[target] + RNG.normal(0, 0.3, (400, 8))).astype(np.float32)
    head = fit_head("kind", ("a", "b", "c"), vectors[:300], target[:300], decay=1e-4)
    chance = head.opinion(vectors[300:]).probability
    assert (chance.argmax(1) == target[300:]).mean() > 0.9
    t = fit_temperature(chance, target[300:])
    rows = np.arange(100)
    better = -np.log(tempered(chance, t)[rows, target[300:]]).mean()
    assert better <= -np.log(chance[rows, target[300:]]).mean() + 1e-9
    far = head.opinion(np.zeros((1, 8), np.float32))
    assert far.uncertainty[0] > head.opinion(vectors[300:]).uncertainty.mean()


def test_a_head_that_begins_at_another_ends_where_it_would_anyway() -> None:
    target = RNG.integers(0, 2, 200)
    vectors = (np.eye(5, dtype=np.float32)[target] + RNG.normal(0, 0.6, (200, 5))).astype(
        np.float32
    )
    names = ("a", "b")
    other = fit_head("kind", names, vectors, target, decay=1e-1)
    warm = fit_head("kind", names, vectors, target, decay=1e-3, start=other)
    cold = fit_head("kind", names, vectors, target, decay=1e-3)
    assert warm.opinion(vectors).probability == pytest.approx(
        cold.opinion(vectors).probability, abs=5e-3
    )


def test_filters_see_form_and_neither_brightness_nor_contrast() -> None:
    kernels = torch.from_numpy(filters())[:, None]
    assert kernels.shape == (72, 1, 6, 6)
    assert kernels.sum((1, 2, 3)).abs().max() < 1e-5
    down = torch.zeros(1, 56, 56)
    down[:, :, ::4] = 0.5
    down[:, :, 1::4] = 0.5
    found = answers(down, kernels)
    assert found.shape == (1, 144 * 16)
    assert answers(down + 0.3, kernels) == pytest.approx(found, abs=1e-3)
    assert answers(1.6 * down, kernels) == pytest.approx(found, rel=0.05, abs=0.02)
    across = answers(down.mT.contiguous(), kernels)
    assert (across - found).norm() > found.norm() / 2
    assert answers(torch.full((1, 56, 56), 0.4), kernels).max() < 1e-3


def test_findings_are_told_only_where_they_can_be() -> None:
    assert admissible("pleural effusion", "XR", "chest")
    assert not admissible("pleural effusion", "CT", "head")
    assert not admissible("hydrocephalus", "XR", "head")
    assert not admissible("enhancement", "CT", "head", "no")
    assert not admissible("mass", "", "chest")
    assert not admissible("a finding that nobody knows", "CT", "chest")
    assert all(
        any(admissible(t.name, m, r) for m in ("CT", "MR", "XR")
            for r in ("head", "chest", "abdomen", "spine and limbs"))
        for t in TERMS
    )  # fmt: skip


def test_codes_are_those_of_the_dictionary() -> None:
    """DICOM's dictionary of SNOMED CT; the five that it lacks were looked up elsewhere."""
    known = {
        code: meaning for named in concepts["SCT"].values() for code, (meaning, _) in named.items()
    }
    elsewhere = {"46621007", "8186001", "84089009", "230745008", "125605004"}
    codes = [t.code for t in TERMS if t.code is not None]
    assert {c.value for c in codes} - set(known) == elsewhere
    for code in (*codes, *PRESENCE.values()):
        if code.value not in elsewhere:
            assert known[code.value].lower().startswith(code.meaning.lower())
