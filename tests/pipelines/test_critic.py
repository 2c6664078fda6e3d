"""The critic of label maps: antisymmetric, right on plain damage, silent where it knows nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mmtool.anatomy import BRAIN_LABELS
from mmtool.errors import GeometryError, UsageError
from mmtool.pipelines.critic import judge, judge_files
from mmtool.pipelines.critic_reference import MARGIN, STRUCTURES, WEIGHTS
from mmtool.pipelines.critic_rules import RULES, measure_shapes

AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])
SHAPE = (36, 52, 36)


def hippocampus() -> np.ndarray:
    """Two ellipsoids of the usual size and place, without any border."""
    labels = np.zeros(SHAPE, np.uint8)
    for index, r in STRUCTURES["hippocampus"].items():
        centre = np.array(SHAPE) / 2 + r.offset_mm
        radius = (3 * 1000 * np.exp(r.log_ml[0]) / (4 * np.pi)) ** (1 / 3)
        places = np.moveaxis(np.indices(SHAPE), 0, -1) - centre
        labels[(np.linalg.norm(places, axis=-1) < radius) & (labels == 0)] = index
    return labels


def scan_of(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    tissue = np.array([50.0, 100.0, 90.0])[labels]
    rng = np.random.default_rng(seed)
    return ndimage.gaussian_filter(tissue, 0.6) + rng.normal(0, 4, labels.shape)


def island(m: np.ndarray) -> np.ndarray:
    out = m.copy()
    out[2:8, 2:8, 2:8] = 2
    return out


def lost(m: np.ndarray) -> np.ndarray:
    return np.where(m == 1, 0, m)


def swapped(m: np.ndarray) -> np.ndarray:
    return np.array([0, 2, 1], np.uint8)[m]


def eroded(m: np.ndarray) -> np.ndarray:
    return np.where(ndimage.binary_erosion(m > 0, iterations=2), m, 0)


def gap(m: np.ndarray) -> np.ndarray:
    out = m.copy()
    at = int(np.argwhere(m == 2)[:, 1].mean())
    out[:, at : at + 2] = 0
    return out


def shifted(m: np.ndarray) -> np.ndarray:
    return np.roll(m, (5, 4), (0, 2))


DAMAGE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    f.__name__: f for f in (island, lost, swapped, eroded, gap, shifted, np.zeros_like)
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_plain_damage_is_seen_and_swapping_swaps_the_answer(damage: str) -> None:
    good = hippocampus()
    bad = DAMAGE[damage](good).astype(np.uint8)
    scan = scan_of(good)
    one = judge(scan, AFFINE, [good, bad], structures="hippocampus")
    two = judge(scan, AFFINE, [bad, good], structures="hippocampus")
    assert (one.better, two.better) == ("A", "B")
    assert one.probability_a == pytest.approx(1 - two.probability_a)
    assert one.opinions == two.opinions[::-1]


def test_a_good_map_raises_no_doubt_and_equal_maps_none_is_better() -> None:
    good = hippocampus()
    both = judge(scan_of(good), AFFINE, [good, good], structures="hippocampus")
    assert (both.better, both.probability_a) == ("unsure", 0.5)
    single = judge(scan_of(good), AFFINE, [good], structures="hippocampus")
    assert (single.better, single.probability_a, single.opinions[0].doubts) == ("", None, ())
    assert single.opinions[0].total > 0.7


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["none", "hippocampus", "brain"]))
def test_antisymmetric_for_any_two_maps(seed: int, structures: str) -> None:
    rng = np.random.default_rng(seed)
    one, two = (rng.choice([0, 0, 1, 2, 17, 53], (6, 7, 8)).astype(np.uint8) for _ in range(2))
    data = rng.normal(size=(6, 7, 8))
    forth = judge(data, AFFINE, [one, two], structures=structures)
    back = judge(data, AFFINE, [two, one], structures=structures)
    assert back.better == {"A": "B", "B": "A", "unsure": "unsure"}[forth.better]
    assert all(0 <= v <= 1 for o in forth.opinions for v in o.scores.values())
    json.dumps(forth.to_json(), allow_nan=False)


def test_doubts_are_plain_words() -> None:
    good = hippocampus()
    for bad, words in (
        (lost(good), "anterior hippocampus is not there"),
        (island(good), "posterior hippocampus lies in 2 pieces"),
        (gap(good), "has a gap between its slices"),
        (np.where(good == 1, 1, 0) + 2 * eroded(eroded(good) == 2), "mL, usual are about"),
    ):
        opinion = judge(
            scan_of(good), AFFINE, [bad.astype(np.uint8)], structures="hippocampus"
        ).opinions[0]
        assert any(words in d for d in opinion.doubts), (words, opinion.doubts)


def test_left_and_right_are_told_apart_by_place() -> None:
    labels = np.zeros((60, 40, 40), np.uint8)
    labels[10:18, 15:25, 15:25], labels[42:50, 15:25, 15:25] = 17, 53  # x grows to the right
    data = (labels > 0) * 10.0
    right = judge(data, AFFINE, [labels], structures="brain", asked=[17, 53]).opinions[0]
    assert right.scores["side"] == 1
    turned = judge(data, AFFINE, [labels[::-1]], structures="brain", asked=[17, 53]).opinions[0]
    assert turned.scores["side"] == 0
    assert "left and right hippocampus are swapped" in turned.doubts
    # The same voxels in a file whose first axis runs to the left.
    flipped = np.diag([-1.0, 1, 1, 1])
    stored = judge(data, flipped, [labels[::-1]], structures="brain", asked=[17, 53]).opinions[0]
    assert stored.scores["side"] == 1


def test_what_lies_outside_the_view_is_not_expected() -> None:
    """Upper half of a head: hippocampi are not missed if their place lies below the view."""
    reference = STRUCTURES["brain"]
    labels = np.zeros((80, 100, 40), np.uint8)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-80, -100, 30]
    for index in (2, 41, 4, 43):
        at = np.rint((np.add(reference[index].offset_mm, (0, 0, 40)) - affine[:3, 3]) / 2)
        labels[tuple(slice(int(v) - 3, int(v) + 3) for v in at)] = index
    opinion = judge(np.ones(labels.shape), affine, [labels], structures="brain").opinions[0]
    assert not any("hippocampus is not there" in d or "brainstem" in d for d in opinion.doubts)


def test_without_a_reference_only_what_needs_none_counts() -> None:
    good = hippocampus()
    verdict = judge(scan_of(good), AFFINE, [good, eroded(good).astype(np.uint8)])
    assert verdict.better == "A"
    assert [r for r, w in verdict.weights.items() if w == 0 and WEIGHTS[r]] in (
        [r for r in ("size", "side", "place") if WEIGHTS[r]],
    )


def test_empty_maps_and_a_flat_scan() -> None:
    empty = np.zeros((5, 5, 5), np.uint8)
    verdict = judge(np.zeros((5, 5, 5)), AFFINE, [empty, empty], structures="brain")
    assert verdict.better == "unsure"
    nan = judge(np.full((5, 5, 5), np.nan), AFFINE, [empty, np.ones_like(empty)])
    assert nan.better in ("A", "B", "unsure")


def test_shapes_of_a_cut_box() -> None:
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[0:4, 2:6, 2:6] = 1
    labels[2, 2:6, 2:6] = 0
    shape = measure_shapes(labels, np.diag([1, 1, 2.0, 1]))[1]
    assert (shape.pieces, shape.ml) == (2, pytest.approx(48 * 2 / 1000))
    assert shape.loose == pytest.approx(1 / 3)
    assert shape.border == pytest.approx(1 / 3)
    assert shape.gaps == pytest.approx(1 / 3)


def test_the_shipped_reference_is_whole() -> None:
    assert tuple(WEIGHTS) == RULES
    assert min(WEIGHTS.values()) >= 0
    assert MARGIN > 0
    named = {i: r.name for i, r in STRUCTURES["brain"].items()}
    assert named == {label.index: label.name for label in BRAIN_LABELS}
    for own in STRUCTURES.values():
        assert all(r.log_ml[1] > 0 for r in own.values())


def test_files(tmp_path: Path) -> None:
    good = hippocampus()
    scan, a, b = tmp_path / "scan.nii.gz", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    nibabel.save(nibabel.Nifti1Image(scan_of(good).astype(np.float32), AFFINE), scan)
    nibabel.save(nibabel.Nifti1Image(good, AFFINE), a)
    nibabel.save(nibabel.Nifti1Image(island(good), AFFINE), b)
    assert judge_files(scan, [a, b]).structures == "none"
    assert judge_files(scan, [b, a], structures="hippocampus").better == "B"
    (tmp_path / "labels.tsv").write_text(
        "index\tname\n1\tanterior hippocampus\n2\tposterior hippocampus\n"
    )
    assert judge_files(scan, [a]).structures == "hippocampus"
    moved = AFFINE.copy()
    moved[0, 3] = 3
    nibabel.save(nibabel.Nifti1Image(good, moved), b)
    with pytest.raises(GeometryError, match="not on the grid"):
        judge_files(scan, [a, b])
    assert judge_files(scan, [a, b], resample=True).better == "A"
    with pytest.raises(UsageError, match="no reference for"):
        judge_files(scan, [a], structures="liver")
    with pytest.raises(UsageError, match="3 masks"):
        judge_files(scan, [a, a, a])
