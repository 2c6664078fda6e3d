"""Synthetic scans: reproducible, right sides, nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmtool.errors import ModelError
from mmtool.pipelines.evaluation.brain import sided_labels
from mmtool.pipelines.training.brain import (
    BrainTraining,
    SyntheticScans,
    sample_blocks,
    train_brain,
)
from mmtool.pipelines.training.brain_labels import CLASSES, NAMES, T1_LIKE, build_lookup
from mmtool.pipelines.training.brain_options import split_maps
from mmtool.pipelines.training.synthesis import SynthesisOptions, synthesise

SIZE = (96, 112, 96)


def ball_head() -> np.ndarray:
    """(40, 40, 40) codes: skin, then white matter with a left and a right thalamus."""
    i, j, k = np.meshgrid(*(np.arange(40) - 19.5,) * 3, indexing="ij")
    radius = np.sqrt(i**2 + j**2 + k**2)
    codes = np.zeros((40, 40, 40), np.int16)
    codes[radius < 18] = 511
    codes[radius < 15] = np.where(i < 0, 2, 41)[radius < 15]
    codes[(np.abs(i + 6) < 3) & (radius < 12)] = 10
    codes[(np.abs(i - 6) < 3) & (radius < 12)] = 49
    return codes


def test_tables_name_every_code_once() -> None:
    taught = [c for left, right in CLASSES.values() for c in (*left, *right)]
    painted = [c for codes, _, _ in T1_LIKE.values() for c in codes]
    assert len(set(taught)) == len(taught)
    assert len(set(painted)) == len(painted)
    assert set(taught) <= set(painted)
    lookup = build_lookup()
    assert lookup.side[10] == 1
    assert lookup.side[49] == 0
    assert lookup.side[14] == -1


def test_the_same_seed_gives_the_same_scan() -> None:
    scans = [
        synthesise(ball_head(), SIZE, SynthesisOptions(), np.random.default_rng(3))[0]
        for _ in range(2)
    ]
    assert torch.equal(scans[0].image, scans[1].image)
    assert torch.equal(scans[0].classes, scans[1].classes)


@pytest.mark.parametrize("seed", range(6))
def test_left_stays_on_the_left(seed: int) -> None:
    """Mirrored or not, in RAS order left structures have the lower first index."""
    options = SynthesisOptions(rotation_deg=0.0, scaling=0.0, warp_voxels=0.0, crop=0.0)
    sample = synthesise(ball_head(), SIZE, options, np.random.default_rng(seed))[0]
    labels = sided_labels(sample)
    left, right = (np.argwhere(labels == index)[:, 0].mean() for index in (10, 49))
    assert left + 6 < right


def test_scans_are_finite_and_scaled() -> None:
    for seed in range(8):
        sample = synthesise(ball_head(), SIZE, SynthesisOptions(), np.random.default_rng(seed))[0]
        assert bool(torch.isfinite(sample.image).all())
        assert float(sample.image.min()) >= -0.2
        assert float(sample.image.max()) <= 1.5


def test_cut_views_have_no_labels_outside() -> None:
    options = SynthesisOptions(crop=1.0)
    for seed in range(4):
        sample = synthesise(ball_head(), SIZE, options, np.random.default_rng(seed))[0]
        assert set(np.unique(sample.side.numpy())) <= {-1, 0, 1}
        assert not bool((sample.classes[sample.side >= 0] == 0).any())


def test_rare_structures_are_always_sampled() -> None:
    sample = synthesise(ball_head(), SIZE, SynthesisOptions(crop=0.0), np.random.default_rng(0))[0]
    _, classes, _, weight = sample_blocks(sample, torch.Generator().manual_seed(0))
    thalamus = NAMES.index("thalamus")
    assert int((classes == thalamus).sum()) == int((sample.classes == thalamus).sum())
    assert bool((weight >= 1).all())


@pytest.fixture
def maps(tmp_path):
    """Three small label maps as files."""
    import nibabel

    folder = tmp_path / "maps"
    folder.mkdir()
    for name in "abc":
        image = nibabel.Nifti1Image(ball_head(), np.diag([2.0, 2.0, 2.0, 1.0]))
        nibabel.save(image, folder / f"{name}.nii.gz")
    return folder


def test_held_out_maps_are_not_trained_on(maps) -> None:
    kept, held = split_maps(maps, 3)
    assert [p.name for p in held] == ["c.nii.gz"]
    assert [p.name for p in kept] == ["a.nii.gz", "b.nii.gz"]
    assert len(SyntheticScans(BrainTraining(maps=maps, out=maps, holdout=3), 0).codes) == 2


@pytest.mark.slow
def test_training_goes_on_from_its_checkpoint(maps, tmp_path, monkeypatch) -> None:
    """Stopped after two of four steps and started again: the same weights, bit for bit."""
    import safetensors.torch

    from mmtool.pipelines.training.run import TrainingRun

    def run(name: str) -> dict[str, torch.Tensor]:
        usual = {"holdout": 3, "iterations": 4, "widths": (4, 4, 4), "workers": 0}
        options = BrainTraining(maps=maps, out=tmp_path / name, **usual)
        return safetensors.torch.load_file(train_brain(options) / "model.safetensors")

    whole = run("whole")
    advance = TrainingRun._advance

    def stop_at_two(self, *arguments):
        if self.step == 2:
            self.save()
            raise KeyboardInterrupt
        return advance(self, *arguments)

    monkeypatch.setattr(TrainingRun, "_advance", stop_at_two)
    with pytest.raises(KeyboardInterrupt):
        run("stopped")
    assert not (tmp_path / "stopped/model").exists()
    monkeypatch.setattr(TrainingRun, "_advance", advance)
    for name, value in run("stopped").items():
        assert torch.equal(whole[name], value), name


@pytest.mark.slow
def test_training_starts_from_a_model(maps, tmp_path) -> None:
    """One step from its own weights, in bfloat16, moves them a little; the card says from what."""
    import json

    import safetensors.torch

    def run(name: str, **options) -> Path:
        usual = {"holdout": 3, "iterations": 1, "widths": (4, 4, 4), "workers": 0}
        return train_brain(BrainTraining(maps=maps, out=tmp_path / name, **(usual | options)))

    first = run("first", iterations=2)
    second = run("second", start=str(first), rate=1e-5, precision="bfloat16")
    before, after = (safetensors.torch.load_file(f / "model.safetensors") for f in (first, second))
    for name, value in after.items():
        assert value.dtype == torch.float16
        torch.testing.assert_close(value, before[name], atol=1e-3, rtol=0)
    assert any(not torch.equal(value, before[name]) for name, value in after.items())
    card = json.loads((second / "card.json").read_text())["training"]
    origin = json.loads((first / "card.json").read_text())
    assert card["started_from"]["weights_sha256"] == origin["sha256"]["model.safetensors"]
    assert card["started_from"]["command"] == origin["training"]["command"]
    assert "--rate 1e-05 --precision bfloat16" in card["command"]
    with pytest.raises(ModelError, match="another shape"):
        run("third", start=str(first), widths=(4, 4))
