"""Painted tumours, their reports, the runner and the training of ``tumor``."""

from __future__ import annotations

import json
import math
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from tumor_models import write_case, write_tumor_model

from mmtool.models.losses.region_dice_ce import region_dice_ce
from mmtool.models.store import resolve_model
from mmtool.pipelines.evaluation.synthetic import synthetic_table
from mmtool.pipelines.segmenters import channels_of, load_segmenter
from mmtool.pipelines.training.lesions import paint_lesions
from mmtool.pipelines.training.random_fields import RandomTensors
from mmtool.pipelines.training.start import train_segment_model
from mmtool.pipelines.training.tumor_reports import (
    SLOTS,
    Findings,
    draw_findings,
    findings_of,
    write_report,
)
from mmtool.pipelines.training.tumor_scans import draw_cases, mirrored
from mmtool.pipelines.tumor_inference import GuidedTumorSegmenter, TumorSegmenter

CPU = torch.device("cpu")
CSF, LEFT_WHITE, RIGHT_WHITE, LEFT_CORTEX, RIGHT_CORTEX, VENTRICLE = 24, 2, 41, 3, 42, 4


def head() -> np.ndarray:
    """(48, 56, 48) codes: white matter in cortex in fluid, a ventricle in the middle."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (48, 56, 48)), indexing="ij")
    radius = np.sqrt(sum(a**2 for a in axes))
    left = axes[0] < 0
    codes = np.zeros(radius.shape, np.int16)
    codes[radius < 0.95] = CSF
    for inside, pair in ((0.9, (LEFT_CORTEX, RIGHT_CORTEX)), (0.78, (LEFT_WHITE, RIGHT_WHITE))):
        codes[radius < inside] = np.where(left, *pair)[radius < inside]
    codes[radius < 0.15] = VENTRICLE
    return codes


def painted(seed: int):
    codes = torch.from_numpy(head().astype(np.int64))
    return codes, paint_lesions(codes, RandomTensors(np.random.default_rng(seed)))


def test_tumours_lie_in_the_brain_and_spare_fluid() -> None:
    parts = np.zeros(5, int)
    healthy = 0
    for seed in range(24):
        _, lesions = painted(seed)
        labels, codes = lesions.labels, lesions.codes
        healthy += not bool(labels.any())
        assert not bool(((labels > 0) & (codes == 0)).any())
        assert not bool(((labels == 2) & ((codes == CSF) | (codes == VENTRICLE))).any())
        parts += np.bincount(labels.numpy().ravel(), minlength=5)
    assert (parts[1:] > 0).all()
    assert 0 < healthy < 12


def test_oedema_spreads_further_in_white_matter() -> None:
    shares = []
    for seed in range(24):
        _, lesions = painted(seed)
        swollen = lesions.labels == 2
        white = torch.isin(lesions.codes, torch.tensor([LEFT_WHITE, RIGHT_WHITE]))
        grey = torch.isin(lesions.codes, torch.tensor([LEFT_CORTEX, RIGHT_CORTEX]))
        if swollen.any():
            shares.append([float(swollen[where].float().mean()) for where in (white, grey)])
    assert np.mean([w for w, _ in shares]) > 2 * np.mean([g for _, g in shares])


def test_mass_effect_moves_tissue() -> None:
    moved = [painted(seed) for seed in range(12)]
    pushed = [(before != lesions.codes).float().mean() for before, lesions in moved]
    assert max(pushed) > 0.01
    for (before, lesions), share in zip(moved, pushed, strict=True):
        if lesions.pushed_mm == 0:
            assert share == 0
            assert torch.equal(before, lesions.codes)


def test_cases_follow_from_the_seed_and_are_standardised() -> None:
    one, two = (draw_cases(head(), 8, np.random.default_rng(5), paints=2) for _ in range(2))
    assert torch.equal(one[1].image, two[1].image)
    assert not torch.equal(one[0].image, one[1].image)
    case = one[0]
    assert case.image.shape[0] == 2
    assert all(n % 8 == 0 for n in case.labels.shape)
    assert (case.image[:, ~case.brain] == 0).all()
    for channel in case.image:
        assert abs(float(channel[case.brain].median())) < 0.02
    assert not bool(case.labels[~case.brain].any())


def test_a_mirror_changes_the_side_that_is_told() -> None:
    for seed in range(8):
        case = draw_cases(head(), 8, np.random.default_rng(seed))[0]
        other = mirrored(case)
        again = findings_of(other.labels, other.brain)
        assert {s for s, _ in again.places} == {s for s, _ in other.findings.places}


def place(box: tuple[slice, slice, slice], label: int = 4) -> Findings:
    brain = torch.ones(40, 48, 40, dtype=torch.bool)
    labels = torch.zeros(40, 48, 40, dtype=torch.uint8)
    labels[box] = label
    return findings_of(labels, brain)


@pytest.mark.parametrize(
    ("box", "side", "region"),
    [
        ((slice(2, 8), slice(38, 46), slice(22, 30)), "left", "frontal"),
        ((slice(32, 38), slice(2, 9), slice(22, 30)), "right", "occipital"),
        ((slice(32, 38), slice(24, 34), slice(12, 17)), "right", "temporal"),
        ((slice(2, 8), slice(16, 22), slice(28, 34)), "left", "parietal"),
        ((slice(13, 18), slice(22, 28), slice(18, 24)), "left", "deep"),
        ((slice(24, 32), slice(8, 16), slice(4, 10)), "right", "posterior fossa"),
    ],
)
def test_regions_are_told_by_their_place(
    box: tuple[slice, slice, slice], side: str, region: str
) -> None:
    assert place(box).places == ((side, region),)


def test_what_is_told_of_parts() -> None:
    found = place((slice(2, 8), slice(38, 46), slice(22, 30)))
    assert (found.oedema, found.necrosis, found.enhancement) == ("none", False, "solid")
    brain = torch.ones(40, 48, 40, dtype=torch.bool)
    labels = torch.zeros(40, 48, 40, dtype=torch.uint8)
    labels[2:20, 30:46, 14:34] = 2
    labels[6:14, 34:42, 20:28] = 4
    labels[7:13, 35:41, 21:27] = 1
    found = findings_of(labels, brain)
    assert (found.oedema, found.necrosis, found.enhancement) == ("extensive", True, "ring")
    assert findings_of(labels * 0, brain) == Findings()


def test_reports_say_the_side_and_never_the_other() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        told = Findings((("left", "frontal"), ("left", "deep")), "some", True, "ring", None)
        text = write_report(told, rng).lower()
        for sentence in text.split("."):
            if "lesion of" in sentence or "mass" in sentence or "tumour is seen" in sentence:
                assert "left frontal" in sentence or "no mass" in sentence
                assert "right" not in sentence
    assert write_report(told, np.random.default_rng(1)) == write_report(
        told, np.random.default_rng(1)
    )


def test_slots_and_sides() -> None:
    told = Findings((("left", "frontal"),), "extensive", True, "none", None)
    named = {slot for slot, value in zip(SLOTS, told.slots(), strict=True) if value}
    assert named == {"lesion", "left", "frontal", "oedema", "extensive oedema", "necrosis"}
    assert told.other_side().places == (("right", "frontal"),)
    assert told.other_side().other_side() == told
    drawn = [draw_findings(np.random.default_rng(n)) for n in range(40)]
    assert len({d.slots() for d in drawn}) > 20


def test_the_loss_is_lowest_at_the_truth() -> None:
    target = torch.tensor([0, 0, 1, 2, 3, 4])
    weight = torch.ones(6)
    regions = ((1, 2, 3, 4), (1, 3, 4), (4,))
    good = 20.0 * torch.nn.functional.one_hot(target, 5).T.float()
    loss, dice = region_dice_ce(good, target, weight, regions)
    assert float(loss) < 1e-3
    torch.testing.assert_close(dice, torch.ones(3))
    bad, _ = region_dice_ce(good.roll(1, 1), target, weight, regions)
    assert float(bad) > 1
    swapped = good[[0, 3, 2, 1, 4]]  # within the core: only the cross-entropy sees it
    _, same = region_dice_ce(swapped, target, weight, regions)
    torch.testing.assert_close(same, dice)
    _, none = region_dice_ce(torch.zeros(5, 6), torch.zeros(6).long(), weight, regions)
    assert all(math.isnan(v) for v in none)


def case_data(folder: Path, surround: int = 0) -> tuple[np.ndarray, np.ndarray]:
    images = [nibabel.load(p) for p in write_case(folder, surround=surround)]
    return np.stack([np.asarray(i.dataobj) for i in images]), images[0].affine.astype(float)


def test_the_runner_gives_the_same_whatever_the_background(tmp_path: Path) -> None:
    files = resolve_model("segment", str(write_tumor_model(tmp_path / "model")))
    segmenter = load_segmenter(files, CPU)
    assert isinstance(segmenter, TumorSegmenter)
    assert segmenter.channels == channels_of(files) == ("flair", "t1c")
    dark, affine = case_data(tmp_path / "dark")
    grey, _ = case_data(tmp_path / "grey", surround=700)
    found = segmenter(dark, affine, uncertainty=True)
    assert found.found
    assert found.uncertainty is not None
    assert len(np.unique(found.labels)) > 1
    assert not found.labels[(dark == 0).all(0)].any()
    other = segmenter(grey, affine)
    assert (found.labels == other.labels).mean() > 0.99


def test_turned_files_get_the_same_labels(tmp_path: Path) -> None:
    segmenter = load_segmenter(
        resolve_model("segment", str(write_tumor_model(tmp_path / "model"))), CPU
    )
    data, affine = case_data(tmp_path / "case")
    found = segmenter(data, affine).labels
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = data.shape[1] - 1
    turned = segmenter(data[:, ::-1], affine @ flip).labels
    assert (turned[::-1] == found).mean() > 0.999


def test_a_head_with_its_skull_is_no_case(tmp_path: Path) -> None:
    segmenter = load_segmenter(
        resolve_model("segment", str(write_tumor_model(tmp_path / "model"))), CPU
    )
    noise = np.random.default_rng(0).normal(size=(2, 32, 36, 30)).astype(np.float32)
    assert not segmenter(noise, np.diag([4.0, 4.0, 4.0, 1.0])).found


def test_a_report_steers(tmp_path: Path) -> None:
    folder = write_tumor_model(tmp_path / "model", guided=True)
    segmenter = load_segmenter(resolve_model("segment", str(folder)), CPU)
    assert isinstance(segmenter, GuidedTumorSegmenter)
    data, affine = case_data(tmp_path / "case")
    plain = segmenter(data, affine).labels
    np.testing.assert_array_equal(segmenter(data, affine, text="").labels, plain)
    left = segmenter(data, affine, text="Mass in the left frontal lobe.").labels
    assert (left != plain).any()


@pytest.mark.parametrize("fusion", ["none", "sequential", "progressive", "late"])
def test_training_ends_with_a_model_that_runs(tmp_path: Path, fusion: str) -> None:
    maps = tmp_path / "maps"
    maps.mkdir()
    for number in range(2):
        image = nibabel.Nifti1Image(head(), np.diag([2.0, 2.0, 2.0, 1.0]))
        nibabel.save(image, maps / f"{number}.nii.gz")
    values = {
        "data": maps, "out": tmp_path / "run", "fusion": fusion, "iterations": 2, "reading": 2,
        "start": "", "widths": (4, 8), "workers": 0, "holdout": 2,
    }  # fmt: skip
    folder = train_segment_model("tumor", values, lambda line: None)
    card = json.loads((folder / "card.json").read_text())
    assert card["use"] == "research"
    files = resolve_model("segment", str(folder))
    segmenter = load_segmenter(files, CPU)
    assert hasattr(segmenter, "reads_text") == (fusion != "none")


def test_training_starts_from_the_levels_of_another_network() -> None:
    from mmtool.models.store import load_state
    from mmtool.pipelines.training.tumor import started_trunk

    trunk = started_trunk("brain", (4, 8)).state_dict()
    given = load_state(resolve_model("segment", "brain"))
    for name, value in given.items():
        if not name.startswith(("head.", "stem.0")):
            assert torch.equal(trunk[name], value)
    stem = trunk["stem.0.weight"]
    torch.testing.assert_close(stem[:, :8] + stem[:, 8:], given["stem.0.weight"])


def test_drawn_cases_of_held_out_maps_are_scored(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.mkdir()
    for number in range(2):
        image = nibabel.Nifti1Image(head(), np.diag([2.0, 2.0, 2.0, 1.0]))
        nibabel.save(image, maps / f"{number}.nii.gz")
    files = resolve_model("segment", str(write_tumor_model(tmp_path / "model", guided=True)))
    table = synthetic_table(files, CPU, maps, holdout=2, scans=2, seed=1, report=lambda line: None)
    said = {(row[0], row[1]) for row in table.rows}
    assert ("right text", "whole tumour") in said
    assert {s for s, _ in said} == {"right text", "no text", "other side named", "threshold"}
    assert all(0 <= float(row[2]) <= 1 for row in table.rows)
